"""notifier sweep for cron, and notifier db for the tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from notifier.ledger import Ledger
from notifier.sweeps import SWEEPS
from tests.fixtures.ledger import HOUR, NOW, queue, row_of
from tests.integration.cli.conftest import Terminal, url_of


def test_all_sweeps_run_once_and_say_a_line_each(either: Terminal, ledger: Ledger) -> None:
    with ledger.begin() as conn:
        [one] = queue(conn, expires_at=NOW + HOUR)
    either.now = NOW + 2 * HOUR

    first, second = either.run("sweep"), either.run("sweep", "all")

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert [line.split(":")[0] for line in first.stdout.splitlines()] == list(SWEEPS)
    assert "expire_overdue: expire 1" in first.stdout.splitlines()
    assert "expire_overdue: nothing to do" in second.stdout.splitlines()
    with ledger.read() as conn:
        assert row_of(conn, "delivery", one.delivery.id)["state"] == "expired"


def test_one_sweep_by_name_gives_a_json_line_with_keys_that_are_always_there(terminal: Terminal) -> None:
    result = terminal.run("sweep", "forget_old", "--json")

    [line] = result.stdout.splitlines()
    assert json.loads(line) == {
        "sweep": "forget_old",
        "seen": 0,
        "moved": {"forgotten": 0},
        "lost": 0,
        "finished": True,
        "error": None,
    }


def test_a_sweep_wakes_the_lanes_with_due_work(terminal: Terminal, sqlite_ledger: Ledger) -> None:
    with sqlite_ledger.begin() as conn:
        queue(conn)

    assert terminal.run("sweep", "wake_due_lanes").stdout == "wake_due_lanes: woken 1\n"
    assert terminal.woken == [("nile-wa", "whatsapp")]


def test_a_ledger_that_is_away_is_status_one_and_a_line_for_cron_to_mail(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFIER_DATABASE_URL", "sqlite:///empty.db")

    result = terminal.run("sweep", "expire_overdue")

    assert (result.exit_code, result.stdout) == (
        1,
        "expire_overdue: the ledger at empty.db has no tables yet or old ones: run `notifier db upgrade`\n",
    )


def test_a_sweep_that_nobody_wrote_is_a_usage_error(terminal: Terminal) -> None:
    assert terminal.run("sweep", "polish").exit_code == 2


def test_tables_are_missing_then_made_then_nothing_is_missing(
    house: Path, bare_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFIER_DATABASE_URL", url_of(bare_ledger))
    terminal = Terminal()

    before, made, after, again = (terminal.run("db", command) for command in ("status", "upgrade", "status", "upgrade"))

    missing = [line.removeprefix("missing ") for line in before.stdout.splitlines()]
    assert (before.exit_code, made.exit_code, after.exit_code, again.exit_code) == (1, 0, 0, 0)
    assert missing[0] == "0001_first"
    assert [line.removeprefix("applied ") for line in made.stdout.splitlines()[:-1]] == missing
    assert after.stdout == "nothing is missing\n"
    assert len(again.stdout.splitlines()) == 1
    assert again.stdout.endswith(" is up to date\n")


def test_a_database_that_is_away_is_status_three_without_its_password(
    terminal: Terminal, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"postgresql://u:nobody-may-see@127.0.0.1:{closed_port}/notifier"
    monkeypatch.setenv("NOTIFIER_DATABASE_URL", url)

    result = terminal.run("db", "upgrade")

    assert (result.exit_code, result.stdout) == (3, "")
    assert f"the ledger at 127.0.0.1:{closed_port} is unavailable" in result.stderr
    assert "nobody-may-see" not in result.stderr
