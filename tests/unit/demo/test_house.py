"""The demo's own house."""

from __future__ import annotations

import json
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier.catalog import load_catalog
from notifier.demo.house import NoConfiguration, build_house, write_secretly
from notifier.demo.practice import practise
from notifier.demo.toml import write_toml
from notifier.sandbox import SandboxConfig
from notifier.settings import Settings, load_settings

CONFIG = Path("config/notifier.toml")
SANDBOX, GATEWAY = "http://127.0.0.1:9001", "http://127.0.0.1:9002"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("NOTIFIER_CONFIG", str(build_house(tmp_path, CONFIG, SANDBOX, GATEWAY)))
    return load_settings()


def test_no_sender_of_the_demo_reaches_anything_but_the_sandbox(settings: Settings) -> None:
    assert settings.allowed_hosts == {"127.0.0.1:9001"}
    assert settings.public_url == GATEWAY


def test_the_demo_is_the_same_at_any_hour(settings: Settings) -> None:
    assert [shop.quiet_hours for shop in settings.shops.values()] == [None, None, None]


def test_all_data_is_below_the_demos_directory(settings: Settings, tmp_path: Path) -> None:
    assert settings.data_dir == tmp_path / "data"
    assert settings.ledger_url == f"sqlite:///{tmp_path}/data/ledger.db"


def test_a_silent_phone_costs_half_a_minute(settings: Settings, tmp_path: Path) -> None:
    catalog = load_catalog(tmp_path / "config" / "templates")
    lives = {template.ttl for template in catalog.templates.values() if template.category == "UTILITY"}
    assert lives == {timedelta(seconds=30)}
    assert settings.fallback.buffer == timedelta(seconds=2)


def test_everything_else_is_as_in_the_configuration(settings: Settings) -> None:
    table = tomllib.loads(CONFIG.read_text(encoding="utf-8"))
    assert set(settings.shops) == set(table["shops"])
    assert {name: sender.account for name, sender in settings.senders.items()} == {
        name: sender["account"] for name, sender in table["senders"].items()
    }
    assert set(settings.events) == set(table["events"])


def test_without_a_configuration_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NoConfiguration, match="run `notifier demo` in the folder that holds config/"):
        build_house(tmp_path, tmp_path / "config" / "notifier.toml", SANDBOX, GATEWAY)


def test_a_secret_file_is_ours_alone(tmp_path: Path) -> None:
    write_secretly(tmp_path / "secret.json", {"a": "ش"})
    assert (tmp_path / "secret.json").stat().st_mode & 0o777 == 0o600
    assert json.loads((tmp_path / "secret.json").read_text(encoding="utf-8")) == {"a": "ش"}


@pytest.mark.parametrize(
    ("label", "table"),
    [
        ("plain values", {"a": 1, "b": "x", "c": True, "d": 1.5}),
        ("quotes and other scripts", {"a": 'say "hi"\n', "ب": "قمر"}),
        ("keys with dots", {"events": {"order.created": {"template": "t"}}}),
        ("lists of tables", {"routes": [{"countries": ["SA", "AE"], "whatsapp": "x"}, {}]}),
        ("an empty table", {"a": {}, "b": {"c": {}}}),
        ("a value after a table", {"t": {"x": 1}, "late": 2}),
        ("the whole configuration", tomllib.loads(CONFIG.read_text(encoding="utf-8"))),
    ],
)
def test_written_toml_reads_back_the_same(label: str, table: dict[str, Any]) -> None:
    assert tomllib.loads(write_toml(table)) == table, label


def test_the_sandbox_knows_every_sender_and_its_secrets(settings: Settings) -> None:
    practice = practise(settings)
    config = SandboxConfig.model_validate(practice.sandbox_config(GATEWAY))
    tokens = {number.phone_number_id: number.token for number in config.numbers}
    environment = practice.environment()
    for name, sender in settings.senders.items():
        prefix = f"NOTIFIER_SENDER_{name.replace('-', '_').upper()}"
        if sender.provider == "meta":
            assert environment[f"{prefix}_TOKEN"] == tokens[sender.account["phone_number_id"]]
        else:
            account = next(one for one in config.twilio if one.account_sid == sender.account["account_sid"])
            assert environment[f"{prefix}_AUTH_TOKEN"] == account.auth_token
            assert account.senders[sender.account["from"]] == int(sender.rate)


def test_senders_of_one_account_share_its_secrets_and_others_do_not(settings: Settings) -> None:
    practice = practise(settings)
    assert practice.secret("qamar-wa", "TOKEN") == practice.secret("qamar-wa-egypt", "TOKEN")
    assert practice.secret("qamar-wa", "TOKEN") != practice.secret("lume-wa", "TOKEN")
    assert practice.secret("fern-sms", "AUTH_TOKEN") == practice.secret("fern-sms-india", "AUTH_TOKEN")


def test_receipts_come_to_the_gateway(settings: Settings) -> None:
    config = SandboxConfig.model_validate(practise(settings).sandbox_config(GATEWAY))
    assert {number.webhook_url for number in config.numbers} == {f"{GATEWAY}/receipts/meta"}


def test_secrets_do_not_show(settings: Settings) -> None:
    practice = practise(settings)
    assert practice.secret("qamar-wa", "TOKEN") not in repr(practice)
