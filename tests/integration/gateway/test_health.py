"""Health and metrics, and the form of every error."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from notifier import telemetry
from notifier.door import open_road
from notifier.gateway import app, health
from notifier.ledger import Ledger, breakers, open_ledger
from notifier.policy.breaker import Breaker
from notifier.policy.reasons import Reason
from notifier.settings import FallbackSettings
from tests.fixtures.asgi import call
from tests.fixtures.ledger import HOUR, NOW, put_in_state, queue
from tests.integration.gateway.conftest import PREFIX, Build


def samples(text: bytes) -> Mapping[tuple[str, str], float]:
    """(metric, value of its last label) -> value."""
    return {
        (sample.name, next(iter(reversed(sample.labels.values())), "")): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if "le" not in sample.labels
    }


@pytest.fixture
def gateway_without_ledger(build: Build, redis_client: Redis, closed_port: int) -> FastAPI:
    return build(redis_client, ledger=open_ledger(f"postgresql://nobody@127.0.0.1:{closed_port}/none"))


def test_alive_needs_no_store(gateway_without_road: FastAPI) -> None:
    answer = call(gateway_without_road, "GET", "/health/live")

    assert (answer.status, answer.json) == (200, {"status": "live"})


def test_ready_names_each_store(gateway: FastAPI) -> None:
    answer = call(gateway, "GET", "/health/ready")

    assert (answer.status, answer.json) == (200, {"status": "ready", "redis": "up", "ledger": "up"})


def test_without_redis_order_events_are_still_taken(gateway_without_road: FastAPI) -> None:
    answer = call(gateway_without_road, "GET", "/health/ready")

    assert (answer.status, answer.json) == (200, {"status": "degraded", "redis": "away", "ledger": "up"})


def test_without_both_stores_the_gateway_is_not_ready(build: Build, closed_port: int) -> None:
    nothing = build(
        open_road(f"redis://127.0.0.1:{closed_port}/0"),
        ledger=open_ledger(f"postgresql://nobody@127.0.0.1:{closed_port}/none"),
    )

    answer = call(nothing, "GET", "/health/ready")

    assert answer.status == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["type"] == "urn:notifier:problem:not-ready"
    assert (answer.json["redis"], answer.json["ledger"]) == ("away", "away")


def test_without_the_ledger_receipts_are_still_taken(gateway_without_ledger: FastAPI) -> None:
    answer = call(gateway_without_ledger, "GET", "/health/ready")

    assert (answer.status, answer.json) == (200, {"status": "degraded", "redis": "up", "ledger": "away"})


def test_metrics_hold_the_streams_and_what_this_process_counted(gateway: FastAPI, redis_client: Redis) -> None:
    redis_client.xadd(f"{PREFIX}inbox", {"a": "b"})
    redis_client.xadd(f"{PREFIX}inbox", {"a": "b"})
    call(gateway, "POST", "/receipts/meta", b"{}")

    answer = call(gateway, "GET", "/metrics")

    found = samples(answer.body)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert (found["notifier_store_up", "redis"], found["notifier_store_up", "ledger"]) == (1.0, 1.0)
    assert found["notifier_stream_length", "inbox"] == 2.0
    assert found["notifier_stream_length", "receipts"] == 0.0
    assert found["notifier_stream_oldest_seconds", "inbox"] >= 0.0
    assert found["notifier_stream_oldest_seconds", "receipts"] == 0.0
    assert found["notifier_gateway_refusals_total", "401"] >= 1.0


def test_metrics_hold_the_age_of_what_waits_and_what_each_lane_may_send(gateway: FastAPI, redis_client: Redis) -> None:
    seconds, _ = redis_client.time()
    redis_client.xadd(f"{PREFIX}webhooks", {"a": "b"}, id=f"{seconds - 3600}000-0")

    body = call(gateway, "GET", "/metrics").body.decode()

    assert 3600.0 <= samples(body.encode())["notifier_stream_oldest_seconds", "webhooks"] < 3700.0
    assert 'notifier_lane_limit{channel="whatsapp",lane="nile-wa"} 80.0' in body
    assert 'notifier_lane_limit{channel="sms",lane="nile-sms"} 80.0' in body


def test_metrics_without_a_store_say_so_instead_of_failing(
    gateway_without_road: FastAPI, gateway_without_ledger: FastAPI
) -> None:
    no_road = samples(call(gateway_without_road, "GET", "/metrics").body)
    no_ledger = samples(call(gateway_without_ledger, "GET", "/metrics").body)

    assert (no_road["notifier_store_up", "redis"], no_road["notifier_store_up", "ledger"]) == (0.0, 1.0)
    assert (no_ledger["notifier_store_up", "redis"], no_ledger["notifier_store_up", "ledger"]) == (1.0, 0.0)
    assert ("notifier_stream_length", "inbox") not in no_road


def test_metrics_hold_the_backlog_of_every_lane_and_the_open_breakers(
    build: Build, redis_client: Redis, ledger: Ledger
) -> None:
    stores = health.Stores(redis_client, ledger, PREFIX, FallbackSettings())
    with ledger.begin() as conn:
        queue(conn, 2, due_at=NOW - HOUR)
        queue(conn, due_at=NOW + HOUR)
        [held] = queue(conn)
        put_in_state(conn, "delivery", held.delivery.id, "claimed")
        breakers.store(conn, Breaker("lane", "nile-wa", "open", Reason.PAUSED), NOW, "an operator")
        breakers.store(conn, Breaker("lane", "nile-sms"), NOW, "an operator")

    found = {(sample.gauge, *sample.labels.values()): sample.value for sample in stores.backlog(NOW)}

    assert found == {
        ("notifier_lane_queued", "nile-wa", "whatsapp"): 3,
        ("notifier_lane_due", "nile-wa", "whatsapp"): 2,
        ("notifier_lane_oldest_due_seconds", "nile-wa", "whatsapp"): 3600.0,
        ("notifier_lane_claimed", "nile-wa", "whatsapp"): 1,
        ("notifier_lane_unknown", "nile-wa", "whatsapp"): 0,
        ("notifier_breaker_open", "lane", "nile-wa", "paused"): 1,
    }


def test_a_store_that_does_not_answer_in_time_counts_as_away(gateway: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "WITHIN", timedelta(0))

    assert call(gateway, "GET", "/health/ready").status == 503


@pytest.mark.parametrize(
    ("label", "method", "path", "status", "kind"),
    [
        ("no such path", "GET", "/nowhere", 404, "not-found"),
        ("wrong method", "DELETE", "/receipts/meta", 405, "method-not-allowed"),
        ("wrong method on health", "POST", "/health/live", 405, "method-not-allowed"),
    ],
)
def test_errors_of_the_framework_are_problems_too(
    gateway: FastAPI, label: str, method: str, path: str, status: int, kind: str
) -> None:
    answer = call(gateway, method, path)

    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (answer.json["type"], answer.json["status"]) == (f"urn:notifier:problem:{kind}", status)


def test_a_fault_of_ours_is_a_500_that_tells_nothing(build: Build, redis_client: Redis) -> None:
    class Broken:
        def append_many(self, bodies: object) -> list[bool]:
            raise ZeroDivisionError("the phone was +201001234567")

    broken = build(redis_client, receipts=Broken())
    signature = hmac.new(b"new-secret", b"{}", hashlib.sha256).hexdigest()

    answer = call(broken, "POST", "/receipts/meta", b"{}", {"x-hub-signature-256": f"sha256={signature}"})

    assert (answer.status, answer.json["type"]) == (500, "urn:notifier:problem:fault")
    assert b"phone" not in answer.body


def test_the_process_builds_its_gateway_from_the_settings_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, redis_url: str
) -> None:
    (tmp_path / "none.toml").touch()
    monkeypatch.setenv("NOTIFIER_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.setenv("NOTIFIER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("NOTIFIER_REDIS_URL", redis_url)
    monkeypatch.setattr(telemetry, "configure", lambda level: None)

    assert call(app(), "GET", "/health/ready").json["status"] == "ready"
