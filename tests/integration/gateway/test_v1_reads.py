"""Reading over HTTP: stories, dry runs, lanes and consents."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from fastapi import FastAPI
from redis import Redis

from notifier.ledger import Ledger
from notifier.loops import intake_once
from notifier.runtime import Runtime
from tests.fixtures.asgi import Answer, call
from tests.fixtures.ledger import NOW
from tests.fixtures.runtime import make_runtime
from tests.integration.gateway.callers import a_key, an_event, ask, hand_in
from tests.integration.gateway.conftest import PREFIX, Build
from tests.integration.gateway.test_v1_events import reason


@pytest.fixture
def key(sqlite_ledger: Ledger) -> str:
    return a_key(sqlite_ledger)


@pytest.fixture
def worker(sqlite_ledger: Ledger, redis_client: Redis) -> Runtime:
    return make_runtime(sqlite_ledger, redis_client, key_prefix=PREFIX)


def take_in(worker: Runtime) -> None:
    intake_once(worker, threading.Event())


def test_the_story_of_an_event_is_told_once_intake_has_it(gateway: FastAPI, key: str, worker: Runtime) -> None:
    event_id = hand_in(gateway, an_event(), key).json["event_id"]
    early = ask(gateway, "GET", f"/v1/events/{event_id}", key)
    take_in(worker)

    told = ask(gateway, "GET", f"/v1/events/{event_id}", key)

    assert reason(early) == (404, "no-event")
    assert told.status == 200
    assert (told.json["id"], told.json["shop"], told.json["door"], told.json["copies"]) == (event_id, "nile", "http", 0)
    assert told.json["answer"].startswith("Not told yet: waits on nile-wa")
    assert told.json["notification"]["phone"] == "+20•••••67"


@pytest.mark.parametrize("order", ["o/1 ü", "N-o/1 ü"])
def test_the_story_of_an_order_is_told_by_id_and_by_number(
    gateway: FastAPI, key: str, worker: Runtime, order: str
) -> None:
    hand_in(gateway, [an_event("o/1 ü"), an_event("o/1 ü", event="order.cancelled")], key)
    take_in(worker)

    told = ask(gateway, "GET", f"/v1/orders/nile/{order}", key).json

    assert {event["event"] for event in told["orders"][0]["events"]} == {"order.created", "order.cancelled"}
    assert told["quarantine"] == []


def test_what_waits_in_quarantine_is_part_of_the_story(
    gateway: FastAPI, sqlite_ledger: Ledger, worker: Runtime, redis_client: Redis
) -> None:
    left = a_key(sqlite_ledger, "left")
    hand_in(gateway, an_event(shop="left"), left)
    take_in(worker)

    told = ask(gateway, "GET", "/v1/orders/left/o-1", left).json

    assert told["orders"] == []
    assert [(one["event"], one["reason"]) for one in told["quarantine"]] == [("order.created", "unknown_shop")]


def test_an_order_that_nobody_knows_is_404(gateway: FastAPI, key: str) -> None:
    assert reason(ask(gateway, "GET", "/v1/orders/nile/none", key)) == (404, "no-order")


def test_a_dry_run_says_what_would_be_sent_and_changes_nothing(gateway: FastAPI, key: str, redis_client: Redis) -> None:
    answer = ask(gateway, "POST", "/v1/explain", key, an_event())

    assert answer.status == 200
    assert (answer.json["state"], answer.json["duplicate"], answer.json["first"]["lane"]) == (
        "active",
        False,
        "nile-wa",
    )
    assert set(answer.json["texts"]) == {"whatsapp", "sms"}
    assert redis_client.exists(f"{PREFIX}inbox") == 0


@pytest.mark.parametrize(
    ("label", "body", "expected"),
    [
        ("no event", {"shop": "nile"}, (422, "invalid")),
        ("another shop's", an_event(shop="tigris"), (403, "shop")),
    ],
)
def test_a_dry_run_of_what_is_no_event_of_the_shop_is_refused(
    gateway: FastAPI, key: str, label: str, body: object, expected: tuple[int, str]
) -> None:
    assert reason(ask(gateway, "POST", "/v1/explain", key, body)) == expected


def test_lanes_show_rate_and_breaker_without_the_operators_name(gateway: FastAPI, key: str) -> None:
    rows = ask(gateway, "GET", "/v1/lanes", key).json["lanes"]

    assert [row["lane"] for row in rows] == ["nile-wa", "nile-sms"]
    assert (rows[0]["breaker"]["state"], "by" in rows[0]["breaker"], rows[0]["configured_rate"]) == (
        "closed",
        False,
        80,
    )


def test_without_the_ledger_or_redis_reading_is_503(
    build: Build, sqlite_ledger: Ledger, gateway_without_road: FastAPI
) -> None:
    key = a_key(sqlite_ledger)

    answer = ask(gateway_without_road, "GET", "/v1/lanes", key)

    assert (*reason(answer), answer.headers["retry-after"]) == (503, "road-away", "5")


def test_a_reader_above_its_rate_is_told_when_to_come_again(gateway: FastAPI, sqlite_ledger: Ledger) -> None:
    key = a_key(sqlite_ledger, rate=1)
    hand_in(gateway, [an_event(f"o-{n}") for n in range(1000)], key)

    answer = ask(gateway, "GET", "/v1/lanes", key)

    assert (*reason(answer), answer.headers["retry-after"]) == (429, "rate", "1")


# Consents.


def look(gateway: FastAPI, key: str, phone: str) -> Answer:
    return ask(gateway, "GET", "/v1/consents", key, query=f"phone={phone}")


def test_a_grant_and_a_later_stop_are_both_on_record(gateway: FastAPI, key: str) -> None:
    earlier = (NOW - timedelta(days=1)).isoformat()
    grant = {"phone": "010 0123 4567", "granted": True, "source": "checkout", "at": earlier}
    stop = {"phone": "+201001234567", "granted": False, "channel": "sms", "source": "call"}

    assert ask(gateway, "POST", "/v1/consents", key, [grant, stop]).json == {"recorded": 2, "known": 0}
    assert ask(gateway, "POST", "/v1/consents", key, grant).json == {"recorded": 0, "known": 1}

    found = look(gateway, key, "%2B201001234567").json
    assert [(one["granted"], one["channel"], one["purpose"]) for one in found["records"]] == [
        (True, None, "order_updates"),
        (False, "sms", None),
    ]
    assert {one["channel"] for one in found["verdicts"] if one["allowed"]} == {"whatsapp", "email"}
    assert found["phone"] == "+20•••••67"


@pytest.mark.parametrize("phone", ["%2B201001234567", "+201001234567", "01001234567"])
def test_a_phone_may_be_asked_for_in_these_ways(gateway: FastAPI, key: str, phone: str) -> None:
    ask(gateway, "POST", "/v1/consents", key, {"phone": "+201001234567", "granted": True, "source": "s"})

    assert len(look(gateway, key, phone.replace("+", " ")).json["records"]) == 1


@pytest.mark.parametrize(
    ("label", "body", "pointer"),
    [
        ("no phone", {"phone": "12", "granted": True, "source": "s"}, "/phone"),
        ("no proof", {"phone": "+201001234567", "granted": True, "source": " "}, "/source"),
        ("unknown field", {"phone": "+201001234567", "granted": True, "source": "s", "scope": 1}, "/scope"),
        (
            "from tomorrow",
            {"phone": "+201001234567", "granted": True, "source": "s", "at": "2026-03-02T12:00:00Z"},
            "/at",
        ),
        (
            "year 1",
            {"phone": "+201001234567", "granted": False, "source": "s", "at": "0001-01-01T00:00:00+01:00"},
            "/at",
        ),
        ("nothing", [], ""),
        ("too many", [{}] * 1001, ""),
        ("second of two", [{"phone": "+201001234567", "granted": True, "source": "s"}, {}], "/1/phone"),
    ],
)
def test_a_consent_that_is_wrong_is_pointed_at_and_nothing_is_recorded(
    gateway: FastAPI, key: str, label: str, body: object, pointer: str
) -> None:
    answer = ask(gateway, "POST", "/v1/consents", key, body)

    assert reason(answer) == (422, "invalid")
    assert answer.json["errors"][0]["pointer"] == pointer
    assert look(gateway, key, "%2B201001234567").json["records"] == []


def test_a_body_of_consents_that_is_no_json_is_refused(gateway: FastAPI, key: str) -> None:
    answer = call(gateway, "POST", "/v1/consents", b"{", {"x-api-key": key})

    assert reason(answer) == (422, "invalid")


@pytest.mark.parametrize(("query", "expected"), [("", "parameters"), ("phone=12", "invalid")])
def test_a_look_up_without_a_phone_is_refused(gateway: FastAPI, key: str, query: str, expected: str) -> None:
    answer = ask(gateway, "GET", "/v1/consents", key, query=query)

    assert reason(answer) == (422, expected)
    assert answer.json["errors"][0]["pointer"] == "/query/phone"
