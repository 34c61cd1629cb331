"""Every transition of a batch of deliveries: a verb each, in the caller's transaction.

In: an open transaction, a batch of small values that hold just what the step may set, `now`, and who does it. Out: who
moved, who lost. The guard is in the statement and comes from states.STEPS; history is written beside it; nothing here
commits, and nothing reads first. Of two rows about the same delivery in one batch the first counts.

The steps that receipts take are in `lifts.py`, those of notifications in `endings.py`; callers find all of them here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from notifier.ledger.endings import (
    GiveUp,
    Reopen,
    Sibling,
    Suppress,
    Tell,
    give_up,
    note_double,
    open_delivery,
    reopen,
    siblings,
    suppress,
    tell,
)
from notifier.ledger.instants import to_us
from notifier.ledger.lifts import ReceiptRow, Received, receive
from notifier.ledger.moves import TRIED, Move, Moved, moved_of
from notifier.ledger.statements import Rows, Statement, first_of_each

__all__ = [
    "Accept",
    "Cancel",
    "Expire",
    "Fail",
    "GiveUp",
    "Lose",
    "Moved",
    "ReceiptRow",
    "Received",
    "Reopen",
    "Requeue",
    "Resend",
    "Sibling",
    "Suppress",
    "Tell",
    "accept",
    "cancel",
    "expire",
    "fail",
    "give_up",
    "lose_track",
    "note_double",
    "open_delivery",
    "receive",
    "reopen",
    "requeue",
    "resend",
    "siblings",
    "suppress",
    "tell",
    "withdraw",
]


@dataclass(frozen=True, slots=True)
class Accept:
    """The provider took it. fallback_at: when silence is decided (None: never). held: taken, and kept back for now."""

    delivery_id: str
    provider_id: str
    at: datetime
    fallback_at: datetime | None
    held: bool = False


@dataclass(frozen=True, slots=True)
class Requeue:
    """Back to the queue until due_at. attempt False: the provider did not look at it, so it does not count as a try."""

    delivery_id: str
    due_at: datetime
    reason: str
    code: str | None = None
    detail: str | None = None
    attempt: bool = True


@dataclass(frozen=True, slots=True)
class Lose:
    """The answer was lost. fallback_at: until when the receipt may decide."""

    delivery_id: str
    reason: str
    detail: str | None
    fallback_at: datetime | None


@dataclass(frozen=True, slots=True)
class Fail:
    """A definite no. outcome: an outcome class; at: when the provider, or we, knew."""

    delivery_id: str
    outcome: str
    code: str | None
    detail: str | None
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Expire:
    """Its time ran out."""

    delivery_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Taken back before it left (`cancel` from the queue, `withdraw` by the drain that holds it)."""

    delivery_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Resend:
    """The lost one is tried again: somebody decided that a double is the smaller harm."""

    delivery_id: str
    due_at: datetime
    reason: str


_UNLEASED = "lease_until = NULL, updated_at = :now"
_ENDED = f"{_UNLEASED}, finished_at = coalesce(d.finished_at, :now), reason = r.reason"
# A lease's fence: with an owner given, only that drain's own claim moves, not the next one's after the lease ended.
_FENCE = "(CAST(:owner AS TEXT) IS NULL OR d.owner = :owner)"

