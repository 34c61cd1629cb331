"""The way of the schema, one file a step, run by Alembic from code: no ini file, no command of its own.

Plain `create_engine` users of the database see the usual `alembic_version` table, so its tools work on it too.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from notifier.ledger.engine import Ledger

# Alembic is imported where it works: a worker never migrates, and its 11 MB would stay with it for life.
if TYPE_CHECKING:
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

UPGRADE_LOCK = 0x6E6F7469  # PostgreSQL advisory lock: any number of ours alone ("noti")


def upgrade(ledger: Ledger) -> list[str]:
    """Bring the schema up to date in one transaction; the names applied, oldest first.

    Safe when two run at once: the second waits (advisory lock, or SQLite's write lock) and applies nothing.
    Raises LedgerUnavailable.
    """
    with ledger.begin() as conn:
        if ledger.dialect == "postgresql":
            conn.execute(sa.select(sa.func.pg_advisory_xact_lock(UPGRADE_LOCK)))
        names = _pending(conn)
        if names:
            _run(conn)
        return names


def pending(ledger: Ledger) -> list[str]:
    """The names that `upgrade` would apply, oldest first; empty when all is current. Raises LedgerUnavailable."""
    with ledger.read() as conn:
        return _pending(conn)


def _script() -> ScriptDirectory:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def _pending(conn: Connection) -> list[str]:
    from alembic.migration import MigrationContext

    current = MigrationContext.configure(conn).get_current_heads()
    return [step.revision for step in _script().iterate_revisions("heads", current)][::-1]


def _run(conn: Connection) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext

    script = _script()

    def to_heads(current: tuple[str, ...], _context: MigrationContext) -> object:
        return script._upgrade_revs("heads", current)  # type: ignore[arg-type]  # the cookbook's own way to run from code

    with EnvironmentContext(Config(), script, fn=to_heads) as environment:
        environment.configure(connection=conn, transactional_ddl=True)
        environment.run_migrations()
