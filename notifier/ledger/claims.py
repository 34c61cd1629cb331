"""Which deliveries go next: flows of due work, and the claim.

All of it runs on ix_delivery_queued and costs by flows and by rows taken, not by rows that wait: flat at ten million.
"""

# ruff: noqa: S608  statements are put together from constants of this room; values always travel as parameters
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from notifier.ledger.instants import from_us, to_us
from notifier.ledger.schema import QUEUED_BY_ORDER
from notifier.ledger.statements import OBSOLETE_BY, Rows, Statement, to_json
from notifier.policy.fairness import Quota

__all__ = ["MOST_OF_A_FLOW", "Claimed", "Flow", "Quota", "claim", "claims_of", "flows", "lanes_with_due_work"]

MOST_OF_A_FLOW = 1000
"""The most that one claim takes of one flow. A literal in the statement: with a limit that it cannot see, PostgreSQL
plans for a tenth of all waiting rows, and sorts the table."""

CLAIM_TRIES = 3
"""Two drains of different lanes may reach for the same order in the same millisecond; the schema lets one win. The
other tries again and then sees it. Three in a row has not been seen."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A priority and shop with due work in a lane; since when its oldest is due."""

    priority: int
    shop: str
    oldest_due: datetime


class Claimed(NamedTuple):
    """A delivery that is ours until the lease ends, with all that sending needs.

    attempts: tries before this one. body: the order event as JSON text. obsolete_by: the newer comparable event that
    the customer was told, or is being told, if there is one: the stale guard at send time. settled: the notification
    has ended meanwhile, told by another of its deliveries.
    """

    delivery_id: str
    notification_id: str
    shop: str
    order_id: str
    event: str
    rank: int | None
    always: bool
    shipment_id: str | None
    phone: str
    timezone: str
    locale: str
    template: str
    channels: tuple[str, ...]
    channel: str
    position: int
    lane: str
    priority: int
    attempts: int
    throttles: int
    due_at: datetime
    first_due_at: datetime
    expires_at: datetime
    body: str
    obsolete_by: str | None
    settled: bool


# A loose index scan: each step of the recursion is one probe for the next priority, or the next shop, of a lane.
_FLOWS = """
    priorities(lane, priority) AS (
        SELECT l.lane, (SELECT min(d.priority) FROM delivery d WHERE d.state = 'queued' AND d.lane = l.lane)
        FROM lanes l WHERE l.lane IS NOT NULL
        UNION ALL
        SELECT p.lane, (SELECT min(d.priority) FROM delivery d
            WHERE d.state = 'queued' AND d.lane = p.lane AND d.priority > p.priority)
        FROM priorities p WHERE p.priority IS NOT NULL
    ), flows(lane, priority, shop) AS (
        SELECT p.lane, p.priority, (SELECT min(d.shop) FROM delivery d
            WHERE d.state = 'queued' AND d.lane = p.lane AND d.priority = p.priority)
        FROM priorities p WHERE p.priority IS NOT NULL
        UNION ALL
        SELECT f.lane, f.priority, (SELECT min(d.shop) FROM delivery d
            WHERE d.state = 'queued' AND d.lane = f.lane AND d.priority = f.priority AND d.shop > f.shop)
        FROM flows f WHERE f.shop IS NOT NULL
    ), due(lane, priority, shop, oldest) AS (
        SELECT f.lane, f.priority, f.shop, (SELECT d.due_at FROM delivery d
            WHERE d.state = 'queued' AND d.lane = f.lane AND d.priority = f.priority AND d.shop = f.shop
              AND d.due_at <= :now AND d.expires_at > :now ORDER BY d.due_at LIMIT 1)
        FROM flows f WHERE f.shop IS NOT NULL
    )"""
_LANE_FLOWS = Statement(
    f"""
    WITH RECURSIVE lanes(lane) AS (SELECT CAST(:lane AS TEXT)), {_FLOWS}
    SELECT priority, shop, oldest FROM due WHERE oldest IS NOT NULL ORDER BY priority, shop"""
)
_LANES = Statement(
    f"""
    WITH RECURSIVE lanes(lane) AS (
        SELECT (SELECT min(d.lane) FROM delivery d WHERE d.state = 'queued')
        UNION ALL
        SELECT (SELECT min(d.lane) FROM delivery d WHERE d.state = 'queued' AND d.lane > l.lane)
        FROM lanes l WHERE l.lane IS NOT NULL
    ), {_FLOWS}
    SELECT DISTINCT lane FROM due WHERE oldest IS NOT NULL ORDER BY lane"""
)

# One message of an order at a time, and in order: not while another of its deliveries is claimed in any lane, nor
# before one that is due in this lane already. Scalar subqueries, because for NOT EXISTS the planner would hash all that
# waits; each is one probe of its own index for a row that is taken or passed over.
_CLAIMABLE = f"""
    d.state = 'queued' AND d.lane = :lane AND d.due_at <= :now AND d.expires_at > :now
    AND (SELECT 1 FROM delivery b WHERE b.state = 'claimed' AND b.shop = d.shop AND b.order_id = d.order_id
         LIMIT 1) IS NULL
    AND (SELECT 1 FROM delivery b WHERE b.{QUEUED_BY_ORDER} AND b.shop = d.shop AND b.order_id = d.order_id
         AND b.lane = :lane AND b.due_at <= :now AND b.expires_at > :now
         AND (b.priority, b.due_at, b.id) < (d.priority, d.due_at, d.id) LIMIT 1) IS NULL"""
