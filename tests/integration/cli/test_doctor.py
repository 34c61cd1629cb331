"""notifier doctor: each finding with its level, and advice for whoever must mend it."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from notifier.cli import checks_stores
from notifier.cli.checks_setup import (
    data_is_private,
    environment_is_ours,
    providers_can_report,
    secrets_are_set,
    shops_fit,
    templates_are_sound,
)
from notifier.cli.checks_stores import clocks_agree, redis_answers, redis_has_room, redis_keeps, sqlite_is_local
from notifier.cli.checks_work import broker_answers, nothing_is_late, workers_are_seen
from notifier.cli.checkup import Finding, Patient
from notifier.cli.doctor import CHECKS
from notifier.clock import utc_now
from notifier.door import open_road
from notifier.ledger import Ledger, breakers, open_ledger
from notifier.loops import intake_once
from notifier.policy.breaker import Breaker
from notifier.policy.reasons import Reason
from notifier.settings import load_settings
from tests.fixtures.ledger import HOUR, NOW, queue
from tests.integration.cli.conftest import ROOT, Terminal

SECRETS = {
    "NOTIFIER_SENDER_NILE_WA_TOKEN": "token-nobody-may-see",
    "NOTIFIER_SENDER_NILE_WA_APP_SECRET": "secret-nobody-may-see",
    "NOTIFIER_SENDER_NILE_WA_VERIFY_TOKEN": "word-nobody-may-see",
    "NOTIFIER_SENDER_NILE_SMS_AUTH_TOKEN": "auth-nobody-may-see",
}


@pytest.fixture
def listener() -> Iterator[str]:
    """A base URL where somebody takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def well(terminal: Terminal, listener: str, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal where everything is in order, at the hour of the real clock."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NOTIFIER_SENDERS", json.dumps({n: {"base_url": listener} for n in ("nile-wa", "nile-sms")}))
    terminal.now = utc_now()
    return terminal


@pytest.fixture
def patient(well: Terminal, sqlite_ledger: Ledger, redis_url: str) -> Iterator[Patient]:
    """What the doctor examines, for single checks."""
    redis = open_road(redis_url)
    yield Patient(load_settings(), redis, sqlite_ledger, utc_now)
    redis.close()


def levels(result: Any) -> dict[str, list[str]]:
    """The levels of each check, from --json."""
    found: dict[str, list[str]] = {}
    for one in result["findings"]:
        found.setdefault(one["check"], []).append(one["level"])
    return found


def said(check: Any, patient: Patient) -> list[tuple[str, str]]:
    return [(finding.level, finding.what) for finding in check(patient)]


def test_a_house_in_order_has_no_failure_and_warns_that_no_worker_runs(well: Terminal) -> None:
    result = well.run("doctor")

    assert result.exit_code == 0
    assert levels(well.json("doctor")) == {
        "redis": ["ok"],
        "redis persistence": ["ok", "ok"],
        "redis memory": ["ok"],
        "ledger": ["ok"],
        "clocks": ["ok"],
        "templates": ["ok"],
        "shops": ["ok"],
        "providers": ["ok"],
        "broker": ["ok"],
        "workers": ["warn"],
        "backlog": ["ok"],
    }
    assert "nobody-may-see" not in result.stdout
    assert "warn  workers: no intake worker was seen in the last 30 s" in result.stdout.splitlines()


def test_every_check_of_the_table_has_a_sentence() -> None:
    assert [name for name, check in CHECKS.items() if not check.__doc__] == []


