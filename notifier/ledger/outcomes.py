"""What became of events, by business key: for whoever handed them in and wants to know how they ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from notifier.ledger.statements import Statement, to_json


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far one event has come. state None: it is kept, and nobody is told of it.

    told_by: the channel. refs: its deliveries, each by our id and, once accepted, by the provider's.
    """

    key: str
    state: str | None
    reason: str | None
    told_by: str | None
    refs: frozenset[str]


_OUTCOMES = Statement(
    """
    SELECT e.key, n.state, n.reason, n.told_by, d.id, d.provider_id
    FROM order_event e
    LEFT JOIN notification n ON n.event_id = e.id
    LEFT JOIN delivery d ON d.notification_id = n.id
    WHERE e.key IN ({ids}) ORDER BY e.key"""
)


def outcomes(conn: Connection, keys: Iterable[str]) -> dict[str, Outcome]:
    """The events with these business keys that are in the ledger, and what became of each; one look-up per key."""
    found: dict[str, Outcome] = {}
    for key, state, reason, told_by, delivery_id, provider_id in _OUTCOMES.run(conn, ids=to_json(list(keys))):
        refs = found[key].refs if key in found else frozenset()
        found[key] = Outcome(key, state, reason, told_by, refs | frozenset(filter(None, (delivery_id, provider_id))))
    return found
