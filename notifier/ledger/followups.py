# ruff: noqa: S608  statements are put together from constants of this room; values always travel as parameters
"""What the movements must know about a delivery that ended, to decide what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from notifier.ledger.instants import from_us, from_us_or_none
from notifier.ledger.statements import OBSOLETE_BY, Statement, to_json


@dataclass(frozen=True, slots=True)
class Ended:
    """A delivery that ended, or is about to, with its notification as it stands now."""

    delivery_id: str
    notification_id: str
    shop: str
    order_id: str
    event: str
    rank: int | None
    always: bool
    shipment_id: str | None
    phone: str
    country: str | None
    timezone: str
    locale: str
    template: str
    channels: tuple[str, ...]
    channel: str
    position: int
    lane: str
    priority: int
    expires_at: datetime
    outcome: str | None
    code: str | None
    reason: str | None
    notification_state: str
    attempts: int
    obsolete_by: str | None
    owner: str | None
    due_at: datetime
    accepted_at: datetime | None


_ENDED = Statement(
    f"""
    SELECT d.id, d.notification_id, d.shop, d.order_id, n.event, n.rank, n.always, n.shipment_id, n.phone, n.country,
        n.timezone, n.locale, n.template, n.channels, d.channel, d.position, d.lane, d.priority, d.expires_at,
        d.outcome, d.code, d.reason, n.state, d.attempts, {OBSOLETE_BY},
        d.owner, d.due_at, d.accepted_at
    FROM delivery d JOIN notification n ON n.id = d.notification_id WHERE d.id IN ({{ids}}) ORDER BY d.id"""
)


def ended(conn: Connection, delivery_ids: Sequence[str], _now: datetime) -> list[Ended]:
    """These deliveries with their notifications, by id; ids that the ledger does not know are left out.

    `obsolete_by` is as of this transaction, like everything here; `now` is only what the caller decides by.
    """
    found = []
    for row in _ENDED.run(conn, ids=to_json(sorted(set(delivery_ids)))):
        values = list(row)
        values[6], values[13] = bool(row[6]), tuple(row[13].split(","))
        values[18], values[26], values[27] = from_us(row[18]), from_us(row[26]), from_us_or_none(row[27])
        found.append(Ended(*values))
    return found