def test_a_redis_that_is_away_is_one_failure_and_the_other_checks_go_on(
    well: Terminal, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFIER_REDIS_URL", f"redis://127.0.0.1:{closed_port}/0")

    result = well.run("doctor", "--json")

    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert {name: its for name, its in levels(found).items() if "fail" in its} == {
        "redis": ["fail"],
        "broker": ["fail"],
    }
    assert found["findings"][0] == {
        "check": "redis",
        "level": "fail",
        "what": "asking Redis about itself: Redis does not answer. Is it running, and is the URL right?",
        "advice": "start it, or set NOTIFIER_REDIS_URL; nothing is sent without it",
    }


def test_a_redis_that_may_lose_events_fails(patient: Patient) -> None:
    info = {**patient.info, "maxmemory_policy": "allkeys-lru", "aof_enabled": 0}  # type: ignore[dict-item]
    patient.__dict__["info"] = info

    assert [finding.level for finding in redis_keeps(patient)] == ["fail", "fail"]
    assert "maxmemory-policy is allkeys-lru" in next(iter(redis_keeps(patient))).what


def test_a_real_server_that_evicts_is_found_out(patient: Patient, redis_client: Redis) -> None:
    redis_client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        first = next(iter(redis_keeps(patient)))
    finally:
        redis_client.config_set("maxmemory-policy", "noeviction")

    assert (first.level, first.what) == ("fail", "Redis may evict keys: maxmemory-policy is allkeys-lru")


@pytest.mark.parametrize(
    ("label", "info", "durable", "level"),
    [
        ("old", {"redis_version": "6.0.16"}, False, "fail"),
        ("enough", {"redis_version": "6.2.14"}, False, "ok"),
        ("no WAITAOF", {"redis_version": "7.0.15"}, True, "warn"),
        ("WAITAOF", {"redis_version": "7.2.4", "valkey_version": "8.1.1"}, True, "ok"),
    ],
)
def test_the_version_is_held_against_what_is_used(
    label: str, info: dict[str, str], durable: bool, level: str, patient: Patient
) -> None:
    inbox = patient.settings.inbox.model_copy(update={"durable": durable})
    asked = replace(patient, settings=patient.settings.model_copy(update={"inbox": inbox}))
    asked.__dict__["info"] = info

    assert [finding.level for finding in redis_answers(asked)] == [level]


@pytest.mark.parametrize(("label", "used", "level"), [("room", 80, "ok"), ("full", 81, "warn")])
def test_memory_warns_above_four_fifths(label: str, used: int, level: str, patient: Patient) -> None:
    patient.__dict__["info"] = {"used_memory": used * 1_048_576, "maxmemory": 100 * 1_048_576}

    assert said(redis_has_room, patient) == [(level, f"Redis uses {used} MB of 100 MB")]


def test_missing_migrations_are_named_with_the_command(well: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFIER_DATABASE_URL", "sqlite:///new.db")

    result = well.run("doctor")

    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    at = next(place for place, line in enumerate(lines) if line.startswith("fail  ledger: the ledger lacks "))
    assert lines[at + 1] == "      → run `notifier db upgrade`"


def test_a_ledger_that_is_away_is_a_failure(patient: Patient, closed_port: int) -> None:
    away = replace(patient, ledger=open_ledger(f"postgresql://u:pass-nobody-may-see@127.0.0.1:{closed_port}/n"))

    [finding] = checks_stores.ledger_answers(away)

    assert finding.level == "fail"
    assert "nobody-may-see" not in finding.what
    assert list(nothing_is_late(away)) == []


def test_sqlite_on_a_network_disk_fails(patient: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(checks_stores, "MOUNTS", mounts)

    assert said(sqlite_is_local, patient) == [("fail", "the SQLite ledger lies on a network disk (nfs4)")]


@pytest.mark.parametrize(("label", "apart", "level"), [("near", 0, "ok"), ("far", 60, "warn")])
def test_clocks_are_compared_with_ours(label: str, apart: int, level: str, patient: Patient) -> None:
    slow = replace(patient, clock=lambda: utc_now() - timedelta(seconds=apart))

    assert [finding.level for finding in clocks_agree(slow)] == [level]


def test_the_clock_of_postgresql_is_looked_at_too(either: Terminal, ledger: Ledger, redis_url: str) -> None:
    redis = open_road(redis_url)
    patient = Patient(load_settings(), redis, ledger, utc_now)

    found = list(clocks_agree(patient))
    redis.close()

    names = ["Redis", "the ledger"] if ledger.dialect == "postgresql" else ["Redis"]
    assert found == [Finding("ok", f"the clock of {name} agrees with ours") for name in names]


def test_faulty_templates_and_shops_fail_with_the_command_that_tells_more(patient: Patient, tmp_path: Path) -> None:
    folder = tmp_path / "config" / "templates"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "config" / "templates" / "order_created.yaml", folder)
    lacking = replace(patient, settings=patient.settings.model_copy(update={"config_dir": tmp_path / "config"}))
    [shops] = shops_fit(lacking)
    (folder / "order_created.yaml").write_text("name: order_created\n")
    broken = replace(patient, settings=lacking.settings)

    [templates] = templates_are_sound(broken)

    assert (shops.level, "order_shipped" in shops.what) == ("fail", True)
    assert (templates.level, templates.advice) == ("fail", "run `notifier templates lint`")
    assert "order_created.yaml" in templates.what
    assert list(shops_fit(broken)) == []


def test_each_missing_secret_is_named_by_its_variable(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(secrets_are_set(patient)) == []
    for name in SECRETS:
        monkeypatch.delenv(name)

    assert [finding.what for finding in secrets_are_set(patient)] == [
        "sender nile-wa lacks NOTIFIER_SENDER_NILE_WA_TOKEN",
        "sender nile-wa lacks NOTIFIER_SENDER_NILE_WA_APP_SECRET",
        "sender nile-wa lacks NOTIFIER_SENDER_NILE_WA_VERIFY_TOKEN",
        "sender nile-sms lacks NOTIFIER_SENDER_NILE_SMS_AUTH_TOKEN",
    ]


def test_variables_that_nobody_reads_are_warned_of(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(environment_is_ours(patient)) == []
    monkeypatch.setenv("NOTIFIER_ZEBRA", "1")
    assert said(environment_is_ours, patient) == [("warn", "nothing here reads NOTIFIER_ZEBRA")]


def test_a_data_directory_that_others_can_read_is_warned_of(patient: Patient, tmp_path: Path) -> None:
    folder = tmp_path / "open"
    asked = replace(patient, settings=patient.settings.model_copy(update={"data_dir": folder}))
    assert list(data_is_private(asked)) == []
    folder.mkdir(mode=0o750)
    assert said(data_is_private, asked) == [("warn", f"others can read {folder}, which holds phones")]


def test_an_app_secret_of_one_sender_serves_its_provider_and_a_token_does_not(patient: Patient) -> None:
    second = patient.settings.senders["nile-wa"]
    senders = {**patient.settings.senders, "nile-wa-two": second}
    asked = replace(patient, settings=patient.settings.model_copy(update={"senders": senders}))

    assert said(secrets_are_set, asked) == [("fail", "sender nile-wa-two lacks NOTIFIER_SENDER_NILE_WA_TWO_TOKEN")]


def test_a_provider_that_takes_no_connection_names_who_cannot_send(
    well: Terminal, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    monkeypatch.setenv("NOTIFIER_SENDERS", json.dumps({n: {"base_url": url} for n in ("nile-wa", "nile-sms")}))

    result = well.run("doctor")

    assert result.exit_code == 1
    assert f"fail  providers: {url} cannot be reached: connection refused" in result.stdout.splitlines()


@pytest.mark.parametrize(
    ("label", "public_url", "level"),
    [
        ("loopback", "http://127.0.0.1:8080", "fail"),
        ("one word", "https://gateway", "fail"),
        ("plain", "http://notify.example.com", "fail"),
        ("public", "https://notify.example.com", "ok"),
    ],
)
def test_real_providers_need_a_public_address(label: str, public_url: str, level: str, patient: Patient) -> None:
    sender = patient.settings.senders["nile-wa"].model_copy(update={"base_url": "https://graph.facebook.com"})
    changes = {"senders": {"nile-wa": sender}, "public_url": public_url}
    asked = replace(patient, settings=patient.settings.model_copy(update=changes))

    assert [finding.level for finding in providers_can_report(asked)] == [level]


def test_a_sandbox_on_this_machine_needs_none(patient: Patient) -> None:
    assert list(providers_can_report(patient)) == []


def test_a_broker_that_is_away_fails_without_its_password(patient: Patient, closed_port: int) -> None:
    url = f"redis://:nobody-may-see@127.0.0.1:{closed_port}/0"
    asked = replace(patient, settings=patient.settings.model_copy(update={"broker_url": url}))

    [finding] = broker_answers(asked)

    assert finding.level == "fail"
    assert "nobody-may-see" not in finding.what + finding.advice


def test_a_worker_that_asked_a_moment_ago_is_seen(patient: Patient, well: Terminal) -> None:
    runtime = well.runtime()
    intake_once(runtime, threading.Event())
    runtime.redis.close()

    assert said(workers_are_seen, patient) == [("ok", "1 intake worker is at work")]


def test_late_deliveries_and_open_breakers_are_warned_of(patient: Patient, sqlite_ledger: Ledger) -> None:
    with sqlite_ledger.begin() as conn:
        queue(conn, 2, due_at=NOW - HOUR)
        breakers.store(conn, Breaker("lane", "nile-wa", "open", Reason.SENDER_STOPPED, "190", NOW, NOW), NOW, "drain")
        name = "order_shipped/ar@nile-wa"
        breakers.store(conn, Breaker("template", name, "open", Reason.TEMPLATE_STOPPED, "132015", NOW), NOW, "receipts")

    found = list(nothing_is_late(replace(patient, clock=lambda: NOW)))

    assert [(finding.level, finding.what) for finding in found] == [
        ("warn", "2 deliveries of nile-wa are due, the oldest for 1 h"),
        ("warn", "lane nile-wa is stopped: sender_stopped 190"),
        ("warn", f"template {name} is stopped: template_stopped 132015"),
    ]
    assert found[2].advice == f"mend what the reason says, then `notifier resume --template {name}`"


def test_a_configuration_that_cannot_be_read_is_refused_with_its_faults(well: Terminal, house: Path) -> None:
    (house / "notifier.toml").write_text('[drain]\nlease = "1s"\n')

    result = well.run("doctor")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: the settings cannot be used:\n")
