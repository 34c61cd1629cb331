"""How much of what there is: for the console, the metrics and the demo's verdict. Reports, not the hot path."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from notifier.ledger.instants import from_us_or_none, to_us
from notifier.ledger.statements import Statement


@dataclass(frozen=True, slots=True)
class NotificationCount:
    """Notifications alike."""

    state: str
    reason: str | None
    told_by: str | None
    number: int


@dataclass(frozen=True, slots=True)
class DeliveryCount:
    """Deliveries alike."""

    lane: str
    channel: str
    state: str
    number: int


@dataclass(frozen=True, slots=True)
class Counts:
    """The whole ledger in numbers. doubles: messages that reached a customer a second time; copies: repeated events."""

    events: int
    copies: int
    doubles: int
    notifications: list[NotificationCount]
    deliveries: list[DeliveryCount]


@dataclass(frozen=True, slots=True)
class LaneDepth:
    """What waits in a lane. queued: all; due: of those, now; oldest_due: since when the oldest of them is due."""

    lane: str
    channel: str
    queued: int
    due: int
    oldest_due: datetime | None
    claimed: int
    unknown: int


_EVENTS = Statement("SELECT count(*), coalesce(sum(copies) - count(*), 0) FROM order_event")
_DOUBLES = Statement("SELECT coalesce(sum(doubles), 0) FROM notification")
_NOTIFICATIONS = Statement(
    """
    SELECT state, reason, told_by, count(*) FROM notification
    GROUP BY state, reason, told_by ORDER BY state, coalesce(reason, ''), coalesce(told_by, '')"""
)
_DELIVERIES = Statement(
    "SELECT lane, channel, state, count(*) FROM delivery GROUP BY lane, channel, state ORDER BY lane, channel, state"
)
_WAITING = """
    SELECT lane, channel, sum(CASE WHEN state = 'queued' THEN 1 ELSE 0 END),
        sum(CASE WHEN state = 'queued' AND due_at <= :now AND expires_at > :now THEN 1 ELSE 0 END),
        min(CASE WHEN state = 'queued' AND due_at <= :now AND expires_at > :now THEN due_at END),
        sum(CASE WHEN state = 'claimed' THEN 1 ELSE 0 END), sum(CASE WHEN state = 'unknown' THEN 1 ELSE 0 END)
    FROM (
        SELECT shop, lane, channel, state, due_at, expires_at FROM delivery WHERE state = 'queued'
        UNION ALL SELECT shop, lane, channel, state, due_at, expires_at FROM delivery WHERE state = 'claimed'
        UNION ALL SELECT shop, lane, channel, state, due_at, expires_at FROM delivery
            WHERE state IN ('accepted', 'sent', 'unknown') AND fallback_at IS NOT NULL AND state = 'unknown'
    ) AS waiting"""
_BY_LANE = "GROUP BY lane, channel ORDER BY lane, channel"
_DEPTHS = Statement(f"{_WAITING} {_BY_LANE}")
_DEPTHS_OF_SHOP = Statement(f"{_WAITING} WHERE shop = :shop {_BY_LANE}")


def by_state(conn: Connection) -> Counts:
    """Everything by state, reason, channel. Reads whole tables: for reports."""
    events, copies = _EVENTS.run(conn).one()
    return Counts(
        int(events),
        int(copies),
        int(_DOUBLES.run(conn).scalar_one()),
        [NotificationCount(*row) for row in _NOTIFICATIONS.run(conn)],
        [DeliveryCount(*row) for row in _DELIVERIES.run(conn)],
    )


def lane_depths(conn: Connection, now: datetime, shop: str | None = None) -> list[LaneDepth]:
    """The lanes in which something waits, of one shop or (None) of all. Costs by what waits, not by what was."""
    at = to_us(now)
    found = _DEPTHS.run(conn, now=at) if shop is None else _DEPTHS_OF_SHOP.run(conn, now=at, shop=shop)
    return [
        LaneDepth(lane, channel, int(queued), int(due), from_us_or_none(oldest), int(claimed), int(unknown))
        for lane, channel, queued, due, oldest, claimed, unknown in found
    ]
