"""From a provider's ids to our deliveries, and the receipts that came before we knew theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from notifier.channels.contract import OutcomeClass, Status
from notifier.ledger.instants import from_us, from_us_or_none, to_us
from notifier.ledger.statements import Rows, Statement, to_json


@dataclass(frozen=True, slots=True)
class Hit:
    """The delivery that a receipt speaks of. claimed_at: when a drain last took it."""

    delivery_id: str
    notification_id: str
    shop: str
    event: str
    phone: str = field(repr=False)
    template: str
    locale: str
    channel: str
    lane: str
    state: str
    attempts: int
    claimed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Found:
    """The deliveries of a batch of receipts, by our own id and by the provider's."""

    by_ref: dict[str, Hit]
    by_provider_id: dict[str, Hit]


@dataclass(frozen=True, slots=True)
class Parked:
    """A receipt whose delivery is not known (yet). at: the provider's clock; received_at: ours."""

    id: str
    provider: str
    provider_id: str | None
    ref: str | None
    status: Status
    at: datetime
    code: str | None
    outcome: OutcomeClass | None
    detail: str
    received_at: datetime


_HIT = """
    SELECT d.provider_id, d.id, d.notification_id, d.shop, n.event, n.phone, n.template, n.locale, d.channel, d.lane,
        d.state, d.attempts, d.claimed_at
    FROM delivery d JOIN notification n ON n.id = d.notification_id"""
_BY_REF = Statement(_HIT + " WHERE d.id IN ({ids})")
_BY_PROVIDER_ID = Statement(_HIT + " WHERE d.provider_id IN ({ids}) ORDER BY d.id")

_PARKED_ROWS = Rows(
    id="text",
    provider="text",
    provider_id="text",
    ref="text",
    status="text",
    at="bigint",
    code="text",
    outcome="text",
    detail="text",
    received_at="bigint",
)
_PARK = Statement(
    """
    INSERT INTO parked_receipt
        (id, provider, provider_id, ref, status, at, code, outcome, detail, received_at)
    SELECT r.id, r.provider, r.provider_id, r.ref, r.status, r.at, r.code, r.outcome, r.detail, r.received_at
    FROM ({rows}) AS r WHERE true ON CONFLICT (id) DO NOTHING""",
    _PARKED_ROWS,
)
# Only those that have a delivery by now: a page of strangers would keep all behind it waiting until they are dropped.
_PARKED = Statement(
    """
    SELECT d.id, d.provider, d.provider_id, d.ref, d.status, d.at, d.code, d.outcome, d.detail, d.received_at
    FROM parked_receipt d
    WHERE d.received_at <= :now AND (
        EXISTS (SELECT 1 FROM delivery x WHERE x.id = d.ref)
        OR EXISTS (SELECT 1 FROM delivery x WHERE x.provider_id = d.provider_id AND x.provider_id IS NOT NULL)
    ) ORDER BY d.received_at, d.id LIMIT :limit {skip_locked}"""
)
_UNPARK = Statement("DELETE FROM parked_receipt WHERE id IN ({ids})")
_DROP = Statement("DELETE FROM parked_receipt WHERE received_at < :before")


def find_deliveries(conn: Connection, refs: Sequence[str], provider_ids: Sequence[str]) -> Found:
    """The deliveries with these ids of ours, and with these ids of a provider; unknown ids are left out."""
    by_ref = _BY_REF.run(conn, ids=to_json(refs)).all() if refs else []
    by_provider_id = _BY_PROVIDER_ID.run(conn, ids=to_json(provider_ids)).all() if provider_ids else []
    return Found({row[1]: _hit(row) for row in by_ref}, {row[0]: _hit(row) for row in by_provider_id})


def _hit(row: Sequence[Any]) -> Hit:
    return Hit(*row[1:12], from_us_or_none(row[12]))  # type: ignore[call-arg]  # a slice has no length to mypy


def park(conn: Connection, rows: Sequence[Parked], now: datetime) -> None:
    """Keeps receipts until their delivery is known, or `drop_parked`. Their received_at counts, not `now`."""
    if rows:
        _PARK.run(conn, rows)


def parked(conn: Connection, limit: int, now: datetime) -> list[Parked]:
    """Parked receipts whose delivery has turned up, oldest first; each to one of two that ask at once (PostgreSQL)."""
    return [_parked(row) for row in _PARKED.run(conn, limit=limit, now=to_us(now))]


def _parked(row: Sequence[Any]) -> Parked:
    found, provider, provider_id, ref, status, at, code, outcome, detail, received_at = row
    outcome = OutcomeClass(outcome) if outcome else None
    return Parked(
        found, provider, provider_id, ref, status, from_us(at), code, outcome, detail or "", from_us(received_at)
    )


def unpark(conn: Connection, ids: Sequence[str]) -> None:
    """Takes these receipts out: they have been applied."""
    _UNPARK.run(conn, ids=to_json(ids))


def drop_parked(conn: Connection, before: datetime) -> int:
    """Drops receipts that nobody has claimed since: messages that are not ours. How many."""
    return _DROP.run(conn, before=to_us(before)).rowcount
