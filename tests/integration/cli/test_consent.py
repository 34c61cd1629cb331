"""notifier consent: records are added, never changed, and a file is taken whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from notifier.ledger import Ledger
from notifier.ledger.consents import consent_history
from tests.fixtures.ledger import HOUR, NOW
from tests.integration.cli.conftest import Terminal, everything

PHONE = "+201001234567"
HEAD = "shop,phone,channel,purpose,granted,source,at\n"


def records(ledger: Ledger) -> list[tuple[Any, ...]]:
    with ledger.read() as conn:
        found = consent_history(conn, None, PHONE)
    return [(one.shop, one.channel, one.purpose, one.granted, one.source, one.at) for one in found]


def test_a_grant_is_for_order_updates_over_all_channels_unless_said_otherwise(either: Terminal, ledger: Ledger) -> None:
    result = either.run("consent", "grant", "0100 123 4567", "--shop", "nile", "--source", "ticket 881")

    assert (result.exit_code, result.stdout) == (
        0,
        "+20•••••67 at nile: granted, order_updates over all channels, from 2026-03-01 12:00:00Z\n",
    )
    assert records(ledger) == [("nile", None, "order_updates", True, "ticket 881", NOW)]


def test_a_stop_is_for_everything_unless_said_otherwise(either: Terminal, ledger: Ledger) -> None:
    everything_, narrow = ("consent", "stop", PHONE, "--shop", "nile", "--source", "call"), ("--channel", "sms")

    first, second = either.run(*everything_), either.run(*everything_, *narrow, "--purpose", "marketing")

    assert first.stdout == "+20•••••67 at nile: stopped, every purpose over all channels, from 2026-03-01 12:00:00Z\n"
    assert second.stdout == "+20•••••67 at nile: stopped, marketing over sms, from 2026-03-01 12:00:00Z\n"
    assert records(ledger) == [
        ("nile", None, None, False, "call", NOW),
        ("nile", "sms", "marketing", False, "call", NOW),
    ]


def test_show_tells_what_is_allowed_now_and_by_which_records(either: Terminal) -> None:
    either.run("consent", "grant", PHONE, "--shop", "nile", "--source", "checkout")
    either.now = NOW + HOUR
    either.run("consent", "stop", PHONE, "--shop", "nile", "--channel", "sms", "--source", "STOP")

    shown, told = either.run("consent", "show", PHONE), either.json("consent", "show", PHONE)

    assert shown.exit_code == 0
    assert shown.stdout.splitlines()[0] == (
        "+20•••••67 at nile: allowed now: whatsapp for order_updates, email for order_updates"
    )
    assert PHONE not in shown.stdout
    assert [(one["granted"], one["source"], one["at"]) for one in told["records"]] == [
        (True, "checkout", "2026-03-01T12:00:00+00:00"),
        (False, "STOP", "2026-03-01T13:00:00+00:00"),
    ]
    verdicts = {(one["channel"], one["purpose"]): one["reason"] for one in told["verdicts"]}
    assert (verdicts["sms", "order_updates"], verdicts["whatsapp", "marketing"]) == ("opted_out", "no_consent")


def test_a_phone_that_nobody_spoke_about_is_status_one(either: Terminal) -> None:
    result = either.run("consent", "show", "01001234567", "--shop", "nile")

    assert (result.exit_code, result.stdout) == (
        1,
        "nothing is recorded about +20•••••67 at nile: nothing is sent\n",
    )


@pytest.mark.parametrize(
    ("label", "arguments", "complaint"),
    [
        ("no mobile", ("grant", "12", "--shop", "nile", "--source", "x"), "phone: not a number; write it like"),
        ("no country", ("show", "01007654321"), "phone: no country; write it like +201001234567"),
        ("shop", ("grant", PHONE, "--shop", "tigris", "--source", "x"), "no shop is called tigris; there are nile"),
        ("source", ("grant", PHONE, "--shop", "nile", "--source", "  "), "it is the proof"),
        ("no source", ("stop", PHONE, "--shop", "nile"), "Missing option '--source'"),
        ("channel", ("stop", PHONE, "--shop", "nile", "--source", "x", "--channel", "fax"), "'fax' is not one of"),
    ],
)
def test_what_cannot_be_recorded_is_refused_and_never_repeats_the_phone(
    label: str, arguments: tuple[str, ...], complaint: str, terminal: Terminal, sqlite_ledger: Ledger
) -> None:
    result = terminal.run("consent", *arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert complaint in result.stderr.replace("\n", " ")
    assert "7654321" not in result.stderr
    assert records(sqlite_ledger) == []


def test_a_file_is_imported_and_a_second_time_known(either: Terminal, ledger: Ledger, house: Path) -> None:
    rows = [
        f"nile,{PHONE},,,true,checkout,2026-01-01T00:00:00Z",
        "nile,010 0123 4567,sms,marketing,no,letter,2026-01-02T03:00:00+02:00",
        f"nile,{PHONE},,,yes,again,2026-01-01T00:00:00Z",
    ]
    (house / "consents.csv").write_text("\ufeff" + HEAD + "\n".join(rows) + "\n", encoding="utf-8")

    first, second = either.run("consent", "import", "consents.csv"), either.run("consent", "import", "consents.csv")

    assert (first.exit_code, first.stdout, first.stderr) == (0, "2 imported, 1 known already, 0 left out\n", "")
    assert (second.exit_code, second.stdout) == (0, "0 imported, 3 known already, 0 left out\n")
    assert [(channel, purpose, granted) for _, channel, purpose, granted, _, _ in records(ledger)] == [
        (None, "order_updates", True),
        ("sms", "marketing", False),
    ]


BAD = [
    f"tigris,{PHONE},,,true,checkout,2026-01-01T00:00:00Z",
    f"nile,{PHONE},,,true,checkout,2026-01-01T00:00:00Z",
    "nile,12,,,true,checkout,2026-01-01T00:00:00Z",
]


def test_one_bad_row_keeps_the_whole_file_out(either: Terminal, ledger: Ledger) -> None:
    with ledger.read() as conn:
        before = everything(conn)

    result = either.run("consent", "import", "-", stdin=HEAD + "\n".join(BAD))

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        "line 2: shop: no such shop; there are nile",
        "line 4: phone: not a number; write it like +201001234567",
        "Error: nothing was imported: mend 2 rows, or add --skip-bad",
    ]
    with ledger.read() as conn:
        assert everything(conn) == before


def test_skip_bad_imports_the_others(terminal: Terminal, sqlite_ledger: Ledger) -> None:
    result = terminal.run("consent", "import", "-", "--skip-bad", stdin=HEAD + "\n".join(BAD))

    assert (result.exit_code, result.stdout) == (1, "1 imported, 0 known already, 2 left out\n")
    assert len(result.stderr.splitlines()) == 2
    assert len(records(sqlite_ledger)) == 1


def test_a_file_with_other_columns_or_bytes_is_refused(terminal: Terminal) -> None:
    columns = terminal.run("consent", "import", "-", stdin="phone,granted\n")
    latin = terminal.run("consent", "import", "-", stdin=(HEAD + "nile,1,,,true,Médina,x").encode("latin-1"))

    assert (columns.exit_code, columns.stderr) == (
        2,
        "Error: line 1 must name the columns shop,phone,channel,purpose,granted,source,at\n",
    )
    assert (latin.exit_code, latin.stderr) == (2, "Error: the file is not UTF-8: save it as UTF-8\n")
