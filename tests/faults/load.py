"""`python -m tests.faults.load`: ten times what a house can carry, for minutes; then it is left alone.

Shops offer without mercy: who is told "full" drops the event (it stays in the shop's books) and offers the next one.
Judged: what was accepted is told once, every refusal says when to come again, memory stays bounded, and the house works
its backlog off without help.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import Any

import click
import requests

from notifier.door import notify_many, open_road
from notifier.inbox import Inbox, InboxFull, RoadUnavailable
from tests.faults.children import until
from tests.faults.house import House, running_house
from tests.faults.orders import Given, readers
from tests.faults.play import stories_of
from tests.faults.rest import STUCK_AFTER
from tests.faults.verdict import FAULTS, Verdict, judge, read_record

RESULTS = Path(__file__).parent / "load.json"

# The house is made small, so that many times what it carries can be offered from the machine that it runs on: its
# ledger is far away, and intake takes the events one by one. That is then the narrowest place: a ledger near by takes
# twelve times what the senders' rates let out (1,900 to 150 a second), and the backlog would stand there for an hour.
MAX_LENGTH = 2_000
FAR = 0.01  # seconds to the ledger, each way
SMALL = {"NOTIFIER_INBOX__MAX_LENGTH": str(MAX_LENGTH), "NOTIFIER_INBOX__BATCH": "1"}
CALIBRATE = 40.0  # seconds with more than enough to do, of which the second half is counted
ENOUGH = 300.0  # events a second
_BATCH = 25


@dataclass(slots=True)
class Offering:
    """What the shops offered, and what they were told. accepted: mark → monotonic second of the yes."""

    house: House
    source: Iterator[Given]
    given: list[Given] = field(default_factory=list)
    accepted: dict[str, float] = field(default_factory=dict)
    offered: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    without_a_time: int = 0  # refusals that do not say when to come again
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, rate: float, seconds: float) -> None:
        """Offers `rate` events a second for so long, half of them over each door; 0: as many as the doors take."""
        end, threads = time.monotonic() + seconds, []
        doors: tuple[Callable[[Sequence[Given]], None], ...] = (self._notify, self._post)
        for door in doors:
            for _ in range(2):
                thread = threading.Thread(target=self._offer, args=(door, rate / 4, end), daemon=True)
                thread.start()
                threads.append(thread)
        while any(one.is_alive() for one in threads):
            self.house.look()
            time.sleep(0.1)

    def _offer(self, door: Callable[[Sequence[Given]], None], rate: float, end: float) -> None:
        due = time.monotonic()
        while (now := time.monotonic()) < end:
            if rate and now < due:
                time.sleep(min(due - now, 0.05))
                continue
            due = max(due + (_BATCH / rate if rate else 0.0), now - 1.0)
            with self._lock:
                some = list(islice(self.source, _BATCH))
                self.offered += len(some)
            door(some)

    def _take(self, some: Sequence[Given]) -> None:
        now = time.monotonic()
        with self._lock:
            self.given += [replace(one, body={}) for one in some]
            self.accepted |= {one.mark: now for one in some}

    def _refused(self, word: str, number: int, *, when: bool) -> None:
        with self._lock:
            self.answers[word] += number
            self.without_a_time += 0 if when else 1

    def _notify(self, some: Sequence[Given]) -> None:
        inbox = Inbox(open_road(self.house.shop_url), prefix=self.house.settings.key_prefix, max_length=MAX_LENGTH)
        try:
            notify_many([one.body for one in some], inbox=inbox)
        except InboxFull as full:
            self._refused("InboxFull", len(some), when=full.retry_after.total_seconds() > 0)
        except RoadUnavailable:
            self._refused("RoadUnavailable", len(some), when=True)
        else:
            self._take(some)

    def _post(self, some: Sequence[Given]) -> None:
        """All of one shop's, as a key is one shop's."""
        url = f"{self.house.gateway_url}/v1/events"
        for shop in {one.order[0] for one in some}:
            own = [one for one in some if one.order[0] == shop]
            headers = {"Authorization": f"Bearer {self.house.keys[shop]}"}
            try:
                answer = requests.post(url, json=[dict(one.body) for one in own], headers=headers, timeout=30)
            except requests.RequestException:
                self._refused("no answer", len(own), when=True)
                continue
            if answer.status_code == HTTPStatus.ACCEPTED:
                self._take(own)
            else:
                self._refused(str(answer.status_code), len(own), when="Retry-After" in answer.headers)


@dataclass(slots=True)
class Memory:
    """The most that was seen, in MB: of each process, and of Redis."""

    house: House
    most: dict[str, float] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        threading.Thread(target=self._watch, daemon=True).start()

    def end(self) -> None:
        self._stop.set()

    def _watch(self) -> None:
        road = self.house.road()
        while not self._stop.wait(1.0):
            for name in ("gateway", *self.house.workers):
                with suppress(OSError, KeyError, StopIteration, ValueError):
                    self._note(name, _resident(self.house.children.pid(name)))
            found: Any = road.info("memory")
            self._note("redis", found["used_memory"] / 1e6)

    def _note(self, name: str, megabytes: float) -> None:
        self.most[name] = round(max(self.most.get(name, 0.0), megabytes), 1)


def _resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1e3


def _calibrate(offering: Offering, say: Callable[[str], None]) -> float:
    """What the house carries to phones in a second when there is always work."""
    offering.run(ENOUGH, CALIBRATE / 2)
    before = len(offering.house.sandbox.arrivals())
    offering.run(ENOUGH, CALIBRATE / 2)
    rate = (len(offering.house.sandbox.arrivals()) - before) / (CALIBRATE / 2)
    say(f"sustainable: {rate:.0f} messages a second")
    return rate


def _work_off(house: House, offering: Offering) -> bool:
    """Waits until all that was accepted has come to an end, as long as something moves."""
    waiting, moved = {one.key for one in offering.given}, time.monotonic()

    def rests() -> bool:
        nonlocal moved
        time.sleep(2.0)
        some = [one for one in offering.given if one.key in waiting]
        found = stories_of(house, some)
        ended = {key for key, story in found.items() if story.state in ("told", "suppressed", "unreached")}
        moved = time.monotonic() if ended else moved
        waiting.difference_update(ended)
        return not waiting or time.monotonic() - moved > STUCK_AFTER

    return until(rests, 3600.0, house.look) and not waiting


@click.command()
@click.option("--minutes", default=5.0, show_default=True, help="How long the load lasts.")
@click.option("--times", default=10.0, show_default=True, help="How many times what the house can carry.")
@click.option("--seed", default=1, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep logs and ledger here.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="Where the figures go.")
def main(minutes: float, times: float, seed: int, keep: Path | None, results: Path) -> None:
    """Offers far more than the house can carry, and looks what becomes of it. Ends with 1 on any finding."""
    with running_house("postgresql", seed, keep, "redis", **SMALL) as house:
        assert house.postgres_proxy
        house.postgres_proxy.latency = FAR
        offering, memory = Offering(house, readers(seed)), Memory(house)
        memory.watch()
        rate = _calibrate(offering, click.echo)
        before = dict(memory.most)
        offering.run(rate * times, minutes * 60)
        loaded = time.monotonic()
        rested = _work_off(house, offering)
        recovered = time.monotonic() - loaded
        memory.end()
        house.hush()
        record = read_record(house.sandbox.arrivals(), offering.given)
        verdict = judge(offering.given, offering.accepted, record, stories_of(house, offering.given))
    run = {"rested": rested, "minutes": minutes, "times": times, "most_memory_mb_before": before}
    found = run | _figures(offering, memory, verdict, rate, recovered)
    results.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    click.echo(json.dumps(found, indent=2))
    raise SystemExit(0 if verdict.ok and rested and not offering.without_a_time else 1)


def _figures(offering: Offering, memory: Memory, verdict: Verdict, rate: float, recovered: float) -> dict[str, Any]:
    return {
        "sustainable_per_second": round(rate),
        "offered": offering.offered,
        "accepted": len(offering.accepted),
        "refused": dict(offering.answers),
        "refused_without_a_time": offering.without_a_time,
        **{kind: verdict.count(kind) for kind in FAULTS},
        "recovered_seconds": round(recovered, 1),
        "most_memory_mb": memory.most,
    }


if __name__ == "__main__":
    main()
