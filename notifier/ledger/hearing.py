# ruff: noqa: S608  statements are put together from constants of this room; values always travel as parameters
"""Whether receipts flow on a lane: what was accepted and never heard of, beside its neighbours.

Neighbours are counted by id: ids grow with time, and a lane is worked off by age, so what was made between two messages
was accepted about when they were. That costs a stretch of the primary key, and no index of everything by acceptance.
Of a long stretch (a quiet lane among busy ones) only the beginning is read, and what it holds stands for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.engine import Connection

from notifier.ids import made_at
from notifier.ledger.instants import from_us, from_us_or_none, to_us
from notifier.ledger.schema import NEVER_HEARD
from notifier.ledger.statements import Rows, Statement, to_json
from notifier.policy.hearing import Neighbours, Unheard, Window

MOST_UNHEARD = 2000
"""The newest so many are looked at: what was lost before them does not matter, for the last loss decides."""

MOST_SCANNED = 5000
"""So much of a stretch is read: at five million rows a stretch of weeks would be all of them."""

_UNHEARD = Statement(
    f"""
    SELECT id, accepted_at FROM delivery WHERE {NEVER_HEARD} AND lane = :lane AND accepted_at <= :until
    ORDER BY accepted_at DESC LIMIT {MOST_UNHEARD}"""
)
# LATERAL is PostgreSQL's, so each figure is a subquery of its own over the same rows, which are in the cache by then.
_STRETCH = f"""(
        SELECT d.id, d.lane, coalesce(d.sent_at, d.delivered_at, d.read_at, d.failed_at) AS heard_at, d.accepted_at
        FROM delivery d WHERE d.id >= r.first_id AND d.id <= r.last_id ORDER BY d.id LIMIT {MOST_SCANNED}
    ) AS stretch"""
_NEIGHBOURS = Statement(
    f"""
    SELECT (SELECT count(*) FROM {_STRETCH} WHERE lane = :lane AND accepted_at IS NOT NULL AND heard_at IS NOT NULL),
        (SELECT max(id) FROM {_STRETCH})
    FROM ({{rows}}) AS r ORDER BY r.number""",
    Rows(number="integer", first_id="text", last_id="text"),
)
_MISSING = Statement(
    f"""
    SELECT id, provider_id FROM (
        SELECT d.id, d.provider_id, d.accepted_at FROM delivery d WHERE {NEVER_HEARD} AND d.lane = :lane
            AND d.accepted_at <= :before AND d.accepted_at > :since AND lower(d.state) = 'accepted'
        ORDER BY d.accepted_at LIMIT :limit
    ) AS unheard WHERE provider_id IS NOT NULL"""
)
# The condition of the index once more in full, as in ledger/sweeps.py.
_ENDING = Statement(
    """
    SELECT id, provider_id FROM (
        SELECT d.id, d.provider_id FROM delivery d
        WHERE d.state IN ('accepted', 'sent', 'unknown') AND d.fallback_at <= :soon AND d.state IN ('accepted', 'sent')
            AND d.lane = :lane ORDER BY d.fallback_at LIMIT :limit
    ) AS ending WHERE provider_id IS NOT NULL"""
)
_POSTPONE = Statement(
    "UPDATE delivery SET fallback_at = :until, updated_at = :now WHERE id IN ({ids}) AND lower(state) = 'sent'"
)
_UNDER_WAY = Statement(
    "SELECT 1 FROM delivery WHERE state IN ('accepted', 'sent', 'unknown') AND fallback_at IS NOT NULL LIMIT 1"
)
_NOTE_GAP = Statement("INSERT INTO hearing_gap (at) VALUES (:at) ON CONFLICT (at) DO NOTHING")
_LAST_GAP = Statement("SELECT max(at) FROM hearing_gap")


def unheard(conn: Connection, lane: str, until: datetime) -> list[Unheard]:
    """What was accepted on this lane by then and never heard of, the newest first; MOST_UNHEARD at most."""
    return [Unheard(found, from_us(at)) for found, at in _UNHEARD.run(conn, lane=lane, until=to_us(until))]


def neighbours(conn: Connection, lane: str, windows: Sequence[Window]) -> list[Neighbours]:
    """What the lane had accepted about then and heard of, for each window; of a long one, of its beginning."""
    if not windows:
        return []
    rows = [{"number": number, "first_id": one.first_id, "last_id": one.last_id} for number, one in enumerate(windows)]
    found = _NEIGHBOURS.run(conn, rows, lane=lane)
    return [Neighbours(heard, share_read(one, last)) for one, (heard, last) in zip(windows, found, strict=True)]


def share_read(window: Window, last_read: str) -> float:
    """How much of a stretch was read, up to this id: ids begin with the millisecond in which they were made."""
    begin, read, end = (made_at(one) for one in (window.first_id, last_read, window.last_id))
    return 1.0 if last_read == window.last_id else max(read - begin, 1) / max(end - begin, 1)


def missing(conn: Connection, lane: str, before: datetime, since: datetime, limit: int) -> list[tuple[str, str]]:
    """What the lane's provider took between since and before and never spoke of again: our id, the provider's."""
    found = _MISSING.run(conn, lane=lane, before=to_us(before), since=to_us(since), limit=limit)
    return [(ours, theirs) for ours, theirs in found]


def ending(conn: Connection, lane: str, soon: datetime, limit: int) -> list[tuple[str, str]]:
    """What of the lane will be decided by its silence until then: our id, the provider's."""
    return [(ours, theirs) for ours, theirs in _ENDING.run(conn, lane=lane, soon=to_us(soon), limit=limit)]


def postpone(conn: Connection, delivery_ids: Sequence[str], until: datetime, now: datetime) -> int:
    """The silence of these is looked at again then, not now; how many were still silent."""
    return _POSTPONE.run(conn, ids=to_json(delivery_ids), until=to_us(until), now=to_us(now)).rowcount


def under_way(conn: Connection) -> bool:
    """Whether a provider has anything of ours that may still be reported on."""
    return _UNDER_WAY.run(conn).first() is not None


def note_gap(conn: Connection, now: datetime) -> None:
    """Receipts that we had taken were lost up to now."""
    _NOTE_GAP.run(conn, at=to_us(now))


def last_gap(conn: Connection) -> datetime | None:
    """When receipts that we had taken were lost last."""
    return from_us_or_none(_LAST_GAP.run(conn).scalar_one())
