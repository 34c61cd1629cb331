"""Many rows for the ledger, fast: one message takes the real way, and the database copies what that left behind.

So a copy is what intake (or the whole way, receipts included) writes, whatever the schema looks like by then; only ids
and the digits of the order (orders.py) differ. Foreign keys are not checked while copying: the copies agree by
construction, and checking them doubles the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bench.orders import DIGITS, marker
from notifier.ledger import Ledger
from notifier.ledger.schema import metadata

# Table -> the column by which its rows belong to one order event's seed. Parents before children.
_TABLES = {
    "order_event": "id",
    "notification": "event_id",
    "delivery": "notification_id",
    "consent": "event_id",
    "history": "notification_id",
}
_CHUNK = 200_000


@dataclass(frozen=True, slots=True)
class Copies:
    """Rows to make from the seed. first, count: numbers of the orders; aged: how long ago it all happened.

    lanes: spread over so many lanes (`lane-0`, `lane-1`…) in turn; 0: the seed's own.
    """

    seed: int
    first: int
    count: int
    aged: timedelta = timedelta(0)
    lanes: int = 0


def copy(ledger: Ledger, copies: Copies) -> None:
    """Makes the rows, 200,000 orders a transaction. PostgreSQL only; needs a superuser. Then tidies."""
    for start in range(copies.first, copies.first + copies.count, _CHUNK):
        until = min(start + _CHUNK, copies.first + copies.count)
        with ledger.begin() as conn:
            conn.exec_driver_sql("SET LOCAL session_replication_role = replica")
            conn.exec_driver_sql("SET LOCAL synchronous_commit = off")
            for table, parent in _TABLES.items():
                _copy(conn, table, parent, copies, start, until)
    tidy(ledger)


def tidy(ledger: Ledger) -> None:
    """Vacuums, analyzes and writes a checkpoint now, as the server would in its own time: beside what is measured."""
    with ledger._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.exec_driver_sql("VACUUM ANALYZE")
        conn.exec_driver_sql("CHECKPOINT")


def _copy(conn: Connection, table: str, parent: str, copies: Copies, start: int, until: int) -> None:
    columns = [column for column in metadata.tables[table].columns if column.identity is None]
    names = ", ".join(column.name for column in columns)
    values = ", ".join(_value(table, column, copies) for column in columns)
    seeds = {
        "id": "SELECT id FROM order_event WHERE order_id = :seed",
        "event_id": "SELECT id FROM order_event WHERE order_id = :seed",
        "notification_id": "SELECT n.id FROM notification n WHERE n.order_id = :seed",
    }
    statement = f"""
        INSERT INTO {table} ({names}) SELECT {values}
        FROM generate_series(CAST(:start AS bigint), CAST(:until AS bigint)) AS g CROSS JOIN {table} AS s
        WHERE s.{parent} IN ({seeds[parent]})"""
    conn.execute(
        sa.text(statement),
        {"seed": marker(copies.seed), "old": marker(copies.seed), "start": start, "until": until - 1},
    )


def _value(table: str, column: sa.Column[object], copies: Copies) -> str:
    """SQL for one column of a copy."""
    name = column.name
    if name == "id" or (name.endswith("_id") and name in ("event_id", "notification_id", "delivery_id")):
        # Ids begin with their time (notifier/ids.py); a copy keeps the seed's, moved by its age, and g for the rest.
        age_ms = int(copies.aged.total_seconds() * 1000)
        stamp = f"lpad(to_hex(('x' || left(s.{name}, 12))::bit(48)::bigint - {age_ms}), 12, '0')"
        return (
            f"CASE WHEN s.{name} IS NULL THEN NULL ELSE {stamp} || right(s.{name}, 12) || lpad(to_hex(g), 8, '0') END"
        )
    if name == "lane" and copies.lanes:
        return f"'lane-' || (g % {copies.lanes})"
    if name == "provider_id" and table == "delivery":
        return "CASE WHEN s.provider_id IS NULL THEN NULL ELSE 'wamid.' || md5(g::text) END"
    if isinstance(column.type, sa.Text):
        digits = f"lpad((g / 900 * 1000 + g % 900)::text, {DIGITS}, '0')"
        return f"replace(s.{name}, :old, {digits})"
    if isinstance(column.type, sa.BigInteger) and copies.aged:
        return f"s.{name} - {int(copies.aged.total_seconds() * 1e6)}"
    return f"s.{name}"