_TAKE = "state = 'claimed', owner = :owner, lease_until = :lease_until, claimed_at = :now, updated_at = :now"
_DETAILS = f"""
    SELECT d.id, d.notification_id, d.shop, d.order_id, n.event, n.rank, n.always, n.shipment_id, n.phone, n.timezone,
        n.locale, n.template, n.channels, d.channel, d.position, d.lane, d.priority, d.attempts, d.throttles, d.due_at,
        d.first_due_at, d.expires_at, e.body, {OBSOLETE_BY}, n.state <> 'active'"""
_JOINED = "JOIN notification n ON n.id = d.notification_id JOIN order_event e ON e.id = n.event_id"
_ORDER = "ORDER BY d.priority, d.due_at, d.id"

_CLAIM_POSTGRESQL = Statement(
    f"""
    WITH quota AS MATERIALIZED ({{rows}}), picked AS MATERIALIZED (
        SELECT one.id FROM quota q CROSS JOIN LATERAL (
            SELECT first.id FROM (
                SELECT d.id FROM delivery d WHERE d.priority = q.priority AND d.shop = q.shop AND {_CLAIMABLE}
                ORDER BY d.due_at LIMIT {MOST_OF_A_FLOW} FOR UPDATE OF d SKIP LOCKED
            ) AS first LIMIT q.count
        ) AS one
    ), d AS (
        UPDATE delivery SET {_TAKE} WHERE id = ANY(ARRAY(SELECT id FROM picked))
            AND lower(state) = 'queued' RETURNING *
    )
    {_DETAILS} FROM d {_JOINED} {_ORDER}""",
    Rows(priority="integer", shop="text", count="bigint"),
)
_CLAIM_SQLITE = Statement(
    f"""
    UPDATE delivery SET {_TAKE} WHERE lower(state) = 'queued' AND id IN (
        SELECT d.id FROM delivery d INDEXED BY ix_delivery_queued
        WHERE d.priority = :priority AND d.shop = :shop AND {_CLAIMABLE} ORDER BY d.due_at LIMIT :count
    ) RETURNING id"""
)
_CLAIMS_OF = Statement(
    "SELECT d.id, d.due_at FROM delivery d WHERE d.lease_until > 0 AND d.owner = :owner ORDER BY d.id"
)
_CLAIMED = Statement(f"{_DETAILS} FROM delivery d {_JOINED} WHERE d.id IN ({{ids}}) {_ORDER}")


def flows(conn: Connection, lane: str, now: datetime) -> list[Flow]:
    """The flows of a lane that have due work. Costs by flows, not by rows."""
    found = _LANE_FLOWS.run(conn, lane=lane, now=to_us(now))
    return [Flow(priority, shop, from_us(oldest)) for priority, shop, oldest in found]


def lanes_with_due_work(conn: Connection, now: datetime) -> list[str]:
    """The lanes that have due work. Costs by flows, not by rows."""
    return [lane for (lane,) in _LANES.run(conn, now=to_us(now))]


def claim(
    conn: Connection, lane: str, quotas: Sequence[Quota], owner: str, now: datetime, lease_until: datetime
) -> list[Claimed]:
    """queued → claimed for the oldest due of each flow, most urgent first; fewer than asked for when fewer can go.

    Any number of drains may claim at once: each row goes to one of them. Of one order one message is claimed at a time.
    """
    if not quotas:
        return []
    params: dict[str, Any] = {"lane": lane, "owner": owner, "now": to_us(now), "lease_until": to_us(lease_until)}
    if conn.dialect.name == "sqlite":
        return [_claimed(row) for row in _claim_sqlite(conn, quotas, params)]
    for _ in range(CLAIM_TRIES - 1):
        try:
            with conn.begin_nested():
                return [_claimed(row) for row in _CLAIM_POSTGRESQL.run(conn, quotas, **params).all()]
        except DBAPIError as error:
            if not _lost_an_order(error):
                raise
    return [_claimed(row) for row in _CLAIM_POSTGRESQL.run(conn, quotas, **params).all()]


def claims_of(conn: Connection, owner: str) -> list[tuple[str, datetime]]:
    """What this drain has claimed and not recorded, with its due times. Costs by all claims of the moment."""
    return [(found, from_us(due_at)) for found, due_at in _CLAIMS_OF.run(conn, owner=owner)]


def _claim_sqlite(conn: Connection, quotas: Sequence[Quota], params: dict[str, Any]) -> Iterator[Any]:
    """A statement a flow: SQLite has no LATERAL, and a statement there is no round trip."""
    taken: list[str] = []
    for quota in quotas:
        count = min(quota.count, MOST_OF_A_FLOW)
        found = _CLAIM_SQLITE.run(conn, priority=quota.priority, shop=quota.shop, count=count, **params)
        taken.extend(delivery_id for (delivery_id,) in found)
    return iter(_CLAIMED.run(conn, ids=to_json(taken)))


def _lost_an_order(error: DBAPIError) -> bool:
    """Unique violation on the claimed order, or a deadlock over two of them."""
    return getattr(error.orig, "sqlstate", None) in ("23505", "40P01")


def _claimed(row: Sequence[Any]) -> Claimed:
    values = list(row)
    values[6] = bool(row[6])
    values[12] = tuple(row[12].split(","))
    values[19:22] = map(from_us, row[19:22])
    values[24] = bool(row[24])
    return Claimed._make(values)
