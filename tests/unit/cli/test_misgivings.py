"""What `notifier up` warns of."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from notifier.cli.misgivings import misgivings
from notifier.settings import Settings, load_settings

SENDER: dict[str, Any] = {"channel": "sms", "provider": "twilio", "base_url": "http://127.0.0.1:9", "rate": 1}
SHOP: dict[str, Any] = {
    "display_name": "Nile",
    "country": "EG",
    "routes": [{"sms": "nile-sms"}],
    "sources": {"woo": {"kind": "woocommerce"}},
}
SENDER_SECRET, SOURCE_SECRET = "NOTIFIER_SENDER_NILE_SMS_AUTH_TOKEN", "NOTIFIER_SOURCE_NILE_WOO_SECRET"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in [name for name in os.environ if name.startswith("NOTIFIER_")]:
        monkeypatch.delenv(name)
    (tmp_path / "notifier.toml").touch()
    monkeypatch.setenv("NOTIFIER_CONFIG", str(tmp_path / "notifier.toml"))
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    return load_settings(data_dir=data, shops={"nile": SHOP}, senders={"nile-sms": SENDER})


def test_secrets_that_are_not_set_are_named(settings: Settings) -> None:
    assert list(misgivings(settings, sandbox=False)) == [
        f"these senders' secrets are not set, and without them nothing is sent or believed: {SENDER_SECRET}",
        f"webhooks of these sources are refused until their secret is set: {SOURCE_SECRET}",
    ]


def test_the_sandbox_gives_senders_their_secrets_and_sources_none(settings: Settings) -> None:
    assert list(misgivings(settings, sandbox=True)) == [
        f"webhooks of these sources are refused until their secret is set: {SOURCE_SECRET}",
    ]


def test_a_house_in_order_gives_no_cause(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SENDER_SECRET, "t")
    monkeypatch.setenv(SOURCE_SECRET, "s")
    assert list(misgivings(settings, sandbox=False)) == []


def test_strangers_and_an_open_data_directory_are_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFIER_ZEBRA", "1")
    settings.data_dir.chmod(0o750)
    told = list(misgivings(settings, sandbox=True))[1:]
    assert told == [
        "nothing here reads NOTIFIER_ZEBRA",
        f"others can read {settings.data_dir}, which holds phones: chmod 700 {settings.data_dir}",
    ]
