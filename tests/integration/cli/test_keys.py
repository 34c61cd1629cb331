"""`notifier keys` on both ledgers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from notifier.cli.command_reference import SHAPES
from notifier.keys import digest_of
from notifier.ledger import Ledger
from notifier.ledger.keys import KeyRow, live_keys
from tests.fixtures.ledger import NOW
from tests.integration.cli.conftest import Terminal, everything


def live(ledger: Ledger) -> list[KeyRow]:
    with ledger.read() as conn:
        return live_keys(conn, NOW)


def test_create_shows_the_key_alone_on_stdout_and_keeps_its_digest(either: Terminal, ledger: Ledger) -> None:
    result = either.run("keys", "create", "nile", "--name", "backend", "--scope", "events:read", "--rate", "5")

    [row] = live(ledger)
    assert result.exit_code == 0
    assert result.stdout == result.stdout.strip() + "\n"
    assert row.digest == digest_of(result.stdout.strip())
    assert (row.shop, row.name, row.scopes, row.rate, row.created_by) == (
        "nile",
        "backend",
        ("events:read",),
        5,
        "amira",
    )
    assert f"id {row.id}, for nile: events:read" in result.stderr


def test_list_tells_keys_apart_without_showing_them(terminal: Terminal) -> None:
    made = terminal.json("keys", "create", "nile", "--name", "backend")

    table = terminal.run("keys", "list")
    listed = terminal.json("keys", "list", "--shop", "nile")["keys"]

    assert made["hint"] == made["key"][:10]
    assert f"{made['hint']}…" in table.stdout
    assert made["key"] not in table.stdout
    assert listed == [{name: value for name, value in made.items() if name != "key"}]
    assert set(made) == {name.removesuffix("[]") for name in SHAPES["keys create"]}
    assert [name for name in listed[0] if name not in SHAPES["keys list"]["keys[]"]] == []


def test_without_keys_the_list_says_how_to_make_one(terminal: Terminal) -> None:
    result = terminal.run("keys", "list", "--shop", "nile")

    assert result.exit_code == 1
    assert result.stdout == "no keys of nile; make one with `notifier keys create`\n"


def test_a_revoked_key_leaves_the_list_and_stays_in_the_whole_one(terminal: Terminal, sqlite_ledger: Ledger) -> None:
    made = terminal.json("keys", "create", "nile", "--name", "backend")

    result = terminal.run("keys", "revoke", made["id"])

    assert result.stdout == f"{made['hint']}… (backend, nile) opens nothing any more\n"
    assert terminal.run("keys", "list").exit_code == 1
    assert terminal.json("keys", "list", "--all")["keys"][0]["ended_by"] == "amira"
    assert "ended 2026-03-01 12:00:00Z" in terminal.run("keys", "list", "--all").stdout
    assert live(sqlite_ledger) == []


def test_rotate_gives_a_new_key_and_says_when_the_old_one_ends(terminal: Terminal, sqlite_ledger: Ledger) -> None:
    made = terminal.json("keys", "create", "nile", "--name", "backend")

    result = terminal.run("keys", "rotate", made["id"], "--grace", "2h")

    old, new = live(sqlite_ledger)
    assert "the old key ends at 2026-03-01 14:00:00Z" in result.stderr
    assert (old.ends_at, new.digest) == (NOW + timedelta(hours=2), digest_of(result.stdout.strip()))
    assert set(terminal.json("keys", "rotate", new.id)) == {name.removesuffix("[]") for name in SHAPES["keys rotate"]}


@pytest.mark.parametrize(
    ("label", "arguments", "said"),
    [
        ("unknown shop", ("create", "mekong", "--name", "x"), "no shop is called mekong; there are nile"),
        ("unknown scope", ("create", "nile", "--name", "x", "--scope", "all"), "'all' is not one of"),
        ("blank name", ("create", "nile", "--name", " "), "name: say who will use the key"),
        ("unknown key", ("revoke", "nobody"), "no key has the id nobody"),
        ("grace", ("rotate", "nobody", "--grace", "soon"), "--grace"),
    ],
)
def test_what_is_refused_changes_nothing(
    terminal: Terminal, sqlite_ledger: Ledger, label: str, arguments: tuple[str, ...], said: str
) -> None:
    with sqlite_ledger.read() as conn:
        before = everything(conn)

    result = terminal.run("keys", *arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    with sqlite_ledger.read() as conn:
        assert everything(conn) == before
