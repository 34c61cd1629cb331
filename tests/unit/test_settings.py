"""Settings: where a value comes from, how it is written, and what is said about one that cannot be."""

from __future__ import annotations

import json
from datetime import time, timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier.events import EVENT_KINDS
from notifier.settings import (
    Settings,
    SettingsError,
    config_file,
    load_settings,
    runtime_file,
    secrets_of,
    unknown_variables,
)
from notifier.spans import read_duration

SHOP: dict[str, Any] = {"display_name": "A", "country": "GB", "routes": [{"sms": "a-sms"}]}
SENDER: dict[str, Any] = {"channel": "sms", "provider": "twilio", "base_url": "http://127.0.0.1:9", "rate": 1}


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty configuration file, and nothing of notifier's in the environment."""
    import os

    for name in [name for name in os.environ if name.startswith("NOTIFIER_")]:
        monkeypatch.delenv(name)
    found = tmp_path / "notifier.toml"
    found.touch()
    monkeypatch.setenv("NOTIFIER_CONFIG", str(found))
    return found


def faults(**overrides: Any) -> list[str]:
    """What is said about these settings, a line each, without the place where they were looked for."""
    with pytest.raises(SettingsError) as caught:
        load_settings(**overrides)
    head, *lines = str(caught.value).splitlines()
    assert head == "the settings cannot be used:"
    return [line.partition(" (in /")[0] for line in lines]


# --- where a value comes from


def test_the_environment_goes_over_the_file_and_the_file_over_the_default(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('key_prefix = "file:"\n[fallback]\nbuffer = "2m"\nmargin = "3m"\n')
    monkeypatch.setenv("NOTIFIER_FALLBACK__BUFFER", "90s")
    found = load_settings()

    assert found.key_prefix == "file:"
    assert (found.fallback.buffer, found.fallback.margin) == (timedelta(seconds=90), timedelta(minutes=3))
    assert found.fallback.unknown_wait == timedelta(hours=1)


def test_a_shop_of_the_file_is_changed_key_by_key_from_the_environment(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(
        '[shops.a]\ndisplay_name = "A"\ncountry = "GB"\n[[shops.a.routes]]\nsms = "s"\n'
        '[senders.s]\nchannel = "sms"\nprovider = "twilio"\nbase_url = "http://127.0.0.1:9"\nrate = 1\n'
    )
    monkeypatch.setenv("NOTIFIER_SHOPS", json.dumps({"a": {"display_name": "B"}}))
    assert (load_settings().shops["a"].display_name, load_settings().shops["a"].country) == ("B", "GB")


def test_without_a_name_the_file_is_the_one_below_the_current_folder_and_may_be_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFIER_CONFIG")
    monkeypatch.chdir(tmp_path)
    assert config_file() == Path("config/notifier.toml")
    assert load_settings().shops == {}


def test_a_file_that_is_named_and_is_not_there_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFIER_CONFIG", "/nowhere/notifier.toml")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value) == (
        "/nowhere/notifier.toml: no such file, and NOTIFIER_CONFIG names it; mend the path, or unset the variable"
    )


def test_a_fault_of_toml_is_told_with_file_line_and_column(file: Path) -> None:
    file.write_text('key_prefix = "a"\n[fallback\n')
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith(f"{file}: Expected ']'")
    assert "line 2" in str(caught.value)


def test_a_file_that_is_no_text_is_a_fault(file: Path) -> None:
    file.write_bytes(b'key_prefix = "\xff"')
    with pytest.raises(SettingsError, match="can't decode byte 0xff"):
        load_settings()


def test_json_that_cannot_be_read_in_the_environment_is_no_fault_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFIER_SHOPS", "{")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith('the environment: error parsing value for field "shops"')
    assert str(caught.value).endswith("; tables and lists are written as JSON")


# --- how a value is written


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("30s", timedelta(seconds=30)),
        ("1.5h", timedelta(minutes=90)),
        (" 15 m ", timedelta(minutes=15)),
        ("7d", timedelta(days=7)),
        ("36500d", timedelta(days=36_500)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, meant: timedelta) -> None:
    assert read_duration(text) == meant
    assert load_settings(retry={"cap": text, "base": "1ms"}).retry.cap == meant


@pytest.mark.parametrize("text", ["", "30", "-5s", "5 weeks", "1h30m", "PT5S", "5S"])
def test_anything_else_is_no_duration(text: str) -> None:
    assert faults(retry={"cap": text}) == [
        "retry.cap: write a duration as a number and a unit: 500ms, 30s, 15m, 12h, 7d"
    ]


@pytest.mark.parametrize("text", ["36501d", "9" * 400 + "s"])
def test_a_duration_has_an_end(text: str) -> None:
    assert faults(retry={"cap": text}) == ["retry.cap: no duration is longer than a hundred years"]


def test_a_number_without_a_unit_is_seconds() -> None:
    assert load_settings(fallback={"buffer": 90}).fallback.buffer == timedelta(seconds=90)


def test_what_would_never_rest_or_never_wait_may_not_be_zero() -> None:
    keys = [
        ("inbox", "remember"),
        ("inbox", "reclaim_after"),
        ("drain", "slice"),
        ("drain", "lease"),
        ("drain", "connect_timeout"),
        ("drain", "request_timeout"),
        ("retry", "base"),
        ("retry", "cap"),
        ("fallback", "silence_after"),
        ("breaker", "cool_down"),
        ("breaker", "cool_down_max"),
        ("sweep", "parked_for"),
    ]
    for section, key in keys:
        assert faults(**{section: {key: "0s"}}) == [f"{section}.{key}: must be longer than 0s"]
    assert faults(events={"order.created": {"shelf_life": "0s"}}) == [
        "events.order.created.shelf_life: must be longer than 0s"
    ]
    assert faults(sweep={"every": "99ms"}) == [
        "sweep.every: must be 100ms or more, or the schedule alone would keep the broker busy"
    ]
    assert faults(fallback={"buffer": -1}) == ["fallback.buffer: a duration is never negative"]
    assert load_settings(fallback={"buffer": "0s"}).fallback.buffer == timedelta(0)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("21:00-08:00", (time(21), time(8))),
        ("09:30 - 17:45", (time(9, 30), time(17, 45))),
        ("12:00-12:00", (time(12), time(12))),
    ],
)
def test_quiet_hours_are_two_times_of_day(text: str, meant: tuple[time, time]) -> None:
    found = load_settings(shops={"a": {**SHOP, "quiet_hours": text}}, senders={"a-sms": SENDER})
    assert found.shops["a"].quiet_hours == meant


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("21-08", 'write quiet hours as "21:00-08:00" (local time of the recipient)'),
        ("9:00-17:00", 'write quiet hours as "21:00-08:00" (local time of the recipient)'),
        ("25:00-08:00", "hour must be in 0..23"),
        ("21:60-08:00", "minute must be in 0..59"),
    ],
)
def test_anything_else_is_no_quiet_hours(text: str, problem: str) -> None:
    (said,) = faults(shops={"a": {**SHOP, "quiet_hours": text}}, senders={"a-sms": SENDER})
    assert said.startswith(f"shops.a.quiet_hours: {problem}")


