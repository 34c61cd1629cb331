"""Pages that are written from the code are what the code says, and what they promise holds."""

from __future__ import annotations

import ast
import inspect
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier import relations as relations_module
from notifier import shops as shops_module
from notifier.cli import config_reference, signal_reference
from notifier.cli.config_reference import RULES, SECRETS, reference
from notifier.cli.signal_reference import BEGIN, END, written_into
from notifier.events import EVENT_KINDS
from notifier.settings import SettingsError, load_settings, secrets_of
from notifier.signals import GAUGES, SIGNALS

ROOT = Path(__file__).parents[2]
SENDER = {"channel": "sms", "provider": "twilio", "base_url": "http://127.0.0.1:9", "rate": 1}


def test_the_configuration_page_is_what_the_settings_say() -> None:
    assert (ROOT / config_reference.PAGE).read_text(encoding="utf-8") == reference(), "run make docs"


def test_the_operations_page_lists_every_log_event_and_metric_as_the_table_has_them() -> None:
    page = (ROOT / signal_reference.PAGE).read_text(encoding="utf-8")

    assert written_into(page) == page, "run make docs"
    between = page[page.index(BEGIN) : page.index(END)]
    logged = [signal.name for signal in SIGNALS.values() if signal.level is not None]
    metrics = [metric.name for signal in SIGNALS.values() for metric in signal.metrics]
    assert [name for name in (*logged, *metrics, *GAUGES) if f"| `{name}` |" not in between] == []


def test_alerts_on_the_operations_page_use_metrics_that_exist() -> None:
    page = (ROOT / signal_reference.PAGE).read_text(encoding="utf-8")
    known = {metric.name for signal in SIGNALS.values() for metric in signal.metrics} | set(GAUGES)

    assert set(re.findall(r"\bnotifier_[a-z_]+", page)) - known == set()


def test_a_page_without_markers_is_refused_instead_of_being_overwritten() -> None:
    with pytest.raises(ValueError, match="lost its markers"):
        written_into("# Operations\n")


@pytest.mark.parametrize(
    ("label", "row"),
    [
        ("duration", "| `lease` | `NOTIFIER_DRAIN__LEASE` | duration | `1m` |"),
        ("choice", "| `unknown` | `NOTIFIER_FALLBACK__UNKNOWN` | `hold`, `fall_back`, `resend` | `hold` |"),
        ("optional duration", "| `silence_after` | `NOTIFIER_FALLBACK__SILENCE_AFTER` | duration | none |"),
        ("top level", "| `redis_url` | `NOTIFIER_REDIS_URL` | text | none |"),
        ("required, in a table of names", "| `country` | in the JSON of `NOTIFIER_SHOPS` | text | required |"),
        ("window", "| `quiet_hours` | in the JSON of `NOTIFIER_SHOPS` | from-to | none |"),
        (
            "list",
            "| `channels` | in the JSON of `NOTIFIER_SHOPS` | list of `whatsapp`, `sms`, `email` | `whatsapp, sms` |",
        ),
    ],
)
def test_a_row_says_name_variable_type_and_default(label: str, row: str) -> None:
    assert row in reference()


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (timedelta(), "0ms"),
        (timedelta(milliseconds=1500), "1500ms"),
        (timedelta(hours=36), "36h"),
        (timedelta(7), "7d"),
    ],
)
def test_a_duration_is_written_as_one_would_write_it(value: timedelta, written: str) -> None:
    assert config_reference._duration(value) == written


def with_sources(*names: str, kind: str = "shopify", **more: Any) -> dict[str, Any]:
    """A shop with these sources."""
    sources = {name: {"kind": kind, **more} for name in names}
    return {"display_name": "A", "country": "GB", "routes": [{"events": ["*"]}], "sources": sources}


