# ruff: noqa: S608  statements are put together from constants of this room; values always travel as parameters
"""Which deliveries a sweep has to look at: the selection side. What to do with them is decided in notifier/sweeps.py.

Each takes the first `limit` of a partial index, and on PostgreSQL locks them as claims do, so that two sweeps at once
share the work. The guard is in the step that follows as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from notifier.ledger.instants import to_us
from notifier.ledger.schema import QUEUED_BY_EXPIRY
from notifier.ledger.statements import Statement, to_json


def _first(condition: str, order: str) -> Statement:
    return Statement(f"SELECT d.id FROM delivery d WHERE {condition} ORDER BY d.{order} LIMIT :limit {{skip_locked}}")


_QUEUED = QUEUED_BY_EXPIRY.replace("state", "d.state")
_OVERDUE = _first(f"{_QUEUED} AND d.expires_at <= :now", "expires_at")
_LAPSED = _first("d.lease_until <= :now", "lease_until")
_LAPSED_OWNERS = Statement("SELECT DISTINCT d.owner FROM delivery d WHERE d.lease_until <= :now ORDER BY d.owner")
_LAPSES = Statement(
    """
    SELECT h.delivery_id, count(*) FROM history h
    WHERE h.notification_id IN ({ids}) AND h.step = 'requeue' AND h.by_whom = 'release_expired_leases'
    GROUP BY h.delivery_id"""
)
# The condition of the index once more in full: PostgreSQL proves that a narrower list implies it, SQLite does not.
_WAITING = "d.state IN ('accepted', 'sent', 'unknown') AND d.fallback_at <= :now"
_SILENT = _first(f"{_WAITING} AND d.state = 'sent' AND d.updated_at <= :heard_by", "fallback_at")
_UNHEARD = _first(f"{_WAITING} AND d.state = 'accepted'", "fallback_at")
_UNDECIDED = _first(f"{_WAITING} AND d.state = 'unknown'", "fallback_at")
# Not those on their last channel: nothing else could carry them, and the sender may be mended in their last minutes.
_NEARING = _first(
    f"""{_QUEUED} AND d.expires_at > :now AND d.expires_at <= :before AND d.lane IN ({{ids}})
        AND (SELECT n.channels LIKE '%' || d.channel || ',%' FROM notification n WHERE n.id = d.notification_id)""",
    "expires_at",
)
# An event is the root of its notification: forgetting goes from there. Times, states and reasons stay.
_FORGET_EVENTS = Statement(
    """
    UPDATE order_event SET body = '{{}}' WHERE id IN (
        SELECT d.id FROM order_event d WHERE d.body <> '{{}}' AND d.received_at < :before AND (
            SELECT 1 FROM notification n WHERE n.event_id = d.id AND n.state IN ('planned', 'active') LIMIT 1
        ) IS NULL ORDER BY d.received_at LIMIT :limit {skip_locked}
    ) RETURNING id"""
)
_FORGET_PHONES = Statement("UPDATE notification SET phone = NULL WHERE event_id IN ({ids}) AND phone IS NOT NULL")


def _ids(statement: Statement, conn: Connection, now: datetime, limit: int, **params: int | str) -> list[str]:
    return [found for (found,) in statement.run(conn, now=to_us(now), limit=limit, **params)]


def overdue(conn: Connection, now: datetime, limit: int) -> list[str]:
    """Queued deliveries past their expiry, the oldest first."""
    return _ids(_OVERDUE, conn, now, limit)


def lapsed_leases(conn: Connection, now: datetime, limit: int) -> list[str]:
    """Claimed deliveries whose lease has ended: their drain died or hangs."""
    return _ids(_LAPSED, conn, now, limit)


def lapsed_owners(conn: Connection, now: datetime) -> list[str]:
    """The drains that hold claims whose lease has ended. Costs by those claims."""
    return [owner for (owner,) in _LAPSED_OWNERS.run(conn, now=to_us(now))]


def lapses(conn: Connection, notification_ids: Sequence[str]) -> dict[str, int]:
    """How often deliveries of these notifications were taken from a drain that had died, by delivery."""
    return {found: count for found, count in _LAPSES.run(conn, ids=to_json(notification_ids))}  # noqa: C416


def silent(conn: Connection, now: datetime, limit: int, quiet: timedelta = timedelta()) -> list[str]:
    """Sent deliveries whose time for silence is over, and of which nothing was heard within the last `quiet`."""
    return _ids(_SILENT, conn, now, limit, heard_by=to_us(now - quiet))


def unheard(conn: Connection, now: datetime, limit: int) -> list[str]:
    """Accepted deliveries whose time for silence is over, and of which no receipt at all has come."""
    return _ids(_UNHEARD, conn, now, limit)


def undecided(conn: Connection, now: datetime, limit: int) -> list[str]:
    """Unknown deliveries for which no receipt came in time."""
    return _ids(_UNDECIDED, conn, now, limit)


def nearing_expiry(conn: Connection, lanes: Sequence[str], now: datetime, before: datetime, limit: int) -> list[str]:
    """Queued deliveries of these (stopped) lanes that expire after `now` and not after `before`; not their last try."""
    return _ids(_NEARING, conn, now, limit, before=to_us(before), ids=to_json(lanes))


def forget_bodies(conn: Connection, before: datetime, limit: int) -> int:
    """Empties the bodies of order events received before, and the phones of their notifications, once those ended.

    How many events. Consent records stay: they are the proof of what we were allowed.
    """
    events = [found for (found,) in _FORGET_EVENTS.run(conn, before=to_us(before), limit=limit)]
    if events:
        _FORGET_PHONES.run(conn, ids=to_json(events))
    return len(events)