def test_a_shop_has_a_route_and_a_channel() -> None:
    assert faults(shops={"a": {**SHOP, "routes": [], "channels": []}}) == [
        "shops.a.channels: give at least one",
        "shops.a.routes: give at least one",
    ]


def test_a_time_zone_and_a_country_exist() -> None:
    routes = [{"countries": ["eg", "EG", "*"], "sms": "a-sms"}]
    assert faults(shops={"a": {**SHOP, "timezone": "Cairo", "routes": routes}}, senders={"a-sms": SENDER}) == [
        "shops.a.timezone: no such time zone: write an IANA name, such as Africa/Cairo",
        "shops.a.routes.0.countries.0: String should match pattern '^([A-Z]{2}|\\*)$'",
    ]


# --- what is said about faults


def test_a_slip_of_the_pen_is_named_with_the_nearest_setting() -> None:
    assert faults(fallbak={}, fallback={"bufer": "1s"}, shops={"a": {**SHOP, "quite_hours": "x"}}) == [
        "fallback.bufer: there is no such setting; did you mean buffer?",
        "shops.a.quite_hours: there is no such setting; did you mean quiet_hours?",
        "fallbak: there is no such setting; did you mean fallback?",
    ]
    assert faults(zzz=1) == ["zzz: there is no such setting"]


