"""From a door to where an event is safe: the inbox, or the ledger while Redis is away.

Nothing is answered with a yes before one of the two has it. Requests that come together share their calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from notifier import telemetry
from notifier.bypass import write_past_the_road
from notifier.gateway.commit import Grouped
from notifier.gateway.idempotency import Claim, Ending, Idempotency, Verdict
from notifier.gateway.rates import Rates, Want
from notifier.inbox import CHUNK, Entry, InboxFull, RoadUnavailable, Ticket
from notifier.ledger import LedgerUnavailable
from notifier.runtime import Runtime

# Who has just failed to reach Redis does not try at every request: a try may take seconds until it is given up.
REST = timedelta(seconds=5)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Handing:
    """Events that are handed in together. holder, rate: whose rate they count for, and what it is."""

    holder: str
    rate: int
    entries: Sequence[Entry] = field(repr=False)


@dataclass(frozen=True, slots=True)
class NotNow:
    """Nothing, or not all, was kept: the same request may come again after `retry_after`. reason: a word."""

    reason: str
    retry_after: timedelta


Kept = list[Ticket] | NotNow


class Handover:
    """Where the doors of one event loop hand events to. All three are safe to repeat."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        prefix = runtime.settings.key_prefix
        self._rates = Rates(runtime.redis, prefix)
        self._idempotency = Idempotency(runtime.redis, prefix)
        self._rests_until = float("-inf")
        self.take: Grouped[Handing, Kept] = Grouped(self._take, largest=CHUNK)
        self.begin: Grouped[Claim, Verdict] = Grouped(self._begin, largest=CHUNK)
        self.end: Grouped[Ending, None] = Grouped(self._end, largest=CHUNK)
        self.may_read: Grouped[Want, timedelta] = Grouped(self._may_read, largest=CHUNK)

    def _take(self, handings: Sequence[Handing]) -> list[Kept]:
        begun = time.monotonic()
        kept = self._on_road(lambda: self._by_road(handings))
        if kept is None:
            kept = self._by_ledger(handings)
        tickets = [ticket for one in kept if isinstance(one, list) for ticket in one]
        queued = sum(ticket.status == "queued" for ticket in tickets)
        telemetry.note(
            "gateway.events", queued=queued, duplicate=len(tickets) - queued, seconds=time.monotonic() - begun
        )
        return kept

    def _begin(self, claims: Sequence[Claim]) -> Sequence[Verdict]:
        """Without Redis nothing stands in the way: the business key still does, in the ledger."""
        return self._on_road(lambda: self._idempotency.begin(claims)) or [None] * len(claims)

    def _end(self, endings: Sequence[Ending]) -> Sequence[None]:
        return self._on_road(lambda: self._idempotency.end(endings)) or [None] * len(endings)

    def _may_read(self, wants: Sequence[Want]) -> Sequence[timedelta]:
        """Without Redis nobody counts: readers then meet the bound of the ledger's connections."""
        return self._on_road(lambda: self._rates.take(wants)) or [timedelta()] * len(wants)

    def _on_road(self, act: Callable[[], T]) -> T | None:
        """What it returns; None when Redis is away, or was a moment ago."""
        if time.monotonic() < self._rests_until:
            return None
        try:
            return act()
        except RoadUnavailable as error:
            self._rests_until = time.monotonic() + REST.total_seconds()
            telemetry.note("road.away", where="door", wait=REST.total_seconds(), error=error)
            return None

    def _by_road(self, handings: Sequence[Handing]) -> list[Kept]:
        """The inbox, in as few calls as it takes; who is above its rate is left out."""
        waits = self._rates.take([Want(one.holder, one.rate, len(one.entries)) for one in handings])
        entries = [entry for one, wait in zip(handings, waits, strict=True) if not wait for entry in one.entries]
        try:
            tickets = iter(self._runtime.inbox.append(entries))
        except InboxFull as error:
            full = NotNow("inbox-full", error.retry_after)
            return [NotNow("rate", wait) if wait else full for wait in waits]
        return [
            NotNow("rate", wait) if wait else [next(tickets) for _ in one.entries]
            for one, wait in zip(handings, waits, strict=True)
        ]

    def _by_ledger(self, handings: Sequence[Handing]) -> list[Kept]:
        """The ledger, in one transaction. Nobody's rate is counted: whoever would count is away."""
        away = NotNow("stores-away", REST)
        try:
            tickets = iter(write_past_the_road(self._runtime, [entry for one in handings for entry in one.entries]))
        except (LedgerUnavailable, RoadUnavailable) as error:
            telemetry.note("ledger.away", where="door", wait=REST.total_seconds(), error=error)
            return [away] * len(handings)
        found = [[next(tickets) for _ in one.entries] for one in handings]
        telemetry.note("gateway.past_the_road", events=sum(map(len, found)))
        return [[one for one in each if one] if all(each) else away for each in found]
