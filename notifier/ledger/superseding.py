"""Taking back older messages of an order that a newer event makes pointless."""

# ruff: noqa: S608  statements are put together from constants of this room; values always travel as parameters
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from notifier.ledger.endings import LOCK, SILENT, WHY, Suppress
from notifier.ledger.moves import Move
from notifier.ledger.schema import in_list
from notifier.ledger.statements import Statement, first_of_each, to_json
from notifier.ledger.states import CARRIES, DeliveryState
from notifier.ledger.steps import Cancel, cancel

REASON = "superseded"


@dataclass(frozen=True, slots=True)
class Supersede:
    """An older unsent notification that a newer event (`by_event`) makes pointless."""

    notification_id: str
    by_event: str


# Rows that somebody moves at this moment are left alone: the claim's own stale guard sees them.
_WAITING = Statement(
    """
    SELECT d.id FROM delivery d
    WHERE d.notification_id IN ({ids}) AND lower(d.state) = 'queued' ORDER BY d.id {skip_locked}"""
)
_SUPPRESS_UNSENT = Move(
    "suppress",
    rows=WHY,
    sets=SILENT,
    guard=f"""NOT EXISTS (SELECT 1 FROM delivery x WHERE x.notification_id = d.id
        AND lower(x.state) IN ({in_list(CARRIES | {DeliveryState.QUEUED})}))""",
)


def supersede(conn: Connection, rows: Sequence[Supersede], now: datetime, by: str = "intake") -> int:
    """Cancels what is queued of these notifications, and suppresses those of which nothing may be with the customer.

    The notifications are locked first, so that a fallback that opens a delivery now comes before or after, not between.
    Returns how many were suppressed (reason superseded, detail the newer event).
    """
    wanted = first_of_each(rows, "notification_id")
    if not wanted:
        return 0
    ids = to_json(sorted(wanted))
    LOCK.run(conn, ids=ids)
    waiting = [Cancel(found, REASON) for (found,) in _WAITING.run(conn, ids=ids)]
    cancel(conn, waiting, now, by)
    why = [Suppress(row.notification_id, REASON, row.by_event) for row in wanted.values()]
    return len(_SUPPRESS_UNSENT.run(conn, why, now, by))
