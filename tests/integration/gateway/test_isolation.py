"""One shop can neither see nor touch another's data: every route of /v1 is tried with the wrong key."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from redis import Redis

from notifier.gateway import create_gateway
from notifier.keys import SCOPES
from notifier.ledger import Ledger, plans
from notifier.ledger.schema import metadata
from notifier.loops import intake_once
from notifier.streams import Receipts
from tests.fixtures.asgi import Answer
from tests.fixtures.ledger import NOW
from tests.fixtures.runtime import make_runtime
from tests.integration.gateway.callers import a_key, an_event, ask, hand_in
from tests.integration.gateway.conftest import PREFIX

PHONE = "+201001234567"
SECRET_WORDS = (b"N-o-1", b"Nile", b"1234567", b"checkout of nile")
CONSENT = {"phone": PHONE, "granted": False, "source": "a stranger"}


@dataclass(frozen=True)
class House:
    """A gateway with an order, a consent and waiting messages of nile; keys of nile and of tigris, with every scope."""

    gateway: FastAPI
    ledger: Ledger
    redis: Redis
    own: str
    wrong: str
    event_id: str


@pytest.fixture
def house(gateway: FastAPI, sqlite_ledger: Ledger, redis_client: Redis) -> House:
    own, wrong = a_key(sqlite_ledger), a_key(sqlite_ledger, "tigris")
    event_id = hand_in(gateway, an_event(), own).json["event_id"]
    intake_once(make_runtime(sqlite_ledger, redis_client, key_prefix=PREFIX), threading.Event())
    with sqlite_ledger.begin() as conn:
        word = plans.NewConsent("nile", PHONE, None, None, True, "checkout of nile", NOW)
        plans.insert_consents(conn, [word], NOW)
    return House(gateway, sqlite_ledger, redis_client, own, wrong, event_id)


def everything(house: House) -> tuple[dict[str, list[Any]], Any]:
    with house.ledger.read() as conn:
        rows = {
            table.name: sorted(map(tuple, conn.execute(sa.select(table))), key=str) for table in metadata.sorted_tables
        }
    return rows, house.redis.xlen(f"{PREFIX}inbox")


Try = Callable[[House, str | None], Answer]

# Every operation of the OpenAPI under /v1 → the call that reaches for nile's data.
TRIES: dict[str, Try] = {
    "POST /v1/events": lambda h, key: hand_in(h.gateway, an_event("o-2"), key),
    "GET /v1/events/{event_id}": lambda h, key: ask(h.gateway, "GET", f"/v1/events/{h.event_id}", key),
    "GET /v1/orders/{shop}/{order}": lambda h, key: ask(h.gateway, "GET", "/v1/orders/nile/o-1", key),
    "POST /v1/explain": lambda h, key: ask(h.gateway, "POST", "/v1/explain", key, an_event("o-3")),
    "GET /v1/lanes": lambda h, key: ask(h.gateway, "GET", "/v1/lanes", key),
    "GET /v1/consents": lambda h, key: ask(h.gateway, "GET", "/v1/consents", key, query="phone=%2B201001234567"),
    "POST /v1/consents": lambda h, key: ask(h.gateway, "POST", "/v1/consents", key, {**CONSENT, "shop": "nile"}),
}
NEEDS = {
    "POST /v1/events": "events:write",
    "GET /v1/events/{event_id}": "events:read",
    "GET /v1/orders/{shop}/{order}": "events:read",
    "POST /v1/explain": "events:read",
    "GET /v1/lanes": "admin",
    "GET /v1/consents": "consents:write",
    "POST /v1/consents": "consents:write",
}


def test_every_operation_is_tried(gateway: FastAPI) -> None:
    documented = {
        f"{method.upper()} {path}"
        for path, item in gateway.openapi()["paths"].items()
        for method in item
        if path.startswith("/v1/")
    }

    assert set(TRIES) == set(NEEDS) == documented


@pytest.mark.parametrize("operation", TRIES)
def test_the_wrong_key_sees_nothing_and_changes_nothing(house: House, operation: str) -> None:
    before = everything(house)

    answer = TRIES[operation](house, house.wrong)

    assert [word for word in SECRET_WORDS if word in answer.body] == []
    assert everything(house) == before
    if operation not in ("GET /v1/lanes", "GET /v1/consents"):  # they answer of the key's own shop
        assert answer.status in (403, 404, 422)


@pytest.mark.parametrize("operation", TRIES)
@pytest.mark.parametrize("key", [None, "", "ntf_wrong"])
def test_strangers_are_refused_everywhere(house: House, operation: str, key: str | None) -> None:
    before = everything(house)

    assert TRIES[operation](house, key).status == 401
    assert everything(house) == before


@pytest.mark.parametrize("operation", TRIES)
def test_each_operation_needs_its_scope_and_no_other(house: House, operation: str) -> None:
    keys = {scope: a_key(house.ledger, scopes=(scope,)) for scope in SCOPES}
    fresh = started_again(house)

    refused = {scope for scope, key in keys.items() if TRIES[operation](fresh, key).status == 403}

    assert refused == set(SCOPES) - {NEEDS[operation], "admin"}


def started_again(house: House) -> House:
    """The same house behind a gateway that has just started."""
    runtime = make_runtime(house.ledger, house.redis, key_prefix=PREFIX)
    return replace(house, gateway=create_gateway(runtime, Receipts(house.redis, PREFIX)))


def test_the_right_key_sees_what_the_wrong_one_does_not(house: House) -> None:
    assert ask(house.gateway, "GET", f"/v1/events/{house.event_id}", house.own).json["order_number"] == "N-o-1"
    assert ask(house.gateway, "GET", f"/v1/events/{house.event_id}", house.wrong).status == 404
    assert ask(house.gateway, "GET", "/v1/orders/nile/o-1", house.own).status == 200
    assert ask(house.gateway, "GET", "/v1/orders/tigris/o-1", house.wrong).status == 404


def test_whether_another_shop_or_order_exists_cannot_be_told_apart(house: House) -> None:
    answers = [
        ask(house.gateway, "GET", path, house.wrong)
        for path in ("/v1/orders/nile/o-1", "/v1/orders/nile/none", "/v1/orders/nobody/o-1")
    ]

    assert {answer.status for answer in answers} == {403}
    assert len({answer.body for answer in answers}) == 1


def test_a_business_key_of_another_shop_is_no_duplicate(house: House) -> None:
    """The same order number at two shops are two orders."""
    assert hand_in(house.gateway, an_event(shop="tigris"), house.wrong).json["status"] == "queued"


def test_a_shared_lane_shows_each_shop_its_own_backlog(house: House) -> None:
    lanes = {
        shop: {row["lane"]: row["queued"] for row in ask(house.gateway, "GET", "/v1/lanes", key).json["lanes"]}
        for shop, key in (("nile", house.own), ("tigris", house.wrong))
    }

    assert lanes == {"nile": {"nile-wa": 1, "nile-sms": 0}, "tigris": {"kiln-wa": 0, "nile-sms": 0}}


def test_consents_of_a_phone_are_those_of_the_keys_shop(house: House) -> None:
    query = "phone=%2B201001234567"
    own = ask(house.gateway, "GET", "/v1/consents", house.own, query=query).json
    other = ask(house.gateway, "GET", "/v1/consents", house.wrong, query=query).json

    assert [one["source"] for one in own["records"]][-1] == "checkout of nile"
    assert other["records"] == []
    assert {one["allowed"] for one in other["verdicts"]} == {False}


def test_a_stop_at_one_shop_stops_nothing_at_another(house: House) -> None:
    assert ask(house.gateway, "POST", "/v1/consents", house.wrong, CONSENT).json == {"recorded": 1, "known": 0}

    verdicts = ask(house.gateway, "GET", "/v1/consents", house.own, query="phone=%2B201001234567").json["verdicts"]
    assert {one["allowed"] for one in verdicts if one["purpose"] == "order_updates"} == {True}
