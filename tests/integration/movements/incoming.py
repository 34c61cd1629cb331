"""What the tests of the incoming half share: events by any door, a reader, and what the ledger holds afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import orjson
import sqlalchemy as sa

from notifier.door import notify_many
from notifier.inbox import Entry, Ticket
from notifier.intake import IntakeReport, take_in
from notifier.ledger import Connection, Ledger, LedgerUnavailable
from notifier.ledger import schema as tables
from notifier.runtime import Runtime
from notifier.streams import Item, StreamReader
from tests.fixtures.ledger import NOW

LONG = timedelta(minutes=5)
AT_ONCE = timedelta(0)
GRANTED = {"granted": True, "source": "checkout"}


def an_order(order_id: str, event: str = "order.created", **more: Any) -> dict[str, Any]:
    """An event of `nile` with a phone and a consent, at NOW; `more` goes over it, the customer key by key."""
    customer = {"phone": "+201001234567", "locale": "en", "name": "Mona", "consent": GRANTED}
    said = {"shop": "nile", "event": event, "order_id": order_id, "occurred_at": NOW.isoformat()}
    return {**said, **more, "customer": {**customer, **more.get("customer", {})}}


def hand_in(runtime: Runtime, *events: Mapping[str, Any], door: str = "python") -> list[Ticket]:
    """Through the door for backends, into the runtime's own inbox."""
    return notify_many(events, inbox=runtime.inbox, door=door)


def append_raw(runtime: Runtime, body: bytes, key: str, event_id: str = "raw-1", door: str = "python") -> None:
    """Past every check, as an older or broken door might."""
    runtime.inbox.append([Entry(event_id, key, body, door)])


def append_event(runtime: Runtime, event: Mapping[str, Any], event_id: str, mark: str = "") -> None:
    """An event that the inbox has not recognised as a copy: its mark is `mark`, or gone."""
    append_raw(runtime, orjson.dumps(event), mark or event_id, event_id)


def reader_of(runtime: Runtime, consumer: str = "a", reclaim_after: timedelta = LONG) -> StreamReader:
    return StreamReader(runtime.redis, runtime.inbox.stream, "intake", consumer, reclaim_after=reclaim_after)


def take_all(runtime: Runtime, reader: StreamReader | None = None) -> IntakeReport:
    """Everything that waits, as one batch."""
    own = reader or reader_of(runtime)
    return take_in(runtime, own, own.read(1000, None))


def rows(ledger: Ledger, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """These columns of all rows, sorted as text: ids of one millisecond have no order."""
    of = tables.metadata.tables[table]
    with ledger.read() as conn:
        found = conn.execute(sa.select(*(of.c[name] for name in columns)))
        return sorted((tuple(row) for row in found), key=str)


def snapshot(ledger: Ledger) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table that intake writes."""
    found = {}
    for table in ("order_event", "notification", "delivery", "consent", "history"):
        found[table] = rows(ledger, table, *tables.metadata.tables[table].columns.keys())
    return found


def quarantined(runtime: Runtime) -> list[tuple[str, str]]:
    """Reason and detail of what was set aside, oldest first."""
    return [(one.reason, one.detail) for one in runtime.quarantine.list(100)]


def bodies(items: Sequence[Item]) -> list[str]:
    return [orjson.loads(item.fields[b"body"])["order_id"] for item in items]


class AwayLedger(Ledger):
    """A ledger that can be taken away: `gone` fails to begin, `dies` fails as it commits."""

    def __init__(self, ledger: Ledger) -> None:
        self.__dict__.update(ledger.__dict__)
        self.gone = False
        self.dies = False

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        self._answer()
        with super().begin() as conn:
            yield conn
            if self.dies:
                raise LedgerUnavailable("the ledger went away")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        self._answer()
        with super().read() as conn:
            yield conn

    def _answer(self) -> None:
        if self.gone:
            raise LedgerUnavailable("the ledger is away")
