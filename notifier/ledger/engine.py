"""The way to the ledger: one `Ledger` per process, SQLite by default, PostgreSQL by nothing but its URL.

Durability: SQLite runs in WAL with synchronous=FULL. NORMAL would be faster and survives a crash of the process, but
after a power cut it forgets the last commits, and a forgotten claim is a message sent twice. Batches share the fsync.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, cast

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.pool import ConnectionPoolEntry

from notifier.events import NotifierError

Dialect = Literal["sqlite", "postgresql"]

BUSY_TIMEOUT_MS = 10_000  # SQLite: how long a writer waits for the one before it; shorter fails under eight drains
CONNECT_TIMEOUT_S = 5  # PostgreSQL: long enough for a failover's DNS, short enough for a drain's slice
TRUSTED_FOR = timedelta(seconds=1)  # PostgreSQL: a connection that was in use so lately is not asked whether it lives
DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}

NOT_OUR_TABLES = frozenset({"42P01", "42703", "3F000"})  # no such table, column, schema


class LedgerUnavailable(NotifierError):
    """The database cannot be reached or used now. The message names the host (never the password) and the remedy."""


class LedgerRefused(NotifierError):
    """The database refused a row: a constraint or a value it cannot hold. Names the rule, never the row (phones)."""

    def __init__(self, message: str, rule: str | None) -> None:
        self.rule = rule
        super().__init__(message)


class Ledger:
    """An open ledger: transactions for those who write and those who read. Safe to share between threads."""

    def __init__(self, engine: Engine, url: URL) -> None:
        self.dialect: Dialect = "sqlite" if engine.dialect.name == "sqlite" else "postgresql"
        self.url_without_password = url.render_as_string(hide_password=True)
        self._engine = engine
        self._where = f"{url.host or 'localhost'}:{url.port or 5432}" if self.dialect == "postgresql" else url.database

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A write transaction; commits at exit, rolls back on any exception.

        Raises LedgerUnavailable, LedgerRefused.
        """
        with self._faults(), self._engine.connect() as conn, conn.begin():
            yield conn

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that cannot write. Raises LedgerUnavailable, and LedgerRefused for an attempt to write."""
        options = {"ledger_read": True, "postgresql_readonly": True}
        with self._faults(), self._engine.connect().execution_options(**options) as conn, conn.begin():
            yield conn

    def dispose(self) -> None:
        """Close the pooled connections. The ledger may be used again; it then reconnects."""
        self._engine.dispose()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except exc.ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) not in NOT_OUR_TABLES:
                raise
            raise LedgerUnavailable(f"the ledger at {self._where} {_complaint(error)}") from None
        except (exc.OperationalError, exc.InterfaceError) as error:
            raise LedgerUnavailable(f"the ledger at {self._where} {_complaint(error)}") from None
        except exc.TimeoutError:
            raise LedgerUnavailable(
                f"the ledger at {self._where} has no free connection: raise ledger pool_size above the thread count"
            ) from None
        except exc.DBAPIError as error:
            rule = _rule(error)
            kind = type(error.orig).__name__
            raise LedgerRefused(f"the ledger refused a row: {kind} ({rule or 'no constraint named'})", rule) from None


def _complaint(error: exc.DBAPIError) -> str:
    """What is wrong and how to mend it. The driver's text is read, and only its first line ever repeated."""
    said = (str(error.orig).strip().splitlines() or [""])[0]
    for sign, complaint in (
        ("no such table", "has no tables yet or old ones: run `notifier db upgrade`"),
        ("no such column", "has old tables: run `notifier db upgrade`"),
        ("does not exist", f"lacks something ({said}): create the database, then run `notifier db upgrade`"),
        ("database is locked", f"stayed locked for {BUSY_TIMEOUT_MS / 1000:.0f} s: look for a writer that hangs"),
        ("readonly", "cannot be written: use begin() to write, and check who owns the file"),
        ("read-only", "cannot be written: use begin() to write, and check that it is the primary"),
        ("unable to open", "cannot be opened: check that the folder exists and may be written"),
        ("authentication failed", "refused the user or password: check NOTIFIER_DATABASE_URL"),
        ("deadlock", "broke a deadlock by ending this transaction: run it again"),
    ):
        if sign in said.lower():
            return complaint
    return f"is unavailable ({type(error.orig).__name__}: {said}): check that it runs and can be reached"


