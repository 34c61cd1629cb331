# ruff: noqa: S608  statements are put together from constants of this room; values always travel as parameters
"""What ended without reaching anybody, for those who want it tried again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from notifier.ledger.instants import from_us
from notifier.ledger.statements import OBSOLETE_BY, Statement, to_json


@dataclass(frozen=True, slots=True)
class Unreached:
    """A notification with all that a decision about a new try needs.

    position: -1, for the new try begins with the first channel. tried: it had a delivery. lost: the answer to one of
    its requests was lost and never cleared up, so the customer may have it. phone None, body_kept False: forgotten.
    """

    notification_id: str
    shop: str
    order_id: str
    event: str
    phone: str | None = field(repr=False)
    country: str | None
    template: str | None
    channels: tuple[str, ...]
    priority: int
    state: str
    reason: str | None
    detail: str | None
    finished_at: datetime | None
    body_kept: bool
    tried: bool
    lost: bool
    obsolete_by: str | None
    position: int = -1


# Suppressed as expired counts when it had a delivery: a lane that stood still let it grow old. What was too old when it
# came does not: replaying a backlog import would tell thousands of customers of last year's orders.
_DEAD = """(n.state = 'unreached' OR n.state = 'suppressed' AND n.reason = 'expired'
    AND EXISTS (SELECT 1 FROM delivery d WHERE d.notification_id = n.id))"""
_COLUMNS = f"""
    SELECT n.id, n.shop, n.order_id, n.event, n.phone, n.country, n.template, n.channels, n.priority, n.state, n.reason,
        n.detail, n.finished_at, e.body <> '{{{{}}}}',
        EXISTS (SELECT 1 FROM delivery d WHERE d.notification_id = n.id),
        EXISTS (SELECT 1 FROM delivery d WHERE d.notification_id = n.id AND d.reason = 'unknown_outcome'),
        {OBSOLETE_BY}
    FROM notification n JOIN order_event e ON e.id = n.event_id"""
_LIST = Statement(
    f"""{_COLUMNS} WHERE {_DEAD} AND (CAST(:shop AS TEXT) IS NULL OR n.shop = :shop)
    ORDER BY n.finished_at DESC, n.id LIMIT :limit"""
)
_FIND = Statement(f"{_COLUMNS} WHERE n.id IN ({{ids}}) ORDER BY n.id")


def unreached(conn: Connection, limit: int, shop: str | None = None) -> list[Unreached]:
    """Notifications that were tried and reached nobody, the latest first, of one shop or (None) of all.

    A report: it reads the whole table.
    """
    return [_read(row) for row in _LIST.run(conn, limit=limit, shop=shop)]


def find(conn: Connection, notification_ids: Sequence[str]) -> list[Unreached]:
    """These notifications, whatever their state, by id; ids that the ledger does not know are left out."""
    return [_read(row) for row in _FIND.run(conn, ids=to_json(sorted(set(notification_ids))))]


def _read(row: Sequence[Any]) -> Unreached:
    values = list(row)
    values[7] = tuple(row[7].split(","))
    values[12] = None if row[12] is None else from_us(row[12])
    values[13:16] = map(bool, row[13:16])
    return Unreached(*values)