def test_each_fault_says_where_to_mend_it(file: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(drain={"batch": 0}, senders={"a-b": {**SENDER, "rate": 0}})
    places = [line.partition(" (")[2] for line in str(caught.value).splitlines()[1:]]
    assert places == [
        f"in {file}, or NOTIFIER_DRAIN__BATCH in the environment)",
        f"in {file}, or the JSON of NOTIFIER_SENDERS in the environment)",
    ]


def test_no_value_is_repeated_in_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFIER_SENDERS", json.dumps({"s": {**SENDER, "token": "hunter2", "rate": "hunter2"}}))
    assert "hunter2" not in "".join(faults())


RELATIONS: list[tuple[str, dict[str, Any], str]] = [
    (
        "a lease that a living drain outlives",
        {"drain": {"lease": "30s", "request_timeout": "20s", "connect_timeout": "5s", "slice": "5s"}},
        "drain.lease: must be longer than request_timeout + connect_timeout + slice (30s), or a living drain loses its"
        " claims; raise drain.lease or lower the others",
    ),
    (
        "an inbox that may grow older than the door remembers",
        {"inbox": {"max_age": "4d", "remember": "3d"}},
        "inbox.max_age: must not be longer than inbox.remember, or a door forgets an event that still waits and takes"
        " its copy for new; raise inbox.remember",
    ),
    (
        "a cap below its base",
        {"retry": {"base": "2s", "cap": "1s"}},
        "retry.cap: the longest step must not be below retry.base, the first; raise retry.cap",
    ),
    (
        "a longest pause below the first",
        {"breaker": {"cool_down": "2m", "cool_down_max": "1m"}},
        "breaker.cool_down_max: the longest pause must not be below breaker.cool_down, the first; raise"
        " breaker.cool_down_max",
    ),
    (
        "an event nobody knows",
        {"events": {"order.exploded": {}}},
        f"events.order.exploded: no such event; the known ones are {', '.join(EVENT_KINDS)}",
    ),
    (
        "an event nobody knows, of a shop",
        {"shops": {"a": {**SHOP, "events": {"order.exploded": {}}}}, "senders": {"a-sms": SENDER}},
        f"shops.a.events.order.exploded: no such event; the known ones are {', '.join(EVENT_KINDS)}",
    ),
    (
        "a route for no event",
        {"shops": {"a": {**SHOP, "routes": [{"events": ["orders.*"]}]}}},
        f"shops.a.routes.0.events: orders.* fits no event; the known ones are {', '.join(EVENT_KINDS)}",
    ),
    (
        "a route to nobody",
        {"shops": {"a": SHOP}, "senders": {"b": SENDER}},
        "shops.a.routes.0.sms: no sender named a-sms; add [senders.a-sms] or choose one of b",
    ),
    (
        "a route to nobody, and nobody there",
        {"shops": {"a": SHOP}},
        "shops.a.routes.0.sms: no sender named a-sms; add [senders.a-sms] or choose one of none yet",
    ),
    (
        "a route to a sender of another channel",
        {"shops": {"a": {**SHOP, "routes": [{"whatsapp": "s"}]}}, "senders": {"s": SENDER}},
        "shops.a.routes.0.whatsapp: sender s is a sms sender",
    ),
    (
        "two senders with the same names of secrets",
        {"senders": {"a-b": SENDER, "A_b": SENDER}},
        "senders.A_b: its secrets are named like those of a-b; rename one of the two",
    ),
    (
        "a provider nobody wrote",
        {"senders": {"s": {**SENDER, "provider": "pigeon"}}},
        "senders.s.provider: no provider is called pigeon; there are meta, twilio",
    ),
    (
        "a portfolio without its size",
        {"senders": {"s": {**SENDER, "portfolio": "p"}}},
        "senders.s: portfolio and portfolio_tier limit only together; give both, or neither",
    ),
    (
        "the size of no portfolio",
        {"senders": {"s": {**SENDER, "portfolio_tier": 1000}}},
        "senders.s: portfolio and portfolio_tier limit only together; give both, or neither",
    ),
]


@pytest.mark.parametrize(("label", "settings", "said"), RELATIONS, ids=[label for label, _, _ in RELATIONS])
def test_each_relation_is_held_in_these_words(label: str, settings: dict[str, Any], said: str) -> None:
    assert faults(**settings) == [said]


def test_settings_on_the_right_side_of_each_edge_are_taken() -> None:
    found = load_settings(
        drain={"lease": "30001ms", "request_timeout": "20s", "connect_timeout": "5s", "slice": "5s"},
        retry={"base": "1s", "cap": "1s"},
        breaker={"cool_down": "1m", "cool_down_max": "1m"},
        shops={"a": {**SHOP, "routes": [{"events": ["shipment.*", "order.created", "*"], "sms": "s"}]}},
        senders={"s": {**SENDER, "portfolio": "p", "portfolio_tier": 1000}},
    )
    assert found.shops["a"].routes[0].events == ("shipment.*", "order.created", "*")


def test_all_faults_between_settings_are_told_at_once() -> None:
    said = faults(
        drain={"lease": "1s"},
        retry={"base": "2s", "cap": "1s"},
        events={"order.exploded": {}},
        shops={"a": SHOP},
        senders={"s": {**SENDER, "provider": "pigeon"}},
    )
    assert [line.partition(":")[0] for line in said] == [
        "drain.lease",
        "retry.cap",
        "events.order.exploded",
        "shops.a.routes.0.sms",
        "senders.s.provider",
    ]


# --- what is read out of them


def test_the_addresses_fall_back_on_each_other_and_on_what_runs_here(tmp_path: Path) -> None:
    nothing = load_settings(data_dir=tmp_path)
    assert nothing.road_url == nothing.celery_url == "redis://127.0.0.1:6379/0"
    assert nothing.ledger_url == f"sqlite:///{tmp_path}/ledger.db"

    runtime_file(tmp_path).write_text('{"redis_url": "redis://127.0.0.1:7777/0"}')
    assert load_settings(data_dir=tmp_path).road_url == "redis://127.0.0.1:7777/0"
    runtime_file(tmp_path).write_text("[")
    assert load_settings(data_dir=tmp_path).road_url == "redis://127.0.0.1:6379/0"

    named = load_settings(redis_url="redis://a/0", broker_url="amqp://b", database_url="postgresql://c/d")
    assert (named.road_url, named.celery_url, named.ledger_url) == ("redis://a/0", "amqp://b", "postgresql://c/d")


def test_requests_may_go_to_the_hosts_of_senders_alone() -> None:
    senders = {"a": {**SENDER, "base_url": "https://graph.facebook.com"}, "b": SENDER, "c": SENDER}
    assert load_settings(senders=senders).allowed_hosts == {"graph.facebook.com", "127.0.0.1:9"}


def test_secrets_are_read_newest_first_and_only_the_senders_own() -> None:
    environ = {
        "NOTIFIER_SENDER_NILE_WA_TOKEN": " new , old,",
        "NOTIFIER_SENDER_NILE_WA_APP_SECRET": "s",
        "NOTIFIER_SENDER_DELTA_WA_TOKEN": "other",
    }
    assert secrets_of("nile-wa", environ) == {"token": ("new", "old"), "app_secret": ("s",)}
    assert secrets_of("sinai", environ) == {}


def test_settings_do_not_change_once_they_are_loaded() -> None:
    found = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        found.key_prefix = "x"  # type: ignore[misc]
    assert isinstance(found, Settings)


def test_the_gateway_of_a_running_house_is_found_where_it_says_it_is(tmp_path: Path) -> None:
    found = load_settings(data_dir=tmp_path, gateway_port=8090)
    assert found.gateway_url == "http://127.0.0.1:8090"
    runtime_file(tmp_path).write_text(json.dumps({"gateway_url": "http://127.0.0.1:40123"}))
    assert found.gateway_url == "http://127.0.0.1:40123"


def test_a_slip_in_the_name_of_a_variable_is_refused_with_what_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFIER_REDIS_ULR", "redis://127.0.0.1:6379/0")
    monkeypatch.setenv("NOTIFIER_DRAIM__LEASE", "60s")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).splitlines() == [
        "the environment cannot be used:",
        "NOTIFIER_DRAIM__LEASE: there is no such setting; did you mean NOTIFIER_DRAIN__LEASE? Rename it, or unset it",
        "NOTIFIER_REDIS_ULR: there is no such setting; did you mean NOTIFIER_REDIS_URL? Rename it, or unset it",
    ]


def test_a_variable_that_resembles_nothing_of_ours_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFIER_PORT_8080_TCP", "tcp://10.0.0.1:8080")
    assert load_settings().gateway_port == 8080
    assert unknown_variables() == ["NOTIFIER_PORT_8080_TCP"]
