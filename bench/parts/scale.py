"""What a large ledger and many lanes cost: the same work beside five million old messages, and on a thousand lanes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from bench.errors import Broken
from bench.figures import Figure, measured
from bench.house import DATA, ROOT, UNLIMITED, House, Place, migrated
from bench.measure import rate_between
from bench.parts.backlog import age, fill
from bench.parts.deliver import drained, one_drain
from bench.postgres import running_postgres
from bench.rows import tidy
from bench.say import say
from bench.stub import Stub
from notifier.ledger import open_ledger

_DATABASE = "old"


def rows(house: House) -> Mapping[str, Figure]:
    """The drain's rate beside old rows, and with none; both servers run all the time, and the rounds take turns."""
    samples = []
    with house.stub("stub-rows") as stub, _old_ledger(house, stub) as (old, used):
        for number in range(house.sizes.rounds):
            empty = one_drain(house, f"rows{number}", stub)
            first = house.sizes.old_rows + (used + number) * (house.sizes.backlog + 1)
            place = house.place(f"old{number}", old, {"lane-0": UNLIMITED}, stub.url)
            full = drained(place, house.sizes.backlog, first=first)
            _tidied(old)
            samples.append(full / empty)
            say(f"round {number + 1}: {empty:,.0f}/s in an empty ledger, {full:,.0f}/s in a full one")
    return {"scale.deliver_ratio": measured(*samples)}


@contextlib.contextmanager
def _old_ledger(house: House, stub: Stub) -> Iterator[tuple[str, int]]:
    """A server whose ledger holds the old rows; made once for a schema and kept. Yields its URL, and how many rounds
    it has been used for: what those sent is old by now, too."""
    home = DATA / f"old-{house.sizes.old_rows}-{_schema()}"
    notes = home / "made.json"
    if not notes.exists():
        shutil.rmtree(home, ignore_errors=True)
    with running_postgres(home) as postgres:
        if not notes.exists():
            begun = time.monotonic()
            say(f"making {house.sizes.old_rows:,} old messages; once for a schema, and it takes minutes")
            aged = replace(house, postgres=postgres)
            place = aged.place("old", migrated(postgres.create(_DATABASE)), {"lane-0": UNLIMITED}, stub.url)
            age(place, house.sizes.old_rows)
            notes.write_text(json.dumps({"used": 0, "seconds": time.monotonic() - begun}))
        made = json.loads(notes.read_text())
        notes.write_text(json.dumps({**made, "used": made["used"] + house.sizes.rounds}))
        yield postgres.url(_DATABASE), made["used"]


def _tidied(database_url: str) -> None:
    """Vacuums what a round left behind. Left to itself, the server did so beside a later round: 0.97, 0.80 and 0.71."""
    ledger = open_ledger(database_url)
    tidy(ledger)
    ledger.dispose()


def _schema() -> str:
    """What tells whether rows made earlier still are what the code writes."""
    ledger = ROOT / "notifier" / "ledger"
    files = sorted(
        [ledger / "schema.py", *(ledger / "migrations").rglob("*.py"), Path(__file__).parent.parent / "rows.py"]
    )
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def lanes(house: House) -> Mapping[str, Figure]:
    """The rate of one worker with its work on many lanes, and the same work on one."""
    samples = []
    with house.stub("stub-lanes") as stub:
        for number in range(house.sizes.rounds):
            many = _worker_rate(house, stub, f"many{number}", house.sizes.lanes)
            one = _worker_rate(house, stub, f"one{number}", 0)
            samples.append(many / one)
            say(f"round {number + 1}: {many:,.0f}/s on {house.sizes.lanes} lanes, {one:,.0f}/s on one")
    return {"scale.lanes_ratio": measured(*samples)}


def _worker_rate(house: House, stub: Stub, name: str, spread: int) -> float:
    """Messages a second of one worker process, from the first to the last."""
    senders = {f"lane-{number}": UNLIMITED for number in range(spread or 1)}
    count = house.sizes.backlog
    with house.ledger(name) as url:
        place = house.place(name, url, senders, stub.url)
        fill(place, count, lanes=spread)
        return _worked(place, stub, count + 1)


def _worked(place: Place, stub: Stub, count: int) -> float:
    before = stub.count()
    with place.workers(("whatsapp", "sweeps")):
        if not stub.wait_for(before + count, 120):
            raise Broken(f"{stub.count() - before} of {count} messages left in 120 s")
    return rate_between(stub.times(before))
