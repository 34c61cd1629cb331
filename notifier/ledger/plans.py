"""What intake reads before it plans and writes afterwards: a batch a statement, in the caller's transaction."""

# ruff: noqa: S608  statements are put together from constants of this room; values always travel as parameters
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.engine import Connection

from notifier.ids import new_id
from notifier.ledger.endings import DELIVERY_ROWS, INSERT_DELIVERIES
from notifier.ledger.instants import from_us, to_us
from notifier.ledger.schema import in_list
from notifier.ledger.statements import Rows, Statement, to_json
from notifier.ledger.states import CARRIES
from notifier.ledger.superseding import Supersede, supersede

__all__ = [
    "ConsentRecord",
    "NewConsent",
    "NewDelivery",
    "NewEvent",
    "NewNotification",
    "Prior",
    "Supersede",
    "consents",
    "count_copies",
    "insert_consents",
    "insert_deliveries",
    "insert_events",
    "insert_notifications",
    "known_events",
    "priors",
    "supersede",
]


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An order event to keep. key: its business key; door: how it came; body: its JSON text."""

    id: str
    shop: str
    order_id: str
    order_number: str | None
    event: str
    shipment_id: str | None
    revision: str | None
    key: str
    occurred_at: datetime
    received_at: datetime
    door: str
    body: str


@dataclass(frozen=True, slots=True)
class NewNotification:
    """A decided notification. state: planned, active (its delivery is inserted beside it), or suppressed + reason.

    decisions: the walk that led there, as JSON.
    """

    id: str
    event_id: str
    shop: str
    order_id: str
    event: str
    rank: int | None
    always: bool
    shipment_id: str | None
    phone: str | None
    country: str | None
    timezone: str | None
    locale: str | None
    template: str | None
    channels: tuple[str, ...]
    priority: int
    state: str
    reason: str | None
    detail: str | None
    expires_at: datetime | None
    due_at: datetime | None
    decisions: str | None = None


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A delivery to queue. lane: its sender; position: 0 for the first channel, then up."""

    id: str
    notification_id: str
    shop: str
    lane: str
    channel: str
    position: int
    priority: int
    due_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NewConsent:
    """A consent, or a stop, to append. channel None: all channels; purpose None: every purpose."""

    shop: str
    phone: str
    channel: str | None
    purpose: str | None
    granted: bool
    source: str
    at: datetime
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Prior:
    """A notification of the same order. unsent: nothing of it can be with the customer yet."""

    notification_id: str
    shop: str
    order_id: str
    event: str
    rank: int | None
    always: bool
    shipment_id: str | None
    state: str
    unsent: bool


class ConsentRecord(NamedTuple):
    """One record of the append-only consent table."""

    shop: str
    phone: str
    channel: str | None
    purpose: str | None
    granted: bool
    source: str
    at: datetime


_KNOWN = Statement("SELECT key, id FROM order_event WHERE key IN ({ids})")
_COPIES = Statement(
    """
    UPDATE order_event AS d SET copies = d.copies + r.number, last_copy_at = :now
    FROM ({rows}) AS r WHERE d.key = r.key""",
    Rows(key="text", number="integer"),
)
_PRIORS = Statement(
    f"""
    SELECT n.id, n.shop, n.order_id, n.event, n.rank, n.always, n.shipment_id, n.state,
        n.state = 'planned' OR n.state = 'active' AND EXISTS (
            SELECT 1 FROM delivery d WHERE d.notification_id = n.id AND lower(d.state) = 'queued'
        ) AND NOT EXISTS (
            SELECT 1 FROM delivery d WHERE d.notification_id = n.id AND lower(d.state) IN ({in_list(CARRIES)})
        )
    FROM ({{rows}}) AS r JOIN notification n ON n.shop = r.shop AND n.order_id = r.order_id ORDER BY n.id""",
    Rows(shop="text", order_id="text"),
)
_CONSENTS = Statement(
    """
    SELECT c.shop, c.phone, c.channel, c.purpose, c.granted, c.source, c.at
    FROM ({rows}) AS r JOIN consent c ON c.shop = r.shop AND c.phone = r.phone ORDER BY c.at, c.recorded_at, c.id""",
    Rows(shop="text", phone="text"),
)
_EVENT_ROWS = Rows(
    id="text",
    shop="text",
    order_id="text",
    order_number="text",
    event="text",
    shipment_id="text",
    revision="text",
    key="text",
    occurred_at="bigint",
    received_at="bigint",
    door="text",
    body="text",
)
_NOTIFICATION_ROWS = Rows(
    id="text",
    event_id="text",
    shop="text",
    order_id="text",
    event="text",
    rank="integer",
    always="boolean",
    shipment_id="text",
    phone="text",
    country="text",
    timezone="text",
    locale="text",
    template="text",
    channels="text",
    priority="integer",
    state="text",
    reason="text",
    detail="text",
    expires_at="bigint",
    due_at="bigint",
    decisions="text",
)
_CONSENT_ROWS = Rows(
    id="text",
    shop="text",
    phone="text",
    channel="text",
    purpose="text",
    granted="boolean",
    source="text",
    at="bigint",
    event_id="text",
)


