"""The limit of a sender, as the provider sees it: four workers, one sender, more work than it may send."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

from redis import Redis

from bench.errors import Broken
from bench.figures import Figure, measured
from bench.house import House, Place
from bench.measure import most_in_any
from bench.parts.backlog import fill
from bench.parts.practice import running_sandbox
from bench.say import say
from bench.stub import Stub
from notifier.limits import Limiter

_ALL = "intake,whatsapp,sms,email,receipts,sweeps"

# Four processes as an operator would start them on four machines.
WORKERS = (_ALL,) * 4

# Arrivals before this are the start and are left out of the utilisation, not of the maximum.
_SETTLING = 1.0


def at_80(house: House) -> Mapping[str, Figure]:
    """80 messages a second: what Meta allows a new number."""
    return _at(house, 80)


def at_1000(house: House) -> Mapping[str, Figure]:
    """1,000 messages a second: what Meta allows a number that has earned it."""
    return _at(house, 1000)


def _at(house: House, limit: int) -> Mapping[str, Figure]:
    seconds = house.sizes.limiter
    with house.stub(f"stub-{limit}") as stub, house.ledger(f"limiter{limit}") as url:
        place = house.place(f"limiter{limit}", url, {"lane-0": limit}, stub.url)
        fill(place, int(limit * (seconds + 15)))
        with place.workers(WORKERS):
            _wait_for_first(stub)
            time.sleep(seconds + _SETTLING)
        times = stub.times()
    most, used = most_in_any(times, 1.0), _utilisation(times, limit, seconds)
    say(f"limiter at {limit}: {len(times):,} messages, at most {most} in a second, {used:.3f} of the limit")
    return {
        f"limiter.{limit}.max_in_any_second": measured(most),
        f"limiter.{limit}.utilisation": measured(used),
    }


def _wait_for_first(stub: Stub) -> None:
    if not stub.wait_for(1, 30):
        raise Broken("no message left within 30 s of the workers' start")


def _utilisation(times: Sequence[float], limit: int, seconds: float) -> float:
    """What left in `seconds` after the start, as a share of what may."""
    begin = min(times) + _SETTLING
    return sum(begin <= moment < begin + seconds for moment in times) / (limit * seconds)


def throttled(house: House) -> Mapping[str, Figure]:
    """How often the sandbox, with Meta's limits, says "too fast" (130429) to four workers with a backlog."""
    seconds, limit = house.sizes.throttled, 80
    with running_sandbox(house.home, limit) as sandbox, house.ledger("throttled") as url:
        place = house.place("throttled", url, {"lane-0": limit}, sandbox.url)
        place = place.with_env(NOTIFIER_SENDER_LANE_0_TOKEN=sandbox.token)
        fill(place, int(limit * (seconds + 15)))
        with place.workers(WORKERS):
            _wait_for_work(place, seconds)
            time.sleep(seconds)
    return {"limiter.throttled": measured(_throttles(place, limit))}


def _wait_for_work(place: Place, seconds: float) -> None:
    """Until the sender's permits are being used."""
    with Redis.from_url(place.redis_url) as redis:
        deadline = time.monotonic() + 30 + seconds
        while not redis.exists(f"{place.prefix}limit:sender:lane-0"):
            if time.monotonic() > deadline:
                raise Broken("no permit was taken within 30 s of the workers' start")
            time.sleep(timedelta(milliseconds=50).total_seconds())


def _throttles(place: Place, limit: float) -> int:
    with Redis.from_url(place.redis_url) as redis:
        return Limiter(redis, place.prefix, {"lane-0": limit}).state("lane-0").throttles
