"""What the step table forbids, the schema refuses too; and the migrations lead to the schema."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.engine import Connection

from notifier.ledger import Ledger, LedgerRefused, pending, plans, upgrade
from notifier.ledger.instants import to_us
from notifier.ledger.migrations.versions import m0001_first, m0002_api_key, m0003_order_book, m0004_hearing
from notifier.ledger.schema import metadata
from tests.fixtures.ledger import NOW, a_delivery, a_notification, an_event, queue

TABLES = {
    *(
        "order_event",
        "notification",
        "delivery",
        "consent",
        "breaker",
        "parked_receipt",
        "hearing_gap",
        "history",
        "api_key",
    ),
    *("order_book", "waiting_event"),
}


def _refused(ledger: Ledger, statement: str, **params: Any) -> str | None:
    """The rule by which the schema refuses a statement; the transaction is rolled back."""
    with pytest.raises(LedgerRefused) as caught, ledger.begin() as conn:
        conn.execute(sa.text(statement), params)
    return caught.value.rule


def _one(ledger: Ledger) -> tuple[str, str]:
    with ledger.begin() as conn:
        made = queue(conn)[0]
    return made.notification.id, made.delivery.id


INSERT = """
    INSERT INTO delivery (id, notification_id, shop, order_id, lane, channel, position, priority, state, due_at,
        first_due_at, expires_at, created_at, updated_at)
    VALUES ('d-2', :notification, 'nile', 'o', 'nile-sms', 'sms', 1, 1, :state, 0, 0, 1, 0, 0)"""


@pytest.mark.parametrize("state", ["queued", "unknown", "accepted", "sent"])
def test_two_alive_deliveries_of_a_notification_are_refused(ledger: Ledger, state: str) -> None:
    notification, _ = _one(ledger)
    rule = _refused(ledger, INSERT, notification=notification, state=state)
    assert rule in ("uq_delivery_alive", "delivery.notification_id")


def test_a_second_delivery_that_has_ended_is_no_second_alive_one(ledger: Ledger) -> None:
    notification, _ = _one(ledger)
    with ledger.begin() as conn:
        ended = INSERT.replace("updated_at)", "updated_at, finished_at)").replace("1, 0, 0)", "1, 0, 0, 1)")
        assert conn.execute(sa.text(ended), {"notification": notification, "state": "failed"}).rowcount == 1


def test_an_end_without_an_instant_and_an_instant_without_an_end_are_refused(ledger: Ledger) -> None:
    _, found = _one(ledger)
    for statement in (
        "UPDATE delivery SET state = 'failed' WHERE id = :id",
        "UPDATE delivery SET finished_at = 1 WHERE id = :id",
    ):
        assert _refused(ledger, statement, id=found) == "ck_delivery_finished"


def test_a_lease_without_a_claim_is_refused(ledger: Ledger) -> None:
    _, found = _one(ledger)
    assert _refused(ledger, "UPDATE delivery SET lease_until = 1 WHERE id = :id", id=found) == "ck_delivery_lease"


def test_a_claim_without_a_lease_is_refused(ledger: Ledger) -> None:
    _, found = _one(ledger)
    assert _refused(ledger, "UPDATE delivery SET state = 'claimed' WHERE id = :id", id=found) == "ck_delivery_lease"


def test_a_state_that_nobody_knows_is_refused(ledger: Ledger) -> None:
    notification, found = _one(ledger)
    unknown = "UPDATE delivery SET state = 'lost', finished_at = 1 WHERE id = :id"
    assert _refused(ledger, unknown, id=found) == "ck_delivery_state"
    statement = "UPDATE notification SET state = 'lost' WHERE id = :id"
    assert _refused(ledger, statement, id=notification) == "ck_notification_state"


def test_silence_without_a_reason_and_a_reason_without_silence_are_refused(ledger: Ledger) -> None:
    notification, _ = _one(ledger)
    for statement in (
        "UPDATE notification SET state = 'suppressed' WHERE id = :id",
        "UPDATE notification SET state = 'unreached' WHERE id = :id",
        "UPDATE notification SET reason = 'stale' WHERE id = :id",
    ):
        assert _refused(ledger, statement, id=notification) == "ck_notification_reason"


def test_told_without_an_instant_is_refused(ledger: Ledger) -> None:
    notification, _ = _one(ledger)
    statement = "UPDATE notification SET state = 'told' WHERE id = :id"
    assert _refused(ledger, statement, id=notification) == "ck_notification_told"


def test_two_claimed_messages_of_one_order_are_refused(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        queue(conn, 2, event={"order_id": "o-1"})
    statement = "UPDATE delivery SET state = 'claimed', lease_until = 1 WHERE order_id = 'o-1'"
    assert _refused(ledger, statement) in ("uq_delivery_order_claimed", "delivery.shop, delivery.order_id")


def test_a_second_notification_of_an_event_is_refused(ledger: Ledger) -> None:
    event = an_event()
    with ledger.begin() as conn:
        plans.insert_events(conn, [event], NOW)
        plans.insert_notifications(conn, [a_notification(event)], NOW)
    with pytest.raises(LedgerRefused) as caught, ledger.begin() as conn:
        plans.insert_notifications(conn, [a_notification(event)], NOW)
    assert caught.value.rule in ("uq_notification_event_id", "notification.event_id")


def test_a_refusal_names_the_rule_and_never_the_row(ledger: Ledger) -> None:
    notification, _ = _one(ledger)
    with pytest.raises(LedgerRefused) as caught, ledger.begin() as conn:
        conn.execute(
            sa.text("UPDATE notification SET state = 'told', phone = '+201009999999' WHERE id = :id"),
            {"id": notification},
        )
    assert "ck_notification_told" in str(caught.value)
    assert "+201009999999" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_delivery_without_its_notification_is_refused(ledger: Ledger) -> None:
    rule = _refused(ledger, INSERT, notification="nobody", state="queued")
    assert rule == ("fk_delivery_notification_id" if ledger.dialect == "postgresql" else None)
    orphan = a_delivery(a_notification(an_event()))
    with pytest.raises(LedgerRefused), ledger.begin() as conn:
        plans.insert_deliveries(conn, [orphan], NOW)


# Migrations.


def test_upgrade_names_what_it_applied_and_then_has_nothing_to_do(bare_ledger: Ledger) -> None:
    names = pending(bare_ledger)
    assert names == ["0001_first", "0002_api_key", "0003_order_book", "0004_hearing"]
    assert upgrade(bare_ledger) == names
    assert pending(bare_ledger) == []
    assert upgrade(bare_ledger) == []


def test_two_upgrades_at_once_apply_each_migration_once(bare_ledger: Ledger) -> None:
    applied: list[list[str]] = []
    threads = [threading.Thread(target=lambda: applied.append(upgrade(bare_ledger))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(applied) == [[], ["0001_first", "0002_api_key", "0003_order_book", "0004_hearing"]]


def _clauses(sql: str) -> str:
    return " ".join(sorted(" ".join(part.strip(" \n\t()").replace('"', "").split()) for part in sql.split(",")))


def _objects(conn: Connection) -> dict[str, str]:
    """Every table and index with its whole definition, as the database prints it."""
    if conn.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'alembic_version'"
        # Constraints may stand in another order: the clauses are compared, not their places.
        return {name: _clauses(sql) for name, sql in conn.execute(sa.text(query))}
    indexes = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()"
    columns = """
        SELECT table_name || '.' || column_name, concat_ws(' ', data_type, is_nullable, column_default, is_identity)
        FROM information_schema.columns WHERE table_schema = current_schema()"""
    checks = """
        SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = current_schema()::regnamespace"""
    options = "SELECT relname, reloptions::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
    found: dict[str, str] = {}
    for number, query in enumerate((indexes, columns, checks, options)):
        found |= {f"{number} {row[0]}": str(row[1]) for row in conn.exec_driver_sql(query)}
    schema = conn.exec_driver_sql("SELECT current_schema()").scalar_one()
    return {name: text.replace(f"{schema}.", "") for name, text in found.items() if "alembic_version" not in name}


def test_the_migrations_lead_to_the_schema_of_the_code(bare_ledger: Ledger) -> None:
    with bare_ledger.begin() as conn:
        metadata.create_all(conn)
        fresh = _objects(conn)
        metadata.drop_all(conn)
    upgrade(bare_ledger)
    with bare_ledger.read() as conn:
        assert _objects(conn) == fresh
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert set(sa.inspect(conn).get_table_names()) == TABLES | {"alembic_version"}


def test_the_way_back_leaves_nothing(bare_ledger: Ledger) -> None:
    upgrade(bare_ledger)
    with bare_ledger.begin() as conn, Operations.context(MigrationContext.configure(conn)):
        m0004_hearing.downgrade()
        m0003_order_book.downgrade()
        m0002_api_key.downgrade()
        m0001_first.downgrade()
    with bare_ledger.read() as conn:
        assert sa.inspect(conn).get_table_names() == ["alembic_version"]


def test_instants_survive_the_database_to_the_microsecond(ledger: Ledger) -> None:
    _, found = _one(ledger)
    with ledger.read() as conn:
        assert conn.execute(sa.text("SELECT due_at FROM delivery WHERE id = :id"), {"id": found}).scalar() == to_us(NOW)