BROKEN: dict[str, dict[str, Any]] = {
    "drain.lease": {"drain": {"lease": "10s"}},
    "inbox.max_age": {"inbox": {"max_age": "4d"}},
    "retry.cap": {"retry": {"base": "2s", "cap": "1s"}},
    "breaker.cool_down_max": {"breaker": {"cool_down": "2s", "cool_down_max": "1s"}},
    "shops.a.routes.0.events": {
        "shops": {"a": {"display_name": "A", "country": "GB", "routes": [{"events": ["x.*"]}]}}
    },
    "events.": {"events": {"order.exploded": {}}},
    "shops.a.routes.0.sms: no sender named": {
        "shops": {"a": {"display_name": "A", "country": "GB", "routes": [{"sms": "x"}]}}
    },
    "shops.a.routes.0.whatsapp: sender s is": {
        "shops": {"a": {"display_name": "A", "country": "GB", "routes": [{"whatsapp": "s"}]}},
        "senders": {"s": SENDER},
    },
    "senders.": {"senders": {"a-b": SENDER, "a_b": SENDER}},
    "senders.s.provider": {"senders": {"s": {**SENDER, "provider": "pigeon"}}},
    "senders.s: portfolio": {"senders": {"s": {**SENDER, "portfolio": "p"}}},
    "shops.a.sources.x_y: its secret": {"shops": {"a": with_sources("x-y", "x_y")}},
    "shops.a.sources.x.kind": {"shops": {"a": with_sources("x", kind="pigeon")}},
    "shops.a.sources.x.options.cod": {"shops": {"a": with_sources("x", options={"cod": True})}},
}


@pytest.fixture
def no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NOTIFIER_CONFIG", str(tmp_path / "notifier.toml"))
    (tmp_path / "notifier.toml").touch()
    return tmp_path / "notifier.toml"


@pytest.mark.parametrize("beginning", BROKEN)
@pytest.mark.usefixtures("no_file")
def test_each_rule_between_settings_is_checked_and_names_its_place(beginning: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(**BROKEN[beginning])

    [fault] = str(caught.value).splitlines()[1:]
    assert fault.startswith(beginning)


def test_the_page_lists_as_many_rules_as_the_code_checks() -> None:
    loaded = sum(
        isinstance(node, ast.Yield)
        for function in ast.parse(inspect.getsource(relations_module)).body
        if isinstance(function, ast.FunctionDef) and function.name.endswith("_faults")
        for node in ast.walk(function)
    )
    with_templates = [name for name in vars(shops_module) if name.endswith("_faults")]

    assert loaded == len(BROKEN)
    assert len(RULES) == loaded + len(with_templates)


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", reference(), flags=re.DOTALL)


def test_the_smallest_file_of_the_page_loads(no_file: Path) -> None:
    [example] = blocks("toml")
    no_file.write_text(example)

    loaded = load_settings()

    assert loaded.shops["my-shop"].routes[0].whatsapp == "my-wa"
    assert set(loaded.senders) == {"my-wa", "my-sms"}
    assert set(loaded.events) <= set(EVENT_KINDS)


def test_the_secrets_of_the_example_are_those_that_its_senders_read(no_file: Path) -> None:
    exported = dict(re.findall(r"export (NOTIFIER_SENDER_\w+)='(.*)'", "".join(blocks("sh"))))

    assert set(secrets_of("my-wa", exported)) == {name.lower() for provider, name, _ in SECRETS if provider == "meta"}
    assert set(secrets_of("my-sms", exported)) == {
        name.lower() for provider, name, _ in SECRETS if provider == "twilio"
    }


def test_the_variables_of_the_examples_are_settings(no_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [example] = [block for block in blocks("sh") if "REDIS_URL" in block]
    exported = dict(re.findall(r"export (NOTIFIER_\w+)='(.*)'", example))
    for name, value in exported.items():
        monkeypatch.setenv(name, value)

    loaded = load_settings()

    assert {name: getattr(loaded, name.removeprefix("NOTIFIER_").lower()) for name in exported} == exported


def test_one_key_of_one_sender_can_be_changed_from_the_environment(
    no_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [example] = blocks("toml")
    no_file.write_text(example)
    monkeypatch.setenv("NOTIFIER_SENDERS", '{"my-wa": {"rate": 20}}')

    loaded = load_settings()

    assert (loaded.senders["my-wa"].rate, loaded.senders["my-wa"].provider) == (20.0, "meta")
    assert loaded.senders["my-sms"].rate == 10.0
