# ruff: noqa: S608  statements are put together from constants of this room; values always travel as parameters
"""Everything the ledger knows about an order: what `notifier why` tells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy.engine import Connection

from notifier.ledger.instants import from_us_or_none
from notifier.ledger.statements import Statement, to_json


@dataclass(frozen=True, slots=True)
class StoryEvent:
    """An order event as it was kept. body: its JSON text ("{}" once forgotten); copies: how often it came."""

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
    body: str = field(repr=False)
    copies: int
    last_copy_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoryNotification:
    """What was decided about an event, and what became of it."""

    id: str
    event_id: str
    event: str
    rank: int | None
    always: bool
    shipment_id: str | None
    phone: str | None = field(repr=False)
    country: str | None
    timezone: str | None
    locale: str | None
    template: str | None
    channels: tuple[str, ...]
    priority: int
    state: str
    reason: str | None
    detail: str | None
    decisions: str | None
    expires_at: datetime | None
    due_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    told_by: str | None
    told_at: datetime | None
    doubles: int


@dataclass(frozen=True, slots=True)
class StoryDelivery:
    """One try over one channel, with the instant of every happy step."""

    id: str
    notification_id: str
    lane: str
    channel: str
    position: int
    priority: int
    state: str
    reason: str | None
    outcome: str | None
    code: str | None
    detail: str | None
    due_at: datetime
    first_due_at: datetime
    expires_at: datetime
    attempts: int
    throttles: int
    owner: str | None
    lease_until: datetime | None
    claimed_at: datetime | None
    provider_id: str | None
    accepted_at: datetime | None
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    failed_at: datetime | None
    finished_at: datetime | None
    fallback_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """A step that overwrote what was there."""

    at: datetime
    notification_id: str
    delivery_id: str | None
    step: str
    from_state: str | None
    to_state: str | None
    reason: str | None
    code: str | None
    detail: str | None
    by_whom: str


@dataclass(frozen=True, slots=True)
class StoryReceipt:
    """A receipt that waits for its delivery, though it names one of this order."""

    provider: str
    provider_id: str | None
    ref: str | None
    status: str
    at: datetime
    code: str | None
    outcome: str | None
    detail: str | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Story:
    """All of one order, or of several that share a number: each list oldest first."""

    events: list[StoryEvent]
    notifications: list[StoryNotification]
    deliveries: list[StoryDelivery]
    history: list[HistoryLine]
    parked: list[StoryReceipt]


Value = TypeVar("Value")


def _columns(value: type[Any], alias: str) -> str:
    return ", ".join(f"{alias}.{name}" for name in _names(value))


def _names(value: type[Any]) -> tuple[str, ...]:
    return tuple(column.name for column in fields(value))


# Two scans of two indexes: with OR over both columns the planner has neither.
_EVENTS = Statement(
    " UNION ".join(
        f"""SELECT {_columns(StoryEvent, "e")} FROM order_event e
        WHERE e.shop IN ({{ids}}) AND {named}"""
        for named in ("e.order_id = :order", "e.order_number IN (:order, :with_sign)")
    )
    + " ORDER BY received_at, id"
)
# The indexes begin with the shop; there are few of them, and a loose scan finds them all.
_SHOPS = Statement(
    """
    WITH RECURSIVE shops(shop) AS (
        SELECT (SELECT min(e.shop) FROM order_event e)
        UNION ALL
        SELECT (SELECT min(e.shop) FROM order_event e WHERE e.shop > s.shop) FROM shops s WHERE s.shop IS NOT NULL
    ) SELECT shop FROM shops WHERE shop IS NOT NULL"""
)
_NOTIFICATIONS = Statement(
    f"SELECT {_columns(StoryNotification, 'n')} FROM notification n WHERE n.event_id IN ({{ids}}) ORDER BY n.id"
)
_DELIVERIES = Statement(
    f"""SELECT {_columns(StoryDelivery, "d")} FROM delivery d
    WHERE d.notification_id IN ({{ids}}) ORDER BY d.notification_id, d.position, d.id"""
)
_HISTORY = Statement(
    f"SELECT {_columns(HistoryLine, 'h')} FROM history h WHERE h.notification_id IN ({{ids}}) ORDER BY h.at, h.id"
)
_PARKED = Statement(
    f"""SELECT {_columns(StoryReceipt, "p")} FROM parked_receipt p WHERE p.ref IN ({{ids}}) OR p.provider_id IN (
        SELECT d.provider_id FROM delivery d WHERE d.id IN ({{ids}}) AND d.provider_id IS NOT NULL
    ) ORDER BY p.received_at, p.id"""
)

_ORDER_OF = Statement("SELECT e.order_id FROM order_event e WHERE e.id = :event_id AND e.shop = :shop")


def order_of(conn: Connection, shop: str, event_id: str) -> str | None:
    """The order that an event of this shop is about; None when the shop has no such event."""
    return _ORDER_OF.run(conn, shop=shop, event_id=event_id).scalar_one_or_none()


def story(conn: Connection, order: str, shop: str | None = None) -> Story:
    """All about an order id or order number, in one shop or (None) in all; empty lists when nobody knows it.

    Shopify's order is called #1001, and nobody types the sign: in a shell it begins a comment.
    """
    shops = [shop] if shop is not None else [found for (found,) in _SHOPS.run(conn)]
    events = _read(StoryEvent, _EVENTS.run(conn, order=order, with_sign=f"#{order}", ids=to_json(shops)))
    notifications = _read(StoryNotification, _of(conn, _NOTIFICATIONS, [event.id for event in events]))
    ids = [one.id for one in notifications]
    deliveries = _read(StoryDelivery, _of(conn, _DELIVERIES, ids))
    history = _read(HistoryLine, _of(conn, _HISTORY, ids))
    parked = _read(StoryReceipt, _of(conn, _PARKED, [one.id for one in deliveries]))
    return Story(events, notifications, deliveries, history, parked)


def _of(conn: Connection, statement: Statement, ids: Sequence[str]) -> Sequence[Sequence[Any]]:
    return statement.run(conn, ids=to_json(ids)).all()


def _read(value: type[Value], rows: Any) -> list[Value]:
    """The rows as values: instants aware, flags bool, channels apart."""
    made = [_maker(name) for name in _names(value)]
    build: Callable[..., Value] = value
    return [build(*(make(cell) for make, cell in zip(made, row, strict=True))) for row in rows]


def _maker(name: str) -> Callable[[Any], object]:
    return _MADE.get(name) or (_instant if name.endswith("_at") else _same)


def _same(cell: object) -> object:
    return cell


def _instant(cell: Any) -> datetime | None:
    return from_us_or_none(cell)


def _channels(cell: str) -> tuple[str, ...]:
    return tuple(cell.split(","))


_MADE: dict[str, Callable[[Any], object]] = {
    "at": _instant,
    "lease_until": _instant,
    "always": bool,
    "channels": _channels,
}
