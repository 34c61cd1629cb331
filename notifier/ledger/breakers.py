"""The standing of senders and templates, one row each; when they open and close is policy (policy/breaker.py).

A breaker that was never written is closed: the table holds those that opened once, a handful.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from notifier.ledger.instants import from_us_or_none, to_us
from notifier.ledger.statements import Rows, Statement
from notifier.policy.breaker import Breaker
from notifier.policy.reasons import Reason

_ALL = Statement(
    "SELECT kind, name, state, reason, code, opened_at, retry_at, by_whom FROM breaker ORDER BY kind, name"
)
_FIND = Statement(
    "SELECT kind, name, state, reason, code, opened_at, retry_at FROM breaker WHERE kind = :kind AND name = :name"
)
_STORE = Statement(
    """
    INSERT INTO breaker (kind, name, state, reason, code, opened_at, retry_at, by_whom)
    SELECT r.kind, r.name, r.state, r.reason, r.code, r.opened_at, r.retry_at, r.by_whom
    FROM ({rows}) AS r WHERE true
    ON CONFLICT (kind, name) DO UPDATE SET state = excluded.state, reason = excluded.reason, code = excluded.code,
        opened_at = excluded.opened_at, retry_at = excluded.retry_at, by_whom = excluded.by_whom
    WHERE breaker.reason IS NULL OR breaker.reason <> 'paused' OR breaker.state = 'closed' OR :by_hand""",
    Rows(
        kind="text",
        name="text",
        state="text",
        reason="text",
        code="text",
        opened_at="bigint",
        retry_at="bigint",
        by_whom="text",
    ),
)
MACHINES = frozenset({"drain", "receipts"})
"""Who opens and closes breakers by outcomes. They never overrule a pause by hand; anybody else is a hand."""


def template_name(template: str, locale: str, lane: str) -> str:
    """The name of a template's breaker: "order_shipped/ar@sender". Each sender has its own approval."""
    return f"{template}/{locale}@{lane}"


def breakers(conn: Connection) -> list[Breaker]:
    """Every breaker that was ever written, closed ones too."""
    return [_breaker(row) for row in _ALL.run(conn)]


def find(conn: Connection, kind: str, name: str) -> Breaker | None:
    """One breaker; None when it was never written, which means closed."""
    row = _FIND.run(conn, kind=kind, name=name).first()
    return None if row is None else _breaker(row)


def by_whom(conn: Connection) -> dict[tuple[str, str], str]:
    """Who moved each breaker last, by (kind, name): drain, receipts, or the operator's name."""
    return {(row[0], row[1]): row[7] for row in _ALL.run(conn)}


def store(conn: Connection, after: Breaker, now: datetime, by: str) -> bool:
    """Writes a breaker as it is now. False when a pause by hand stands and `by` is one of MACHINES: nothing is written.

    opened_at: taken from `after`; `now` where an open one does not say.
    """
    opened_at = after.opened_at or (None if after.state == "closed" else now)
    row = {
        "kind": after.kind,
        "name": after.name,
        "state": after.state,
        "reason": after.reason,
        "code": after.code,
        "opened_at": None if opened_at is None else to_us(opened_at),
        "retry_at": after.retry_at,
        "by_whom": by,
    }
    return _STORE.run(conn, [row], by_hand=by not in MACHINES).rowcount == 1


def _breaker(row: Sequence[Any]) -> Breaker:
    kind, name, state, reason, code, opened_at, retry_at = row[:7]
    return Breaker(
        kind,
        name,
        state,
        Reason(reason) if reason else None,
        code or "",
        from_us_or_none(opened_at),
        from_us_or_none(retry_at),
    )
