"""`notifier reconcile`: in process, on a real ledger and a real Redis, against a platform on a port."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from notifier.cli.command_reference import SHAPES
from notifier.lookups.fetch import Fetcher
from tests.integration.cli.conftest import CONFIG, Terminal
from tests.integration.lookups.platform import FakePlatform, Reply, running_platform
from tests.integration.webhooks.platforms import woo_order

ORDERS = "/wp-json/wc/v3/orders"
SOURCES = """
[shops.nile.sources.woo]
kind = "woocommerce"
look_up = {{ kind = "woocommerce", base_url = "{url}" }}
"""


@pytest.fixture
def platform(terminal: Terminal, house: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePlatform]:
    """The platform of nile's shop, with credentials for it."""
    with running_platform() as found:
        (house / "notifier.toml").write_text(CONFIG + SOURCES.format(url=found.url), encoding="utf-8")
        monkeypatch.setenv("NOTIFIER_LOOKUP_NILE_WOO_KEY", "ck_1")
        monkeypatch.setenv("NOTIFIER_LOOKUP_NILE_WOO_SECRET", "cs_1")
        yield found


def test_what_changed_is_asked_for_and_told_once(terminal: Terminal, platform: FakePlatform) -> None:
    platform.replies[ORDERS] = [Reply(body=[woo_order()])]
    done = terminal.run("reconcile", "nile", "--since", "3h")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "woo: orders 1 (pages 1); events: new 1, known 0, unchanged 0; unreadable 0\n"
    assert "modified_after=2026-03-01T09%3A00%3A00" in platform.asked[0][0]
    again = terminal.run("reconcile", "nile")
    assert again.stdout == "woo: orders 1 (pages 1); events: new 0, known 0, unchanged 1; unreadable 0\n"


def test_json_has_the_documented_shape(terminal: Terminal, platform: FakePlatform) -> None:
    platform.replies[ORDERS] = [Reply(body=[woo_order()])]
    [report] = terminal.json("reconcile", "nile")["sources"]
    assert all(key in SHAPES["reconcile"]["sources[]"] for key in report)
    assert (report["shop"], report["source"], report["news"]) == ("nile", "woo", 1)


def test_an_order_that_cannot_be_read_ends_with_status_1(terminal: Terminal, platform: FakePlatform) -> None:
    platform.replies[ORDERS] = [Reply(body=[{}])]
    done = terminal.run("reconcile", "nile")
    assert done.exit_code == 1
    assert done.stdout.endswith("unreadable 1\n")
    assert "cannot be read: /id" in done.stderr


@pytest.mark.parametrize(
    ("reply", "status", "says"),
    [(Reply(401, {}), 2, "the credentials are wrong"), (Reply(raw=b"{", cut=True), 3, "does not answer")],
)
def test_a_platform_that_refuses_and_one_that_is_away(
    terminal: Terminal,
    platform: FakePlatform,
    monkeypatch: pytest.MonkeyPatch,
    reply: Reply,
    status: int,
    says: str,
) -> None:
    impatient = partial(Fetcher, time_box=timedelta(milliseconds=200))
    monkeypatch.setattr("notifier.lookups.orders.Fetcher", impatient)
    platform.replies[ORDERS] = [reply]
    done = terminal.run("reconcile", "nile")
    assert (done.exit_code, done.stdout) == (status, "")
    assert says in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nile", "--since", "soon"), "write a duration as a number and a unit"),
        (("delta",), "shop delta has no source"),
        (("nile", "--source", "x"), "shop nile has no source x"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    terminal: Terminal, platform: FakePlatform, arguments: tuple[str, ...], says: str
) -> None:
    done = terminal.run("reconcile", *arguments)
    assert done.exit_code == 2
    assert says in done.stderr
    assert platform.asked == []


def test_a_check_names_who_is_asked_and_which_credentials_are_missing(
    terminal: Terminal, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"woo: orders are asked of {platform.url.removeprefix('http://')}" in terminal.run("sources", "check").stdout
    monkeypatch.delenv("NOTIFIER_LOOKUP_NILE_WOO_SECRET")
    said = terminal.run("sources", "check").stdout
    assert "woo: nobody would answer a look-up: no credentials" in said
    assert "set NOTIFIER_LOOKUP_NILE_WOO_SECRET" in said
