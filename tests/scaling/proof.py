"""One run: events in, machines at work, and the verdict from the provider's own record."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from notifier.door import notify_many, open_road
from notifier.inbox import Inbox
from tests.scaling.machines import Street, street
from tests.scaling.office import Office, running_office, senders


@dataclass(frozen=True, slots=True)
class Case:
    """What is run. rate: of each sender, messages a second. cut: seconds for which machine-1 loses its network."""

    machines: int
    lanes: int = 2
    rate: int = 80
    messages: int = 320
    apart: bool = True
    cut: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the provider saw. most: of one sender in any second. shares: messages that each machine sent."""

    case: Case
    arrived: int
    lost: int
    twice: int
    throttled: int
    most: int
    shares: dict[str, int]
    seconds: float

    @property
    def faults(self) -> list[str]:
        """What must not be."""
        found = {
            "lost": self.lost,
            "told twice": self.twice,
            "above the limit": max(0, self.most - self.case.rate),
            "throttled by the provider": self.throttled,
        }
        return [f"{number} {name}" for name, number in found.items() if number]


def run(case: Case, within: float) -> Outcome:
    """Runs one case in folders and processes of its own; waits for the last message for so many seconds."""
    with _home() as home, street(case.machines, home, apart=case.apart) as machines:
        with running_office(home, machines, case.lanes, case.rate) as office:
            phones = feed(office, case)
            _wait(office, machines, case, within)
            shown = [len(office.sandbox.phone(phone)) for phone in phones]
            times = [one["real"] for one in office.sandbox.arrivals()]
            summary = office.sandbox.summary()
        return Outcome(
            case=case,
            arrived=len(times),
            lost=shown.count(0),
            twice=sum(number > 1 for number in shown),
            throttled=summary["throttled"],
            most=max(summary["max_asked_per_second"].values(), default=0),
            shares={machine.name: _sent(office, machine.name) for machine in machines.machines},
            seconds=max(times) - min(times) if times else 0.0,
        )


@contextlib.contextmanager
def _home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="notifier-scaling-", ignore_cleanup_errors=True) as made:
        home = Path(made)
        home.chmod(0o755)  # PostgreSQL may run as somebody else
        yield home


def feed(office: Office, case: Case) -> list[str]:
    """One order for each of so many people, the senders in turn; returns their phones."""
    names, now = senders(case.lanes), datetime.now(UTC).isoformat()
    # The sandbox's odd people end in 9 hundred and something; these end in 0 hundred.
    phones = [f"+2010{place // 100:05d}0{place % 100:02d}" for place in range(case.messages)]
    consent = {"granted": True, "source": "checkout"}
    events = [
        {
            "shop": f"shop-{names[place % case.lanes]}",
            "event": "order.created",
            "order_id": f"order-{place}",
            "order_number": str(10_000 + place),
            "occurred_at": now,
            "customer": {"phone": phone, "name": "Mona", "consent": consent},
        }
        for place, phone in enumerate(phones)
    ]
    with contextlib.closing(open_road(office.redis_url)) as road:
        notify_many(events, inbox=Inbox(road))
    return phones


def _wait(office: Office, machines: Street, case: Case, within: float) -> None:
    """Until all have been shown, or the time is over; pulls the cable in between, if that is the case."""
    deadline, cut_until, cut = time.monotonic() + within, 0.0, False
    while time.monotonic() < deadline:
        summary = office.sandbox.summary()
        if summary["shown"]["whatsapp"] >= case.messages and not cut_until:
            return
        if case.cut and not cut and summary["accepted"] > case.messages // 4:
            machines.machines[0].network(up=False)
            cut, cut_until = True, time.monotonic() + case.cut
        if cut_until and time.monotonic() > cut_until:
            machines.machines[0].network(up=True)
            cut_until = 0.0
        time.sleep(max(0.2, case.messages / 4_000))  # the record grows, and so does the work of counting it


def _sent(office: Office, name: str) -> int:
    """By its log, once it has ended. `lost`: sent, and the receipt was faster than our own record of it."""
    turns = [line for line in office.said(name) if line["event"] == "drain.turn"]
    return sum(line["accepted"] + line["lost"] for line in turns)
