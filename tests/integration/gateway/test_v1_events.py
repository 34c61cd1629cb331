"""Order events over HTTP: every form of a body, an answer for each event, and what is refused."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from fastapi import FastAPI
from redis import Redis

from notifier.gateway.reading import LARGEST_BODY, LARGEST_EVENT
from notifier.inbox import Inbox
from notifier.ledger import Ledger
from notifier.sources.standard_webhooks import sign
from tests.fixtures.asgi import Answer, call
from tests.fixtures.ledger import NOW
from tests.integration.gateway.callers import BATCH, CLOUD, NDJSON, a_cloud_event, a_key, an_event, hand_in
from tests.integration.gateway.conftest import PREFIX, Build

SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes or more").decode()


@pytest.fixture
def key(sqlite_ledger: Ledger) -> str:
    return a_key(sqlite_ledger, scopes=("events:write",))


def inbox(redis: Redis) -> list[dict[str, Any]]:
    """The bodies in the inbox, with id and door."""
    entries: Any = redis.xrange(f"{PREFIX}inbox")
    return [
        {**orjson.loads(fields[b"body"]), "_id": fields[b"id"].decode(), "_door": fields[b"door"].decode()}
        for _, fields in entries
    ]


def reason(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["type"].rpartition(":")[2]


def test_one_event_is_in_the_inbox_when_it_is_answered(gateway: FastAPI, key: str, redis_client: Redis) -> None:
    answer = hand_in(gateway, an_event(), key)

    [kept] = inbox(redis_client)
    assert (answer.status, answer.headers["content-type"]) == (202, "application/json")
    assert answer.json == {"event_id": kept.pop("_id"), "status": "queued"}
    assert kept == {**an_event(), "_door": "http"}


def test_a_copy_is_answered_with_the_id_of_the_first(gateway: FastAPI, key: str, redis_client: Redis) -> None:
    first = hand_in(gateway, an_event(), key).json

    assert hand_in(gateway, an_event(), key).json == {"event_id": first["event_id"], "status": "duplicate"}
    assert len(inbox(redis_client)) == 1


@pytest.mark.parametrize(
    ("label", "event"),
    [
        ("shop and time absent", {"event": "order.created", "order_id": 12}),
        ("shop null", {"shop": None, "event": "order.created", "order_id": "12", "occurred_at": NOW.isoformat()}),
    ],
)
def test_what_is_absent_is_the_keys_shop_and_the_doors_time(
    gateway: FastAPI, key: str, redis_client: Redis, label: str, event: dict[str, Any]
) -> None:
    assert hand_in(gateway, event, key).status == 202

    [kept] = inbox(redis_client)
    assert (kept["shop"], str(kept["order_id"])) == ("nile", "12")
    assert datetime.fromisoformat(kept["occurred_at"]).tzinfo is not None


@pytest.mark.parametrize(
    ("media", "body"),
    [
        ("application/json", orjson.dumps([an_event("o-1"), an_event("o-2")])),
        (
            "application/json; charset=utf-8",
            b"\n [" + orjson.dumps(an_event("o-1")) + b"," + orjson.dumps(an_event("o-2")) + b"]",
        ),
        (NDJSON, orjson.dumps(an_event("o-1")) + b"\r\n\n" + orjson.dumps(an_event("o-2"))),
        ("application/jsonl", orjson.dumps(an_event("o-1")) + b"\n" + orjson.dumps(an_event("o-2")) + b"\n"),
        (BATCH, orjson.dumps([a_cloud_event("1", "o-1"), a_cloud_event("2", "o-2")])),
    ],
)
def test_a_list_is_answered_event_by_event(
    gateway: FastAPI, key: str, redis_client: Redis, media: str, body: bytes
) -> None:
    answer = hand_in(gateway, body, key, media)

    kept = inbox(redis_client)
    assert answer.status == 202
    assert [one["order_id"] for one in kept] == ["o-1", "o-2"]
    assert answer.json == {
        "queued": 2,
        "duplicate": 0,
        "rejected": 0,
        "results": [{"index": n, "event_id": one["_id"], "status": "queued"} for n, one in enumerate(kept)],
    }


def test_what_is_wrong_in_a_list_holds_up_nothing_and_is_pointed_at(
    gateway: FastAPI, key: str, redis_client: Redis
) -> None:
    body = [an_event(), {"event": "order.created", "customer": {"phone": 7.5}}, an_event(), 3, an_event(shop="tigris")]

    answer = hand_in(gateway, body, key).json

    assert (answer["queued"], answer["duplicate"], answer["rejected"]) == (1, 1, 3)
    assert [one["status"] for one in answer["results"]] == ["queued", "rejected", "duplicate", "rejected", "rejected"]
    assert {one["pointer"] for one in answer["results"][1]["errors"]} == {"/1/order_id", "/1/customer/phone"}
    assert answer["results"][3]["errors"] == [{"pointer": "/3", "detail": "an order event is a JSON object"}]
    assert (answer["results"][4]["reason"], answer["results"][4]["code"]) == ("shop", 403)
    assert len(inbox(redis_client)) == 1


def test_a_list_of_which_nothing_is_taken_is_an_error_with_all_results(gateway: FastAPI, key: str) -> None:
    mixed = hand_in(gateway, [{}, an_event(shop="tigris")], key)
    foreign = hand_in(gateway, [an_event(shop="tigris")], key)

    assert reason(mixed) == (422, "none-taken")
    assert [one["status"] for one in mixed.json["results"]] == ["rejected", "rejected"]
    assert reason(foreign) == (403, "none-taken")


@pytest.mark.parametrize(
    ("label", "body", "media", "expected"),
    [
        ("no JSON", b"{", "application/json", (422, "invalid")),
        ("no JSON in a list", b"[{]", "application/json", (422, "invalid")),
        ("empty", b"", "application/json", (422, "invalid")),
        ("empty list", b"[]", "application/json", (422, "invalid")),
        ("no lines", b"\n\n", NDJSON, (422, "invalid")),
        ("not UTF-8", b'{"shop":"\xff"}', "application/json", (422, "invalid")),
        ("NUL", orjson.dumps(an_event(order_number="a\0b")), "application/json", (422, "invalid")),
        ("no CloudEvent", b"{}", CLOUD, (422, "invalid")),
        ("no batch", b"{}", BATCH, (422, "invalid")),
        (
            "year 1 east of Greenwich",
            orjson.dumps(an_event(occurred_at="0001-01-01T00:00:00+01:00")),
            "application/json",
            (422, "invalid"),
        ),
        ("form", b"a=b", "application/x-www-form-urlencoded", (415, "media-type")),
        ("CloudEvents in Avro", b"x", "application/cloudevents+avro", (415, "media-type")),
        ("another shop's", orjson.dumps(an_event(shop="tigris")), "application/json", (403, "shop")),
        ("too large", orjson.dumps(an_event(note="x" * LARGEST_EVENT)), "application/json", (413, "too-large")),
        ("too many", orjson.dumps([{}] * 1001), "application/json", (413, "too-many")),
        ("too many lines", b"{}\n" * 1001, NDJSON, (413, "too-many")),
        ("too long", b" " * (LARGEST_BODY + 1), "application/json", (413, "too-large")),
    ],
)
def test_a_body_that_is_wrong_is_refused_with_a_reason_and_nothing_is_kept(
    gateway: FastAPI, key: str, redis_client: Redis, label: str, body: bytes, media: str, expected: tuple[int, str]
) -> None:
    answer = hand_in(gateway, body, key, media)

    assert reason(answer) == expected
    assert answer.headers["content-type"] == "application/problem+json"
    assert inbox(redis_client) == []


def test_a_large_event_in_a_list_is_rejected_alone(gateway: FastAPI, key: str) -> None:
    answer = hand_in(gateway, [an_event(note="x" * LARGEST_EVENT), an_event()], key).json

    assert [(one["status"], one.get("reason")) for one in answer["results"]] == [
        ("rejected", "too-large"),
        ("queued", None),
    ]


def test_faults_name_the_place_and_never_the_value(gateway: FastAPI, key: str) -> None:
    answer = hand_in(gateway, an_event(customer={"phone": {"number": "+201009999999"}}), key)

    assert answer.json["errors"] == [{"pointer": "/customer/phone", "detail": "Input should be a valid string"}]
    assert b"201009999999" not in answer.body


def test_numbers_that_only_some_parsers_read_are_kept_as_they_are(
    gateway: FastAPI, key: str, redis_client: Redis
) -> None:
    body = b'[{"event":"order.created","order_id":123456789012345678901234567890,"occurred_at":"2026-03-01T12:00:00Z"}]'

    assert hand_in(gateway, body, key).json["queued"] == 1
    assert inbox(redis_client)[0]["order_id"] == "123456789012345678901234567890"


# CloudEvents.


@pytest.mark.parametrize("form", ["structured", "binary", "plain"])
def test_a_cloud_event_is_an_order_event_in_each_of_its_forms(
    gateway: FastAPI, key: str, redis_client: Redis, form: str
) -> None:
    event = a_cloud_event(source="/nile/ü")
    if form == "binary":
        headers = {f"ce-{name}": quote(value) for name, value in event.items() if name != "data"}
        answer = hand_in(gateway, event["data"], key, headers=headers)
    else:
        answer = hand_in(gateway, event, key, CLOUD if form == "structured" else "application/json")

    [kept] = inbox(redis_client)
    assert answer.status == 202
    assert answer.json == {"event_id": kept["_id"], "status": "queued"}
    assert (kept["event"], kept["order_id"], kept["shop"]) == ("order.created", "o-1", "nile")
    assert datetime.fromisoformat(kept["occurred_at"]) == NOW


def test_a_cloud_event_of_another_shop_is_refused(gateway: FastAPI, key: str) -> None:
    answer = hand_in(gateway, a_cloud_event(data={"shop": "tigris"}), key, CLOUD)

    assert reason(answer) == (403, "shop")


# Who calls.


@pytest.mark.parametrize("scheme", ["bearer", "x-api-key", "basic password", "basic user"])
def test_a_key_may_be_shown_in_each_of_these_ways(gateway: FastAPI, key: str, scheme: str) -> None:
    headers = {
        "bearer": {"authorization": f"bearer {key}"},
        "x-api-key": {"x-api-key": key},
        "basic password": {"authorization": "Basic " + base64.b64encode(f"zapier:{key}".encode()).decode()},
        "basic user": {"authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()},
    }[scheme]

    assert hand_in(gateway, an_event(), None, headers=headers).status == 202


@pytest.mark.parametrize(
    ("label", "headers", "expected"),
    [
        ("nothing", {}, "no-key"),
        ("unknown", {"x-api-key": "ntf_unknown"}, "key"),
        ("empty", {"authorization": "Bearer "}, "key"),
        ("no base64", {"authorization": "Basic ?"}, "key"),
        ("digest", {"authorization": "Digest x"}, "no-key"),
    ],
)
def test_strangers_are_told_how_to_be_known_and_their_body_is_not_read(
    gateway: FastAPI, label: str, headers: dict[str, str], expected: str
) -> None:
    answer = call(gateway, "POST", "/v1/events", [b"{", b"}"], headers)

    assert reason(answer) == (401, expected)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.unread == 2


def test_a_key_that_may_only_read_hands_nothing_in(
    gateway: FastAPI, sqlite_ledger: Ledger, redis_client: Redis
) -> None:
    answer = hand_in(gateway, an_event(), a_key(sqlite_ledger, scopes=("events:read", "consents:write")))

    assert reason(answer) == (403, "scope")
    assert inbox(redis_client) == []


def test_another_method_is_told_which_one_is_right(gateway: FastAPI) -> None:
    answer = call(gateway, "PUT", "/v1/events")

    assert (answer.status, answer.headers["allow"]) == (405, "POST")


@pytest.fixture
def signed(build: Build, redis_client: Redis) -> FastAPI:
    return build(redis_client, signing={"nile": (SECRET,), "tigris": ()})


def signature(body: bytes, at: datetime | None = None) -> dict[str, str]:
    return sign("msg-1", at or datetime.now(UTC), body, SECRET)


def test_a_signature_speaks_for_the_shop_of_the_address(signed: FastAPI, redis_client: Redis) -> None:
    body = orjson.dumps(an_event())

    assert hand_in(signed, body, None, headers=signature(body), query="shop=nile").json["status"] == "queued"
    assert len(inbox(redis_client)) == 1


@pytest.mark.parametrize("query", ["", "shop=tigris", "shop=nobody"])
def test_a_signature_speaks_for_no_other_shop(signed: FastAPI, query: str) -> None:
    body = orjson.dumps(an_event())

    assert reason(hand_in(signed, body, None, headers=signature(body), query=query)) == (401, "signature")


def test_a_signature_of_another_body_or_time_is_refused(signed: FastAPI, redis_client: Redis) -> None:
    body = orjson.dumps(an_event())
    late = signature(body, datetime.now(UTC) - timedelta(minutes=6))

    assert reason(hand_in(signed, body + b" ", None, headers=signature(body), query="shop=nile")) == (401, "signature")
    assert reason(hand_in(signed, body, None, headers=late, query="shop=nile")) == (401, "signature")
    assert reason(hand_in(signed, orjson.dumps(an_event(shop="tigris")), None, query="shop=nile")) == (401, "no-key")
    assert inbox(redis_client) == []


def test_who_signs_for_one_shop_hands_in_nothing_for_another(signed: FastAPI) -> None:
    body = orjson.dumps(an_event(shop="tigris"))

    assert reason(hand_in(signed, body, None, headers=signature(body), query="shop=nile")) == (403, "shop")


# How much.


def test_above_its_rate_a_key_is_told_when_to_come_again(
    gateway: FastAPI, sqlite_ledger: Ledger, redis_client: Redis
) -> None:
    slow, other = a_key(sqlite_ledger, rate=1), a_key(sqlite_ledger)
    burst = [an_event(f"o-{n}") for n in range(1000)]

    assert hand_in(gateway, burst, slow).json["queued"] == 1000
    refused = hand_in(gateway, burst, slow)

    assert reason(refused) == (429, "rate")
    assert 990 <= int(refused.headers["retry-after"]) <= 1000
    assert hand_in(gateway, an_event("another"), other).status == 202
    assert len(inbox(redis_client)) == 1001


def test_a_full_inbox_is_503_and_says_when_to_come_again(build: Build, key: str, redis_client: Redis) -> None:
    redis_client.xadd(f"{PREFIX}inbox", {"a": "b"})
    full = build(redis_client, inbox_of=Inbox(redis_client, prefix=PREFIX, max_length=1))

    answer = hand_in(full, an_event(), key)

    assert (*reason(answer), answer.headers["retry-after"]) == (503, "inbox-full", "5")


def test_a_fault_of_ours_is_a_500_that_tells_nothing(build: Build, key: str, redis_client: Redis) -> None:
    class Broken(Inbox):
        def append(self, entries: object) -> Any:
            raise ZeroDivisionError("the phone was +201001234567")

    answer = hand_in(build(redis_client, inbox_of=Broken(redis_client, prefix=PREFIX)), an_event(), key)

    assert reason(answer) == (500, "fault")
    assert b"phone" not in answer.body
