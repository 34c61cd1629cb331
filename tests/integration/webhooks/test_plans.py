"""PostgreSQL's own word that the order book is never read from end to end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from notifier.ledger import Ledger, orders, upgrade
from notifier.ledger.instants import to_us
from notifier.ledger.orders import WaitingEvent
from notifier.sources.contract import OrderFacts
from tests.fixtures.ledger import HOUR, NOW, postgres_ledger
from tests.integration.ledger.test_postgres_plans import explained, indexes

NUMBER = 20_000
LOAD = """
    INSERT INTO order_book (shop, order_id, partial, refund_ids, shipment_ids, links, seen_at)
    SELECT 'shop' || n % 20, 'o' || n, false, '[]', '[]', '{}', :now + n
    FROM generate_series(1, CAST(:number AS bigint)) AS n;
    INSERT INTO waiting_event (key, id, shop, order_id, door, body, until, received_at)
    SELECT 'w' || n, 'w' || n, 'shop' || n % 20, 'x' || n, 'http:shopify', '{}', :now + 1000 * n, :now
    FROM generate_series(1, CAST(:number AS bigint)) AS n;
    INSERT INTO order_event (id, shop, order_id, event, key, occurred_at, received_at, door, body)
    SELECT 'e' || n, 'shop' || n % 20, 'o' || n, 'order.created', 'k' || n, :now, :now, 'x', 'body'
    FROM generate_series(1, CAST(:number AS bigint)) AS n"""
SOME = [(f"shop{n % 20}", f"o{n}") for n in range(1, 201)]
UNREAD = {"Seq Scan", "Hash Join", "Merge Join"}


@pytest.fixture(scope="module")
def loaded(postgres_url: str) -> Iterator[Ledger]:
    made = postgres_ledger(postgres_url)
    ledger = next(made)
    upgrade(ledger)
    with ledger.begin() as conn:
        for statement in LOAD.split(";"):
            conn.execute(sa.text(statement), {"now": to_us(NOW), "number": NUMBER})
        for table in ("order_book", "waiting_event", "order_event"):
            conn.exec_driver_sql(f"ANALYZE {table}")
    yield ledger
    next(made, None)


def nodes(plan: dict[str, Any]) -> Iterator[str]:
    yield plan["Node Type"]
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def rows_read(plan: dict[str, Any]) -> float:
    own = plan.get("Actual Rows", 0) * plan.get("Actual Loops", 1) + plan.get("Rows Removed by Filter", 0)
    return float(max([own, *(rows_read(part) for part in plan.get("Plans", ()))]))


def test_a_batch_of_webhooks_reads_and_writes_its_own_orders(loaded: Ledger) -> None:
    with explained(loaded) as (conn, seen):
        orders.known_orders(conn, SOME)
        held = orders.hold_orders(conn, [*SOME, ("shop1", "new")], NOW)
        orders.write_orders(conn, held, NOW)
        orders.wait(conn, [WaitingEvent("k", "i", "shop1", "y", "d", "{}", NOW, NOW)])
        orders.hasten(conn, SOME, NOW)
        orders.joined(conn, ["k"])
    assert len(held) == 201
    assert isinstance(held["shop1", "new"], OrderFacts)
    assert [statement for statement, plan in seen if UNREAD & set(nodes(plan))] == []


def test_the_sweeps_read_what_they_take(loaded: Ledger) -> None:
    with explained(loaded) as (conn, seen):
        assert len(orders.due(conn, NOW + HOUR, 500)) == 500
        orders.forget_orders(conn, NOW - HOUR, 500)
        orders.heard_at(conn, "shop1")
    assert [statement for statement, plan in seen if UNREAD & set(nodes(plan))] == []
    assert {"ix_waiting_event_until", "ix_order_book_seen"} <= {name for _, plan in seen for name in indexes(plan)}


def test_forgetting_a_customer_reads_their_orders(loaded: Ledger) -> None:
    with explained(loaded) as (conn, seen):
        forgotten = orders.redact(conn, SOME[:3])
    assert (forgotten.orders, forgotten.events) == (3, 3)
    assert [statement for statement, plan in seen if UNREAD & set(nodes(plan))] == []
    assert {"pk_order_book", "ix_order_event_order", "ix_waiting_event_order"} <= {
        name for _, plan in seen for name in indexes(plan)
    }