_ACCEPT_ROWS = Rows(delivery_id="text", provider_id="text", at="bigint", fallback_at="bigint", held="boolean")
_ACCEPT = Move(
    "accept",
    rows=_ACCEPT_ROWS,
    sets=f"""provider_id = r.provider_id, accepted_at = coalesce(d.accepted_at, r.at), fallback_at = r.fallback_at,
        reason = CASE WHEN r.held THEN 'held' END, outcome = NULL, code = NULL, detail = NULL, {TRIED}, {_UNLEASED}""",
)
# The receipt was quicker than our own commit: the row is already further up, and still lacks what only the answer knew.
_ACCEPT_LATE = Statement(
    """
    UPDATE delivery AS d SET provider_id = coalesce(d.provider_id, r.provider_id), accepted_at = r.at,
        fallback_at = r.fallback_at, updated_at = :now
    FROM ({rows}) AS r
    WHERE d.id = r.delivery_id AND d.accepted_at IS NULL AND d.state IN ('sent', 'delivered', 'read', 'failed')""",
    _ACCEPT_ROWS,
)
_REQUEUE = Move(
    "requeue",
    rows=Rows(delivery_id="text", due_at="bigint", reason="text", code="text", detail="text", attempt="boolean"),
    sets=f"""due_at = r.due_at, reason = r.reason, code = r.code, detail = r.detail,
        attempts = d.attempts + CASE WHEN r.attempt THEN 1 ELSE 0 END,
        throttles = d.throttles + CASE WHEN r.reason LIKE 'throttle%' AND NOT r.attempt THEN 1 ELSE 0 END,
        {_UNLEASED}""",
    guard=_FENCE,
)
_LOSE = Move(
    "lose_track",
    rows=Rows(delivery_id="text", reason="text", detail="text", fallback_at="bigint"),
    sets=f"""reason = r.reason, code = NULL, detail = r.detail, fallback_at = r.fallback_at, outcome = 'UNKNOWN',
        {TRIED}, {_UNLEASED}""",
    guard=_FENCE,
)
_FAIL = Move(
    "fail",
    rows=Rows(delivery_id="text", outcome="text", code="text", detail="text", reason="text", at="bigint"),
    sets=f"outcome = r.outcome, code = r.code, detail = r.detail, failed_at = r.at, {TRIED}, {_ENDED}",
    # The owner stays on a row that was accepted, so it alone does not say that the claim stands.
    guard="(CAST(:owner AS TEXT) IS NULL OR (d.owner = :owner AND d.state = 'claimed'))",
)
_REASON = Rows(delivery_id="text", reason="text")
_EXPIRE = Move("expire", rows=_REASON, sets=_ENDED)
_CANCEL = Move("cancel", rows=_REASON, sets=_ENDED)
_WITHDRAW = Move("withdraw", rows=_REASON, sets=_ENDED, guard=_FENCE)
_RESEND = Move(
    "resend",
    rows=Rows(delivery_id="text", due_at="bigint", reason="text"),
    sets=f"due_at = r.due_at, reason = r.reason, outcome = NULL, code = NULL, detail = NULL, {_UNLEASED}",
)


def _step(move: Move, conn: Connection, rows: Sequence[object], now: datetime, by: str, **params: str | None) -> Moved:
    asked = first_of_each(rows, "delivery_id")
    return moved_of(asked, move.run(conn, list(asked.values()), now, by, **params))


def accept(conn: Connection, rows: Sequence[Accept], now: datetime, by: str) -> Moved:
    """claimed, unknown → accepted. A row that a receipt has lifted already loses, and still gets what it lacks."""
    moved = _step(_ACCEPT, conn, rows, now, by)
    if moved.lost:
        late = first_of_each([row for row in rows if row.delivery_id in moved.lost], "delivery_id")
        _ACCEPT_LATE.run(conn, late.values(), now=to_us(now))
    return moved


def requeue(conn: Connection, rows: Sequence[Requeue], now: datetime, by: str, owner: str | None = None) -> Moved:
    """claimed → queued, due later. owner: the drain whose claim it must still be; None: anybody's."""
    return _step(_REQUEUE, conn, rows, now, by, owner=owner)


def lose_track(conn: Connection, rows: Sequence[Lose], now: datetime, by: str, owner: str | None = None) -> Moved:
    """claimed → unknown: bytes may have left and no answer came. owner: as for `requeue`."""
    return _step(_LOSE, conn, rows, now, by, owner=owner)


def withdraw(conn: Connection, rows: Sequence[Cancel], now: datetime, by: str, owner: str | None = None) -> Moved:
    """claimed → cancelled, by the drain that holds it and has not started its request. owner: as for `requeue`."""
    return _step(_WITHDRAW, conn, rows, now, by, owner=owner)


def fail(conn: Connection, rows: Sequence[Fail], now: datetime, by: str, owner: str | None = None) -> Moved:
    """claimed, unknown, accepted, sent → failed. owner: only what this drain has claimed."""
    return _step(_FAIL, conn, rows, now, by, owner=owner)


def expire(conn: Connection, rows: Sequence[Expire], now: datetime, by: str) -> Moved:
    """queued, unknown, accepted, sent → expired."""
    return _step(_EXPIRE, conn, rows, now, by)


def cancel(conn: Connection, rows: Sequence[Cancel], now: datetime, by: str) -> Moved:
    """queued → cancelled. What a drain has claimed may be on the wire: it loses."""
    return _step(_CANCEL, conn, rows, now, by)


def resend(conn: Connection, rows: Sequence[Resend], now: datetime, by: str) -> Moved:
    """unknown → queued."""
    return _step(_RESEND, conn, rows, now, by)
