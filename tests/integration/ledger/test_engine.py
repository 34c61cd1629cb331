"""The way in: transactions, and what it says when there is none."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
import sqlalchemy as sa

from notifier.ledger import Ledger, LedgerRefused, LedgerUnavailable, engine, open_ledger, upgrade
from tests.fixtures.ledger import queue


def _events(ledger: Ledger) -> int:
    with ledger.read() as conn:
        return int(conn.execute(sa.text("SELECT count(*) FROM order_event")).scalar_one())


def test_a_transaction_commits_at_its_end_and_rolls_back_on_any_error(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        queue(conn)
    with pytest.raises(ZeroDivisionError), ledger.begin() as conn:
        queue(conn)
        raise ZeroDivisionError
    assert _events(ledger) == 1


def test_a_reader_cannot_write_and_the_next_writer_can(ledger: Ledger) -> None:
    with pytest.raises((LedgerUnavailable, LedgerRefused)), ledger.read() as conn:
        queue(conn)
    with ledger.begin() as conn:
        queue(conn)
    assert _events(ledger) == 1


def test_a_reader_does_not_wait_for_a_writer(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        queue(conn)
        assert _events(ledger) == 0


def test_writers_wait_for_each_other_and_all_get_through(ledger: Ledger) -> None:
    def write() -> None:
        with ledger.begin() as conn:
            queue(conn)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _events(ledger) == 8


def test_a_ledger_without_tables_says_how_to_make_them(bare_ledger: Ledger) -> None:
    with pytest.raises(LedgerUnavailable, match="notifier db upgrade"):
        _events(bare_ledger)


def test_a_ledger_can_be_used_again_after_dispose(ledger: Ledger) -> None:
    ledger.dispose()
    assert _events(ledger) == 0


def test_a_wrong_statement_is_a_bug_and_not_an_outage(ledger: Ledger) -> None:
    if ledger.dialect == "sqlite":
        pytest.skip("SQLite has one error class for both")
    with pytest.raises(sa.exc.ProgrammingError), ledger.read() as conn:
        conn.execute(sa.text("SELECT nonsense("))


def test_sqlite_keeps_every_commit_through_a_power_cut(sqlite_ledger: Ledger) -> None:
    with sqlite_ledger.read() as conn:
        pragmas = {
            name: conn.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}


def test_the_folder_of_a_new_ledger_is_made(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/deep/er/ledger.db")
    upgrade(ledger)
    assert (tmp_path / "deep/er/ledger.db").exists()
    ledger.dispose()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerUnavailable, match=r"file/deep/ledger\.db"):
        open_ledger(f"sqlite:///{tmp_path}/file/deep/ledger.db")


def test_a_server_that_is_away_is_named_without_its_password() -> None:
    ledger = open_ledger("postgresql://someone:hunter2@127.0.0.1:1/x")
    assert ledger.url_without_password == "postgresql+psycopg://someone:***@127.0.0.1:1/x"
    with pytest.raises(LedgerUnavailable) as caught, ledger.begin():
        pass
    assert "127.0.0.1:1" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(ledger.__dict__)


@pytest.mark.parametrize("url", ["mysql://localhost/x", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_a_url_that_is_no_ledger_is_refused_with_what_would_be_one(url: str) -> None:
    with pytest.raises(LedgerUnavailable, match="sqlite:///"):
        open_ledger(url)


def test_too_few_connections_are_named_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db", pool_size=1)
    monkeypatch.setattr(ledger._engine.pool, "_timeout", 0)
    with ledger.read(), pytest.raises(LedgerUnavailable, match="pool_size"), ledger.read():
        pass
    ledger.dispose()


@pytest.fixture
def postgres(bare_ledger: Ledger) -> Ledger:
    if bare_ledger.dialect != "postgresql":
        pytest.skip("SQLite has no server whose connections could die")
    return bare_ledger


def _cut(ledger: Ledger) -> None:
    """Ends the other connection of this database, as a failover does."""
    with ledger.begin() as conn:
        others = "pid <> pg_backend_pid() AND datname = current_database() AND backend_type = 'client backend'"
        ended = f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE {others}"
        assert [found for (found,) in conn.execute(sa.text(ended))] == [True]


def _answer(ledger: Ledger) -> int:
    with ledger.begin() as conn:
        return int(conn.execute(sa.text("SELECT 42")).scalar_one())


def _two_connections(ledger: Ledger) -> None:
    with ledger.begin() as one, ledger.begin() as other:
        for conn in (one, other):
            conn.execute(sa.text("SELECT 1"))


def test_a_connection_that_died_at_rest_is_replaced_before_it_is_used(
    postgres: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "TRUSTED_FOR", timedelta(0))
    _two_connections(postgres)
    _cut(postgres)
    assert [_answer(postgres) for _ in range(3)] == [42, 42, 42]


def test_one_that_was_in_use_just_now_is_not_asked_and_fails_at_most_once(
    postgres: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "TRUSTED_FOR", timedelta(hours=1))
    asked = Mock(wraps=postgres._engine.dialect.do_ping)
    monkeypatch.setattr(postgres._engine.dialect, "do_ping", asked)
    _two_connections(postgres)
    _cut(postgres)
    failed = 0
    for _ in range(5):
        try:
            assert _answer(postgres) == 42
        except LedgerUnavailable:
            failed += 1
    assert (failed <= 1, asked.call_count) == (True, 0)
