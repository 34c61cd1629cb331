"""How fast a backlog leaves: one drain against the peers, in turn, round after round."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.errors import Broken, Missing
from bench.figures import Figure, absent, measured
from bench.house import DATA, UNLIMITED, House, Place
from bench.parts.backlog import fill
from bench.peers.bullmq import BullMQ
from bench.peers.celery_requests import CeleryRequests
from bench.peers.tuned import Peer, Tuned, rate_of, tune
from bench.say import say
from bench.stub import Stub

# Databases of the shared Redis: notifier has 0.
_CELERY_DB, _BULLMQ_DB = 1, 2


def deliver(house: House) -> Mapping[str, Figure]:
    """Rates of one drain, and its ratios to the peers of the same round."""
    sizes = house.sizes
    ours: list[float] = []
    ratios: dict[str, list[float]] = {"celery_requests": [], "bullmq": [], "bare_http": []}
    with house.stub() as stub:
        celery, bullmq, reason = _celery(house, stub), None, ""
        try:
            bullmq = _bullmq(house, stub)
        except Missing as missing:
            reason = str(missing)
        for number in range(sizes.peer_rounds):
            rate = one_drain(house, f"deliver{number}", stub)
            ours.append(rate)
            ratios["celery_requests"].append(rate / rate_of(celery.peer, celery.tuning, stub, sizes.celery))
            if bullmq:
                ratios["bullmq"].append(rate / rate_of(bullmq.peer, bullmq.tuning, stub, sizes.bullmq))
            ratios["bare_http"].append(rate / _bare(house, stub))
            say(f"round {number + 1}: {rate:,.0f}/s; " + _told(rate, ratios))
    figures = {f"deliver.vs_{name}": measured(*found) if found else absent(reason) for name, found in ratios.items()}
    return {"deliver.msgs_per_s": measured(*ours), **figures}


def one_drain(house: House, name: str, stub: Stub) -> float:
    """Messages a second of one drain over a backlog in a PostgreSQL ledger that holds nothing else."""
    with house.ledger(name) as url:
        return drained(house.place(name, url, {"lane-0": UNLIMITED}, stub.url), house.sizes.backlog)


def drained(place: Place, count: int, *, first: int = 0) -> float:
    """Messages a second of one drain over `count` of them and their seed, from its first read to its last record.

    first: number of the first order of the backlog.
    """
    fill(place, count, first=first, seed=first + count)
    report = place.role("roles.drain", lane="lane-0")
    if report["accepted"] != count + 1:
        raise Broken(f"the drain sent {report['accepted']} messages instead of {count + 1}")
    return float(report["accepted"] / report["seconds"])


def _bare(house: House, stub: Stub) -> float:
    place = house.place("bare", "", {"lane-0": UNLIMITED}, stub.url)
    return float(house.sizes.bare / place.role("peers.bare_http", url=stub.url, count=house.sizes.bare)["seconds"])


def _celery(house: House, stub: Stub) -> Tuned:
    peer = CeleryRequests(_home(), f"redis://127.0.0.1:{house.redis.port}/{_CELERY_DB}", stub.url)
    if peer.gevent:
        say(peer.gevent)
    return _tuned(house, peer, peer.tunings, stub, house.sizes.celery)


def _bullmq(house: House, stub: Stub) -> Tuned:
    peer = BullMQ(_home(), house.redis.port, _BULLMQ_DB, stub.url)
    return _tuned(house, peer, peer.tunings, stub, house.sizes.bullmq)


def _tuned(house: House, peer: Peer, tunings: tuple[str, ...], stub: Stub, count: int) -> Tuned:
    return tune(peer, tunings, stub, max(10, count // house.sizes.tuning), say)


def _home() -> Path:
    """Outlives the run: what is installed for a peer is installed once."""
    home = DATA / "peers"
    home.mkdir(exist_ok=True)
    return home


def _told(rate: float, ratios: Mapping[str, list[float]]) -> str:
    return ", ".join(f"{name} {rate / found[-1]:,.0f}/s" for name, found in ratios.items() if found)