def _rule(error: exc.DBAPIError) -> str | None:
    diag = getattr(error.orig, "diag", None)
    if diag is not None:
        return cast("str | None", diag.constraint_name or diag.sqlstate)
    return str(error.orig).partition(": ")[2] or None


def open_ledger(url: str, *, pool_size: int = 5) -> Ledger:
    """Open `sqlite:///path` or `postgresql://user:password@host/name`; nothing is read or written yet.

    pool_size: connections kept; at least one per thread that uses the ledger at once. For SQLite the folder is created.
    Raises LedgerUnavailable for a URL that names no database we know.
    """
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        raise LedgerUnavailable("the ledger's URL cannot be read: sqlite:///path or postgresql://host/name") from None
    driver = DRIVERS.get(parsed.drivername)
    if driver is None:
        raise LedgerUnavailable(f"no ledger speaks {parsed.drivername!r}: use sqlite:///path or postgresql://host/name")
    parsed = parsed.set(drivername=driver)
    engine = _sqlite(parsed, pool_size) if driver == "sqlite" else _postgresql(parsed, pool_size)
    return Ledger(engine, parsed)


def _sqlite(url: URL, pool_size: int) -> Engine:
    if not url.database or url.database == ":memory:":
        raise LedgerUnavailable("the ledger must outlive its process: give sqlite:/// a path")
    try:
        Path(url.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # it holds phones
    except OSError as error:
        raise LedgerUnavailable(f"the folder of the ledger {url.database} cannot be made: {error.strerror}") from None
    engine = sa.create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        poolclass=sa.pool.QueuePool,
        hide_parameters=True,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000, "isolation_level": None},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "foreign_keys = ON",
        "cache_size = -32000",  # 32 MB: the hot ends of the indexes; the default 2 MB reads them again each batch
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(conn: Connection) -> None:
    """Writers take the lock at once: a deferred one would fail in the middle, without waiting, when another wrote."""
    reads = bool(conn.get_execution_options().get("ledger_read", False))
    conn.exec_driver_sql(f"PRAGMA query_only = {int(reads)}")
    conn.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _postgresql(url: URL, pool_size: int) -> Engine:
    engine = sa.create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        isolation_level="READ COMMITTED",  # SKIP LOCKED and the guards are written for it
        hide_parameters=True,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "notifier"},
    )
    event.listen(engine, "connect", _prepare_postgresql)
    event.listen(engine, "checkin", _note_rest)
    event.listen(engine, "checkout", _ping_after_rest(engine.dialect))
    return engine


def _note_rest(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["rests_since"] = time.monotonic()


def _ping_after_rest(dialect: sa.Dialect) -> Callable[[Any, ConnectionPoolEntry, object], None]:
    """Has the pool replace what died at rest; without it each connection fails once after a failover.

    SQLAlchemy's own ping comes before every transaction: one of its ten round trips, which says least on a busy day.
    """

    def ping(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        if time.monotonic() - record.info.get("rests_since", math.inf) < TRUSTED_FOR.total_seconds():
            return
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise exc.InvalidatePoolError from error

    return ping


# A prepared statement keeps the plan that it got when the tables were empty, until autovacuum looks again: then a batch
# scans what has gathered since. Its generic plan makes a bitmap of all due rows of a flow, guards each and sorts them:
# 47 ms a claim of 200 among 7,000, and one drain sent 2,250 messages a second instead of 4,600. Each statement here has
# its index (a test reads the plans), so the planner may as well never think of the alternatives. JIT: on a large table
# it costs 200 ms to compile what runs in two.
PLANNER = ("jit", "enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin")


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    autocommit, connection.autocommit = connection.autocommit, True
    for setting in PLANNER:
        connection.execute(f"SET {setting} = off")
    connection.autocommit = autocommit
