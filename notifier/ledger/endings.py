"""What becomes of a notification: told, unreached, suppressed, reopened, or carried on by its next delivery."""

# ruff: noqa: S608  statements are put together from constants of this room; values always travel as parameters
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy.engine import Connection

from notifier.ledger.instants import to_us
from notifier.ledger.moves import HISTORY, Move, Moved, moved_of
from notifier.ledger.statements import Rows, Statement, first_of_each, to_json

if TYPE_CHECKING:
    from notifier.ledger.plans import NewDelivery


@dataclass(frozen=True, slots=True)
class Tell:
    """The customer has it. channel: over which; at: since when."""

    notification_id: str
    channel: str
    at: datetime


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No channel is left."""

    notification_id: str
    reason: str
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Suppress:
    """Silence by decision."""

    notification_id: str
    reason: str
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Reopen:
    """An operator wants it tried again; the delivery is opened by `open_delivery`."""

    notification_id: str
    reason: str
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class _Activate:
    notification_id: str


@dataclass(frozen=True, slots=True)
class Sibling:
    """One of the deliveries of a notification, for whoever decides about the others."""

    delivery_id: str
    notification_id: str
    channel: str
    position: int
    state: str


WHY = Rows(notification_id="text", reason="text", detail="text")
SILENT = "reason = r.reason, detail = r.detail, finished_at = :now"
_TELL = Move(
    "tell",
    rows=Rows(notification_id="text", channel="text", at="bigint"),
    sets="reason = NULL, detail = NULL, told_by = r.channel, told_at = r.at, finished_at = :now",
    late=("unreached", "suppressed"),
)
_GIVE_UP = Move("give_up", rows=WHY, sets=SILENT)
_SUPPRESS = Move("suppress", rows=WHY, sets=SILENT)
_REOPEN = Move("reopen", rows=WHY, sets="reason = NULL, detail = NULL, finished_at = NULL")
_ACTIVATE = Move("activate", rows=Rows(notification_id="text"), sets="reason = NULL")

DELIVERY_ROWS = Rows(
    id="text",
    notification_id="text",
    shop="text",
    lane="text",
    channel="text",
    position="integer",
    priority="integer",
    due_at="bigint",
    expires_at="bigint",
)
INSERT_DELIVERIES = """
    INSERT INTO delivery (id, notification_id, shop, order_id, lane, channel, position, priority, state, reason,
        due_at, first_due_at, expires_at, created_at, updated_at)
    SELECT r.id, r.notification_id, r.shop, n.order_id, r.lane, r.channel, r.position, r.priority, 'queued', :reason,
        r.due_at, r.due_at, r.expires_at, :now, :now
    FROM ({rows}) AS r LEFT JOIN notification n ON n.id = r.notification_id"""
_OPEN = Statement(
    INSERT_DELIVERIES + " WHERE n.state IN ('planned', 'active') ON CONFLICT DO NOTHING RETURNING id, notification_id",
    DELIVERY_ROWS,
)
LOCK = Statement("SELECT d.id FROM notification d WHERE d.id IN ({ids}) ORDER BY d.id {lock}")
_OPENED = Statement(
    f"""
    INSERT INTO history ({HISTORY})
    SELECT :now, d.notification_id, d.id, 'open_delivery', NULL, 'queued', :reason, NULL, d.lane, :by
    FROM delivery d WHERE d.id IN ({{ids}})"""
)
_DOUBLE = Statement("UPDATE notification AS d SET doubles = d.doubles + 1 WHERE d.id IN ({ids}) RETURNING id")
_DOUBLED = Statement(
    f"""
    INSERT INTO history ({HISTORY})
    SELECT :now, d.id, NULL, 'double', d.state, d.state, NULL, NULL, NULL, 'receipts'
    FROM notification d WHERE d.id IN ({{ids}})"""
)
_SIBLINGS = Statement(
    """
    SELECT d.id, d.notification_id, d.channel, d.position, d.state FROM delivery d
    WHERE d.notification_id IN ({ids}) ORDER BY d.notification_id, d.position, d.id"""
)


def _step(move: Move, conn: Connection, rows: Sequence[object], now: datetime, by: str) -> Moved:
    asked = first_of_each(rows, "notification_id")
    return moved_of(asked, move.run(conn, list(asked.values()), now, by))


def tell(conn: Connection, rows: Sequence[Tell], now: datetime, by: str = "receipts") -> Moved:
    """active, unreached, suppressed → told: the customer has the message, whatever we had decided meanwhile."""
    return _step(_TELL, conn, rows, now, by)


def give_up(conn: Connection, rows: Sequence[GiveUp], now: datetime, by: str) -> Moved:
    """active → unreached."""
    return _step(_GIVE_UP, conn, rows, now, by)


def suppress(conn: Connection, rows: Sequence[Suppress], now: datetime, by: str) -> Moved:
    """planned, active → suppressed."""
    return _step(_SUPPRESS, conn, rows, now, by)


def reopen(conn: Connection, rows: Sequence[Reopen], now: datetime, by: str) -> Moved:
    """unreached, suppressed → active."""
    return _step(_REOPEN, conn, rows, now, by)


def open_delivery(conn: Connection, rows: Sequence[NewDelivery], now: datetime, by: str, reason: str) -> Moved:
    """Opens the next delivery of notifications that are still planned or active.

    Refused by the index of alive deliveries while another one lives: the loser of two that open at once does nothing.
    Locks the notification first, so that `supersede` and this one see each other.
    """
    wanted = first_of_each(rows, "id")
    if not wanted:
        return moved_of((), ())
    notifications = sorted({row.notification_id for row in wanted.values()})
    LOCK.run(conn, ids=to_json(notifications))
    found = _OPEN.run(conn, wanted.values(), now=to_us(now), reason=reason)
    opened: dict[str, str] = {row[0]: row[1] for row in found}
    if opened:
        _OPENED.run(conn, now=to_us(now), ids=to_json(opened), reason=reason, by=by)
        _ACTIVATE.run(conn, [_Activate(found) for found in opened.values()], now, by)
    return moved_of(wanted, opened)


def note_double(conn: Connection, notification_ids: Sequence[str], now: datetime) -> list[str]:
    """Counts a customer who got the message twice, with a line in history. The ids that were found."""
    ids = to_json(sorted(set(notification_ids)))
    _DOUBLED.run(conn, now=to_us(now), ids=ids)
    return sorted(found for (found,) in _DOUBLE.run(conn, ids=ids))


def siblings(conn: Connection, notification_ids: Sequence[str]) -> list[Sibling]:
    """All deliveries of these notifications, in the order of their positions."""
    return [Sibling(*row) for row in _SIBLINGS.run(conn, ids=to_json(sorted(set(notification_ids))))]
