"""PostgreSQL's own word that no statement on the way of a message reads a table, or an index from end to end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection

from notifier.ledger import (
    Ledger,
    claims,
    followups,
    hearing,
    outcomes,
    plans,
    receipts,
    steps,
    stories,
    sweeps,
    upgrade,
)
from notifier.ledger.receipts import Parked
from notifier.policy.hearing import Window
from tests.fixtures.ledger import HOUR, LEASE, NOW, a_delivery, a_notification, an_event, postgres_ledger

BIG = {"order_event", "notification", "delivery", "history"}
OLD, WAITING = 30_000, 30_000

LOAD = """
    INSERT INTO order_event (id, shop, order_id, order_number, event, key, occurred_at, received_at, door, body)
    SELECT 'e' || n, 'shop' || n % 20, 'o' || n / 3, '#' || n, 'order.created', 'k' || n, :now, :now, 'x', '{}'
    FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n;
    INSERT INTO notification (id, event_id, shop, order_id, event, rank, always, channels, priority, state, created_at,
        told_at, phone, timezone, locale, template)
    SELECT 'n' || n, 'e' || n, 'shop' || n % 20, 'o' || n / 3, 'order.created', 10, false, 'whatsapp,sms', n % 3,
        CASE WHEN n <= :old THEN 'told' ELSE 'active' END, :now, CASE WHEN n <= :old THEN :now END,
        '+20', 'UTC', 'ar', 't'
    FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n;
    INSERT INTO delivery (id, notification_id, shop, order_id, lane, channel, position, priority, state, due_at,
        first_due_at, expires_at, created_at, updated_at, provider_id, fallback_at, finished_at)
    SELECT 'd' || n, 'n' || n, 'shop' || n % 20, 'o' || n / 3, 'lane' || n % 4, 'whatsapp', 0, n % 3,
        CASE WHEN n > :old THEN 'queued' WHEN n % 100 = 0 THEN 'unknown' ELSE 'delivered' END,
        :now - n, :now - n, :now + 3600000000 + n, :now, :now, CASE WHEN n <= :old THEN 'p' || n END, :now + n,
        CASE WHEN n <= :old AND n % 100 <> 0 THEN :now END
    FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n;
    INSERT INTO history (at, notification_id, step, by_whom)
    SELECT :now, 'n' || n, 'requeue', 'drain'
    FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n"""


@pytest.fixture(scope="module", params=["statistics of today", "statistics from when the queue was empty"])
def loaded(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[Ledger]:
    """A ledger with old and with waiting rows.

    The second kind is what a burst meets after a quiet night: every partial index of waiting rows looks empty.
    """
    made = postgres_ledger(postgres_url)
    ledger = next(made)
    upgrade(ledger)
    with ledger.begin() as conn:
        for table in sorted(BIG):
            conn.exec_driver_sql(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    _load(ledger, 1, OLD)
    _analyse(ledger)
    _load(ledger, OLD + 1, OLD + WAITING)
    if request.param == "statistics of today":
        _analyse(ledger)
    yield ledger
    next(made, None)


def _load(ledger: Ledger, first: int, last: int) -> None:
    values = {"now": int(NOW.timestamp() * 1_000_000), "first": first, "last": last, "old": OLD}
    with ledger.begin() as conn:
        for statement in LOAD.split(";"):
            conn.execute(sa.text(statement), values)


def _analyse(ledger: Ledger) -> None:
    with ledger._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.exec_driver_sql("VACUUM ANALYZE")


@contextmanager
def explained(ledger: Ledger) -> Iterator[tuple[Connection, list[tuple[str, Any]]]]:
    """A transaction that is rolled back, and the plan of every statement in it."""
    seen: list[tuple[str, Any]] = []

    def explain(_conn: Any, cursor: Any, statement: str, params: Any, _context: Any, _many: bool) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")):
            cursor.execute("EXPLAIN (FORMAT JSON) " + statement, params)
            seen.append((statement, cursor.fetchone()[0][0]["Plan"]))

    with ledger._engine.connect() as conn, conn.begin() as transaction:
        event.listen(conn, "before_cursor_execute", explain)
        yield conn, seen
        event.remove(conn, "before_cursor_execute", explain)
        transaction.rollback()


def scans(plan: dict[str, Any]) -> Iterator[str]:
    """The big tables that a plan reads whole, or through the whole of an index."""
    whole = plan["Node Type"] == "Seq Scan" or (
        plan["Node Type"] in ("Index Scan", "Index Only Scan", "Bitmap Index Scan") and "Index Cond" not in plan
    )
    if whole and (plan.get("Relation Name") in BIG):
        yield f"{plan['Node Type']} of {plan['Relation Name']}"
    for part in plan.get("Plans", ()):
        yield from scans(part)


def indexes(plan: dict[str, Any]) -> Iterator[str]:
    if "Index Name" in plan:
        yield plan["Index Name"]
    for part in plan.get("Plans", ()):
        yield from indexes(part)


def assert_no_scan(seen: list[tuple[str, Any]], statements: int) -> None:
    assert len(seen) == statements
    for statement, plan in seen:
        assert list(scans(plan)) == [], statement


def test_the_claim_reads_its_index_in_order_and_stops(loaded: Ledger) -> None:
    with explained(loaded) as (conn, seen):
        quotas = [claims.Quota(priority, f"shop{shop}", 10) for priority in range(3) for shop in range(20)]
        assert len(claims.claim(conn, "lane1", quotas, "drain", NOW, NOW + LEASE)) > 100
    assert_no_scan(seen, 1)
    assert {"ix_delivery_queued", "uq_delivery_order_claimed", "pk_delivery", "ix_notification_order"} <= set(
        indexes(seen[0][1])
    )


def test_flows_and_lanes_are_loose_scans_of_the_claims_index(loaded: Ledger) -> None:
    with explained(loaded) as (conn, seen):
        assert len(claims.flows(conn, "lane1", NOW)) == 15
        assert claims.lanes_with_due_work(conn, NOW) == ["lane0", "lane1", "lane2", "lane3"]
    # The very first step, the least lane of all, has no condition but the index's own.
    assert {found for _, plan in seen for found in scans(plan)} <= {"Index Only Scan of delivery"}
    assert {found for _, plan in seen for found in indexes(plan)} == {"ix_delivery_queued"}


def test_no_step_reads_a_table(loaded: Ledger) -> None:
    ids = [f"d{number}" for number in range(OLD + 1, OLD + 201)]
    old = [f"d{number}" for number in range(1, 201)]
    with explained(loaded) as (conn, seen):
        conn.exec_driver_sql(
            "UPDATE delivery SET state = 'claimed', lease_until = 1, order_id = id WHERE id = ANY(%s)", (ids[:80],)
        )
        seen.clear()
        steps.accept(conn, [steps.Accept(one, "p", NOW, NOW) for one in ids[:20]], NOW, "x")
        steps.requeue(conn, [steps.Requeue(one, NOW, "retry") for one in ids[20:40]], NOW, "x")
        steps.lose_track(conn, [steps.Lose(one, "x", None, NOW) for one in ids[40:60]], NOW, "x")
        steps.withdraw(conn, [steps.Cancel(one, "x") for one in ids[60:70]], NOW, "x")
        steps.fail(conn, [steps.Fail(one, "DEAD", "1", "", "x", NOW) for one in ids[70:80]], NOW, "x")
        steps.expire(conn, [steps.Expire(one, "x") for one in ids[80:120]], NOW, "x")
        steps.cancel(conn, [steps.Cancel(one, "x") for one in ids[120:]], NOW, "x")
        steps.resend(conn, [steps.Resend(one, NOW, "x") for one in old], NOW, "x")
        steps.receive(conn, [steps.ReceiptRow(one, "delivered", NOW) for one in old], NOW)
        notifications = [one.replace("d", "n") for one in ids]
        steps.tell(conn, [steps.Tell(one, "sms", NOW) for one in notifications[:50]], NOW)
        steps.give_up(conn, [steps.GiveUp(one, "x") for one in notifications[50:99]], NOW, "x")
        steps.suppress(conn, [steps.Suppress(one, "x") for one in notifications[99:]], NOW, "x")
        steps.reopen(conn, [steps.Reopen(one, "x") for one in notifications[99:]], NOW, "x")
        steps.note_double(conn, notifications, NOW)
        steps.siblings(conn, notifications)
    assert_no_scan(seen, 18)  # one each; another for the line of the double, and for what `tell` and `receive` left


def test_intake_reads_and_writes_by_index(loaded: Ledger) -> None:
    event_ = an_event()
    notification = a_notification(event_)
    with explained(loaded) as (conn, seen):
        plans.known_events(conn, [f"k{number}" for number in range(200)])
        plans.count_copies(conn, ["k1", "k2"], NOW)
        plans.priors(conn, [(f"shop{number % 20}", f"o{number}") for number in range(200)])
        plans.consents(conn, [("shop1", "+20")])
        plans.insert_events(conn, [event_], NOW)
        plans.insert_notifications(conn, [notification], NOW)
        plans.insert_deliveries(conn, [a_delivery(notification)], NOW)
        plans.supersede(conn, [plans.Supersede(f"n{OLD + 9}", "order.shipped")], NOW)
        steps.open_delivery(conn, [a_delivery(notification)], NOW, "x", "x")
    assert_no_scan(seen, 13)


def test_receipts_sweeps_and_stories_read_by_index(loaded: Ledger) -> None:
    with explained(loaded) as (conn, seen):
        receipts.find_deliveries(conn, [f"d{n}" for n in range(200)], [f"p{n}" for n in range(200)])
        receipts.park(conn, [Parked("r1", "meta", "p1", None, "sent", NOW, None, None, "", NOW)], NOW)
        receipts.parked(conn, 100, NOW)
        followups.ended(conn, [f"d{n}" for n in range(200)], NOW)
        outcomes.outcomes(conn, [f"k{n}" for n in range(200)])
        for select in (sweeps.overdue, sweeps.lapsed_leases, sweeps.silent, sweeps.undecided):
            select(conn, NOW, 500)
        sweeps.nearing_expiry(conn, ["lane1"], NOW, NOW + HOUR + timedelta(seconds=1), 500)
        sweeps.forget_bodies(conn, NOW - HOUR, 500)
        hearing.unheard(conn, "lane1", NOW)
        hearing.neighbours(conn, "lane1", [Window("d1", "d200", NOW, NOW)])
        hearing.missing(conn, "lane1", NOW, NOW - HOUR, 500)
        hearing.ending(conn, "lane1", NOW, 500)
        hearing.under_way(conn)
        sweeps.lapsed_owners(conn, NOW)
        sweeps.lapses(conn, [f"n{n}" for n in range(200)])
        stories.story(conn, "o5", "shop1")
    assert_no_scan(seen, 24)
