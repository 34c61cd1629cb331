"""What receipts do to deliveries: they only ever lift, in whatever order and number they come."""

# ruff: noqa: S608  statements are put together from constants of this room; values always travel as parameters
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.engine import Connection

from notifier.ledger.instants import to_us
from notifier.ledger.moves import TRIED, Move
from notifier.ledger.statements import Rows, Statement
from notifier.ledger.states import LATE, RECEIPT_RANK, DeliveryState


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """One receipt that lifts. at: the provider's clock. fallback_at: when silence counts after it, for a delivery whose
    acceptance is not in the ledger; without it, when the message expires."""

    delivery_id: str
    status: Literal["sent", "delivered", "read"]
    at: datetime
    provider_id: str | None = None
    fallback_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """moved: deliveries that went up. upgraded: those of them that counted as failed, expired or cancelled before."""

    moved: list[str]
    upgraded: list[str]


@dataclass(slots=True)
class _Lift:
    """All receipts of one delivery in a batch, as one row: the highest status, and the first instant of each."""

    delivery_id: str
    step: str = "note_sent"
    provider_id: str | None = None
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    fallback_at: datetime | None = None

    def add(self, row: ReceiptRow) -> None:
        status = DeliveryState(row.status)
        if RECEIPT_RANK[status] > RECEIPT_RANK[DeliveryState(self.step.removeprefix("note_"))]:
            self.step = f"note_{status}"
        known: datetime | None = getattr(self, f"{status}_at")
        setattr(self, f"{status}_at", min(known or row.at, row.at))
        self.provider_id = self.provider_id or row.provider_id
        self.fallback_at = self.fallback_at or row.fallback_at


_ROWS = Rows(
    delivery_id="text",
    step="text",
    provider_id="text",
    sent_at="bigint",
    delivered_at="bigint",
    read_at="bigint",
    fallback_at="bigint",
)
_TIMES = ", ".join(
    f"{at} = coalesce({{least}}(d.{at}, r.{at}), d.{at}, r.{at})" for at in ("sent_at", "delivered_at", "read_at")
)
_FILL = f"{_TIMES}, provider_id = coalesce(d.provider_id, r.provider_id), updated_at = :now"
# A receipt that comes before our own commit finds no time for silence. The drain may have died before that commit: then
# this is all that will ever be known, and a phone that is off must still be told on the next channel.
_LIFT = Move(
    "note_sent",
    "note_delivered",
    "note_read",
    rows=_ROWS,
    sets=f"""{_FILL}, {TRIED},
        lease_until = NULL, reason = NULL, outcome = NULL, code = NULL, detail = NULL, failed_at = NULL,
        fallback_at = CASE WHEN d.accepted_at IS NULL THEN coalesce(d.fallback_at, r.fallback_at, d.expires_at)
            ELSE d.fallback_at END,
        finished_at = CASE WHEN r.step <> 'note_sent' THEN coalesce(d.finished_at, :now) END""",
    late=LATE,
)
_LATE = Statement(f"UPDATE delivery AS d SET {_FILL} FROM ({{rows}}) AS r WHERE d.id = r.delivery_id", _ROWS)
_ENDED = frozenset({DeliveryState.FAILED, DeliveryState.EXPIRED, DeliveryState.CANCELLED})


def receive(conn: Connection, rows: Sequence[ReceiptRow], now: datetime) -> Received:
    """Lifts deliveries to the highest status that was reported of each, and fills in the instants of all of them.

    Never down: a row that is as high already only gets the instants and the provider's id that it lacked.
    """
    lifts: dict[str, _Lift] = {}
    for row in rows:
        lifts.setdefault(row.delivery_id, _Lift(row.delivery_id)).add(row)
    left = _LIFT.run(conn, list(lifts.values()), now, "receipts")
    below = [lift for found, lift in lifts.items() if found not in left]
    if below:
        _LATE.run(conn, below, now=to_us(now))
    return Received(sorted(left), sorted(found for found, was in left.items() if was in _ENDED))
