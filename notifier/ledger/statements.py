"""How a statement is written once for two databases, and how a batch of rows travels: as one JSON parameter.

Measured with 200 rows of 900 bytes: jsonb_to_recordset 27 us a row, unnest of typed arrays 190 us (psycopg quotes each
element in Python), one statement a row more than either.
"""

# ruff: noqa: S608  statements are put together from constants of this room; values always travel as parameters
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Executable, column, text
from sqlalchemy.engine import Connection, CursorResult

from notifier.ledger.instants import to_us

# The few words in which the two databases differ. Conditions and states stay literals: partial indexes need them.
WORDS: Mapping[str, Mapping[str, str]] = {
    "sqlite": {
        "ids": "SELECT value FROM json_each(:ids)",
        "least": "min",
        "lock": "",
        "skip_locked": "",
    },
    "postgresql": {
        "ids": "SELECT jsonb_array_elements_text(CAST(:ids AS jsonb))",
        "least": "LEAST",
        "lock": "FOR UPDATE OF d",
        "skip_locked": "FOR UPDATE OF d SKIP LOCKED",
    },
}

Result = CursorResult[*tuple[Any, ...]]

# PostgreSQL holds no NUL in a text, and one such character would take its whole batch down with it.
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")

# A newer comparable event of the same order that the customer was told, or is being told: the stale guard of the
# claim and of the fallback. n is the notification in question; a null rank compares with nothing.
OBSOLETE_BY = """
    CASE WHEN NOT n.always THEN (
        SELECT newer.event FROM notification newer
        WHERE newer.shop = n.shop AND newer.order_id = n.order_id
          AND newer.rank > n.rank AND newer.state IN ('active', 'told')
          AND (newer.shipment_id = n.shipment_id OR newer.shipment_id IS NULL OR n.shipment_id IS NULL)
        ORDER BY newer.rank DESC, newer.id LIMIT 1
    ) END"""


class Rows:
    """The columns of a batch: name -> SQL type (text, bigint, boolean). `{rows}` in a statement becomes its source."""

    def __init__(self, **columns: str) -> None:
        self.columns = columns

    def source(self, dialect: str) -> str:
        """A SELECT over the JSON parameter :rows with one column per name."""
        if dialect == "postgresql":
            columns = ", ".join(f"{name} {kind}" for name, kind in self.columns.items())
            return f"SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS batch({columns})"
        columns = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in self.columns)
        return f"SELECT {columns} FROM json_each(:rows)"


class Statement:
    """One SQL text in both dialects: `{rows}` is the batch, `{ids}` a list of ids, other words are in WORDS."""

    def __init__(self, sql: str, rows: Rows | None = None) -> None:
        self._sql = sql
        self._rows = rows
        self._built: dict[str, Executable] = {}

    def sql(self, dialect: str) -> str:
        """The text for one database."""
        rows = self._rows.source(dialect) if self._rows else ""
        return self._sql.format(rows=rows, **WORDS[dialect])

    def run(self, conn: Connection, rows: Iterable[object] = (), /, **params: int | str | None) -> Result:
        """Executes it. rows: dataclasses or mappings, datetimes as they are; they become :rows."""
        dialect = conn.dialect.name
        if self._rows is not None:
            params["rows"] = to_json(rows)
        built = self._built.get(dialect)
        return self._first_run(conn, params) if built is None else conn.execute(built, params)

    def _first_run(self, conn: Connection, params: Mapping[str, int | str | None]) -> Result:
        """Executes it, and from then on SQLAlchemy knows what it selects: it would find that out at each execution."""
        built = text(self.sql(conn.dialect.name))
        result = conn.execute(built, params)
        names = result.keys() if result.returns_rows else ()
        self._built[conn.dialect.name] = built.columns(*map(column, names)) if names else built
        return result


def to_json(rows: Iterable[object]) -> str:
    """A batch as one JSON text: instants as microseconds, NUL characters as U+FFFD."""
    packed = orjson.dumps(list(rows), default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)
    if b"\\u0000" in packed:
        packed = _NUL.sub(rb"\1\\ufffd", packed)
    return packed.decode()


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return to_us(value)
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no column")


def first_of_each(rows: Sequence[Any], key: str) -> dict[str, Any]:
    """The rows by id. Of two about the same id the first counts, as if they had come one after the other."""
    found: dict[str, Any] = {}
    for row in rows:
        found.setdefault(getattr(row, key), row)
    return found