def _insert(table: str, rows: Rows, more: str = "", values: str = "", end: str = "") -> Statement:
    names = ", ".join(rows.columns)
    taken = ", ".join(f"r.{name}" for name in rows.columns)
    # SQLite reads ON CONFLICT after FROM as a join's ON unless a WHERE stands between.
    return Statement(
        f"INSERT INTO {table} ({names}{more}) SELECT {taken}{values} FROM ({{rows}}) AS r WHERE true {end}", rows
    )


_INSERT_EVENTS = _insert("order_event", _EVENT_ROWS, end="ON CONFLICT (key) DO NOTHING RETURNING id")
_INSERT_NOTIFICATIONS = _insert(
    "notification",
    _NOTIFICATION_ROWS,
    ", created_at, finished_at",
    ", :now, CASE WHEN r.state IN ('planned', 'active') THEN NULL ELSE :now END",
)
_INSERT_DELIVERIES = Statement(INSERT_DELIVERIES, DELIVERY_ROWS)
_INSERT_CONSENTS = _insert("consent", _CONSENT_ROWS, ", recorded_at", ", :now")


def known_events(conn: Connection, keys: Sequence[str]) -> dict[str, str]:
    """Which of these business keys the ledger holds: key → event id."""
    return {row[0]: row[1] for row in _KNOWN.run(conn, ids=to_json(sorted(set(keys))))}


def count_copies(conn: Connection, keys: Sequence[str], now: datetime) -> None:
    """Counts further copies of known events, a key as often as it is given."""
    rows = [{"key": key, "number": keys.count(key)} for key in sorted(set(keys))]
    _COPIES.run(conn, rows, now=to_us(now))


def priors(conn: Connection, orders: Sequence[tuple[str, str]]) -> list[Prior]:
    """The notifications of these (shop, order id), oldest first."""
    rows = [{"shop": shop, "order_id": order_id} for shop, order_id in sorted(set(orders))]
    return [
        Prior(found, shop, order, event, rank, bool(always), shipment, state, bool(unsent))
        for found, shop, order, event, rank, always, shipment, state, unsent in _PRIORS.run(conn, rows)
    ]


def consents(conn: Connection, people: Sequence[tuple[str, str]]) -> list[ConsentRecord]:
    """The consent records of these (shop, phone), oldest first: the last that speaks counts."""
    rows = [{"shop": shop, "phone": phone} for shop, phone in sorted(set(people))]
    return [
        ConsentRecord(shop, phone, channel, purpose, bool(granted), source, from_us(at))
        for shop, phone, channel, purpose, granted, source, at in _CONSENTS.run(conn, rows).all()
    ]


def insert_events(conn: Connection, events: Sequence[NewEvent], now: datetime) -> set[str]:
    """Keeps order events; the ids of those that were new. A key that another transaction is inserting is waited for.

    Sorted by key, so that two batches with the same keys wait for each other in one direction.
    """
    rows = sorted(events, key=lambda event: event.key)
    return {found for (found,) in _INSERT_EVENTS.run(conn, rows)} if rows else set()


def insert_notifications(conn: Connection, rows: Sequence[NewNotification], now: datetime) -> None:
    """Keeps decided notifications."""
    if rows:
        plain = [{**{name: getattr(row, name) for name in _NAMES}, "channels": ",".join(row.channels)} for row in rows]
        _INSERT_NOTIFICATIONS.run(conn, plain, now=to_us(now))


_NAMES = tuple(column.name for column in fields(NewNotification))


def insert_deliveries(conn: Connection, rows: Sequence[NewDelivery], now: datetime) -> None:
    """Queues the first deliveries of notifications that the same transaction has inserted."""
    if rows:
        _INSERT_DELIVERIES.run(conn, rows, now=to_us(now), reason=None)


def insert_consents(conn: Connection, rows: Sequence[NewConsent], now: datetime) -> None:
    """Appends consent records."""
    if rows:
        names = tuple(column.name for column in fields(NewConsent))
        plain = [{"id": new_id(), **{name: getattr(row, name) for name in names}} for row in rows]
        _INSERT_CONSENTS.run(conn, plain, now=to_us(now))
