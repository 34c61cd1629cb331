"""The OpenAPI is true: its examples are taken, its answers are what comes, every status that it names is reached."""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from redis import Redis

from notifier.door import open_road
from notifier.gateway.examples import ANSWERS, CONSENT, EVENT, EVENTS_BODIES, PROBLEMS
from notifier.inbox import Inbox
from notifier.ledger import Ledger, open_ledger
from notifier.loops import intake_once
from tests.fixtures.asgi import Answer, call
from tests.fixtures.runtime import make_runtime
from tests.integration.gateway.callers import CLOUD, a_cloud_event, a_key, an_event, ask, hand_in
from tests.integration.gateway.conftest import PREFIX, Build
from tests.integration.gateway.json_schema import faults

SHOP = "qamar-books"
QAMAR = {SHOP: {"display_name": "Qamar", "country": "EG", "routes": [{"whatsapp": "nile-wa", "sms": "nile-sms"}]}}


@pytest.fixture
def page(gateway: FastAPI) -> dict[str, Any]:
    answer = call(gateway, "GET", "/v1/openapi.json")
    assert answer.status == 200
    found: dict[str, Any] = answer.json
    return found


def operation(page: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for item in page["paths"].values() for one in item.values() if one.get("operationId") == name)


def test_it_is_openapi_3_1_with_a_version_of_its_own(page: dict[str, Any]) -> None:
    assert (page["openapi"], page["info"]["version"]) == ("3.1.0", "1.0.0")
    assert page["info"]["license"] == {"name": "Apache-2.0", "identifier": "Apache-2.0"}


def test_every_operation_of_v1_says_who_may_and_what_may_go_wrong(page: dict[str, Any]) -> None:
    for path, item in page["paths"].items():
        for one in item.values():
            if path.startswith("/v1/"):
                assert {"401", "403", "429", "503", "default"} <= set(one["responses"])
                assert {name for way in one["security"] for name in way} <= set(page["components"]["securitySchemes"])
                assert one["summary"]
                assert one["description"]
    assert {"/health/live", "/health/ready", "/metrics"} <= set(page["paths"])


def test_operation_ids_are_unique_and_references_lead_somewhere(page: dict[str, Any]) -> None:
    ids = [one["operationId"] for item in page["paths"].values() for one in item.values()]
    references = set(re.findall(r'"\$ref":"#/components/schemas/([^"]+)"', orjson.dumps(page).decode()))

    assert len(ids) == len(set(ids))
    assert references <= set(page["components"]["schemas"])


def examples(page: dict[str, Any]) -> list[tuple[str, Any, dict[str, Any]]]:
    """(where, value, schema) of every example that has a schema beside it."""
    found = []
    for path, item in page["paths"].items():
        for method, one in item.items():
            places = {"body": one.get("requestBody", {}), **one["responses"]}
            for place, said in places.items():
                for media, content in said.get("content", {}).items():
                    values = [example["value"] for example in content.get("examples", {}).values()]
                    values += [content["example"]] if "example" in content else []
                    found += [
                        (f"{method} {path} {place} {media}", value, content.get("schema", {})) for value in values
                    ]
    return found


def test_every_example_is_what_its_schema_says(page: dict[str, Any]) -> None:
    found = examples(page)

    assert len(found) > 50
    assert {where: faults(value, schema, page) for where, value, schema in found if faults(value, schema, page)} == {}


def test_the_judge_of_examples_sees_what_is_wrong(page: dict[str, Any]) -> None:
    schema = {"$ref": "#/components/schemas/OrderEvent"}

    assert faults({**EVENT, "shop": "No Shop"}, schema, page) == ["/shop: pattern"]
    assert faults({"event": 3}, {"$ref": "#/components/schemas/OrderEvent"}, page) == ["/event: type", ": required"]


@pytest.fixture
def shop(build: Build, redis_client: Redis, sqlite_ledger: Ledger) -> tuple[FastAPI, str]:
    """The shop of the examples, and a key of it."""
    key = a_key(sqlite_ledger, SHOP)
    return build(redis_client, more_shops=QAMAR), key


BODIES = [(media, name, said["value"]) for media, found in EVENTS_BODIES.items() for name, said in found.items()]


@pytest.mark.parametrize(("media", "name", "value"), BODIES, ids=[f"{media} {name}" for media, name, _ in BODIES])
def test_every_example_of_a_body_is_taken(
    shop: tuple[FastAPI, str], page: dict[str, Any], media: str, name: str, value: object
) -> None:
    gateway, key = shop
    answer = hand_in(gateway, value.encode() if isinstance(value, str) else value, key, media)

    said = operation(page, "events")["responses"]["202"]["content"]["application/json"]["schema"]
    assert answer.status == 202
    assert faults(answer.json, said, page) == []
    assert answer.json.get("rejected", 0) == 0


def test_the_other_examples_are_taken_too(shop: tuple[FastAPI, str]) -> None:
    gateway, key = shop

    assert ask(gateway, "POST", "/v1/explain", key, EVENT).json["state"] == "active"
    assert ask(gateway, "POST", "/v1/consents", key, CONSENT).json == ANSWERS["consents_write"]


def test_answers_have_the_keys_of_their_examples(
    shop: tuple[FastAPI, str], sqlite_ledger: Ledger, redis_client: Redis
) -> None:
    gateway, key = shop
    event_id = hand_in(gateway, EVENT, key).json["event_id"]
    worker = make_runtime(sqlite_ledger, redis_client, key_prefix=PREFIX, shops=QAMAR)
    intake_once(worker, threading.Event())
    answers = {
        "event": ask(gateway, "GET", f"/v1/events/{event_id}", key),
        "order": ask(gateway, "GET", f"/v1/orders/{SHOP}/Q-20447", key),
        "explain": ask(gateway, "POST", "/v1/explain", key, EVENT),
        "lanes": ask(gateway, "GET", "/v1/lanes", key),
        "consents_read": ask(gateway, "GET", "/v1/consents", key, query="phone=%2B201001234567"),
    }

    assert {name: sorted(answer.json) for name, answer in answers.items()} == {
        name: sorted(ANSWERS[name]) for name in answers
    }
    assert all(answer.status == 200 for answer in answers.values())


# Every status that is documented → a call that is answered with it.


class Scene:
    """Gateways in each condition, and keys."""

    def __init__(self, build: Build, redis: Redis, ledger: Ledger, closed_port: int) -> None:
        self.ledger, self.redis = ledger, redis
        self.key, self.other = a_key(ledger), a_key(ledger, "tigris")
        self.writer = a_key(ledger, scopes=("events:write",))
        self.reader = a_key(ledger, scopes=("events:read",))
        self.slow = a_key(ledger, rate=1)
        self.good = build(redis)
        self.full = build(redis, inbox_of=Inbox(redis, prefix=PREFIX, max_length=0))
        self.no_road = build(open_road(f"redis://127.0.0.1:{closed_port}/0"))
        self.no_ledger = build(redis, ledger=Gone(ledger, closed_port))

    def spent(self) -> str:
        """A key that has used up its burst."""
        hand_in(self.good, [an_event(f"s-{n}") for n in range(1000)], self.slow)
        return self.slow

    def running(self) -> Answer:
        """A repeat while the first one runs."""
        hand_in(self.good, a_cloud_event(), self.key, CLOUD)
        for place in self.redis.keys(f"{PREFIX}idem:*"):
            self.redis.set(place, (self.redis.get(place) or b"")[:32])
        return hand_in(self.good, a_cloud_event(), self.key, CLOUD)


class Gone:
    """A ledger that knows the keys and is away for everything else."""

    def __init__(self, ledger: Ledger, port: int) -> None:
        self._ledger, self._gone, self._asked = ledger, open_ledger(f"postgresql://nobody@127.0.0.1:{port}/none"), 0
        self.begin = self._gone.begin

    def read(self) -> Any:
        self._asked += 1
        return self._ledger.read() if self._asked == 1 else self._gone.read()


LARGE = an_event(note="x" * 300_000)
WORD = {"phone": "+201001234567", "granted": True, "source": "s"}
PHONE = "phone=%2B201001234567"

Reach = Callable[[Scene], Answer]
REACHED: dict[str, dict[str, Reach]] = {
    "events": {
        "202": lambda s: hand_in(s.good, an_event(), s.key),
        "401": lambda s: hand_in(s.good, an_event(), "ntf_no"),
        "403": lambda s: hand_in(s.good, an_event(), s.reader),
        "409": lambda s: s.running(),
        "413": lambda s: hand_in(s.good, LARGE, s.key),
        "415": lambda s: hand_in(s.good, b"a=b", s.key, "text/plain"),
        "422": lambda s: hand_in(s.good, {}, s.key),
        "429": lambda s: hand_in(s.good, [an_event(f"t-{n}") for n in range(9)], s.spent()),
        "503": lambda s: hand_in(s.full, an_event(), s.key),
    },
    "event": {
        "200": lambda s: stored(s),
        "401": lambda s: ask(s.good, "GET", "/v1/events/x", "no"),
        "403": lambda s: ask(s.good, "GET", "/v1/events/x", s.writer),
        "404": lambda s: ask(s.good, "GET", "/v1/events/x", s.key),
        "429": lambda s: ask(s.good, "GET", "/v1/events/x", s.spent()),
        "503": lambda s: ask(s.no_ledger, "GET", "/v1/events/x", s.key),
    },
    "order": {
        "200": lambda s: stored(s, by_order=True),
        "401": lambda s: ask(s.good, "GET", "/v1/orders/nile/x", "no"),
        "403": lambda s: ask(s.good, "GET", "/v1/orders/nile/x", s.other),
        "404": lambda s: ask(s.good, "GET", "/v1/orders/nile/x", s.key),
        "429": lambda s: ask(s.good, "GET", "/v1/orders/nile/x", s.spent()),
        "503": lambda s: ask(s.no_ledger, "GET", "/v1/orders/nile/x", s.key),
    },
    "explain": {
        "200": lambda s: ask(s.good, "POST", "/v1/explain", s.key, an_event()),
        "401": lambda s: ask(s.good, "POST", "/v1/explain", "no", an_event()),
        "403": lambda s: ask(s.good, "POST", "/v1/explain", s.other, an_event()),
        "404": lambda s: ask(s.good, "POST", "/v1/explain", gone_shop(s), an_event(shop="gone")),
        "413": lambda s: ask(s.good, "POST", "/v1/explain", s.key, LARGE),
        "422": lambda s: ask(s.good, "POST", "/v1/explain", s.key, {}),
        "429": lambda s: ask(s.good, "POST", "/v1/explain", s.spent(), {}),
        "503": lambda s: ask(s.no_ledger, "POST", "/v1/explain", s.key, an_event()),
    },
    "lanes": {
        "200": lambda s: ask(s.good, "GET", "/v1/lanes", s.key),
        "401": lambda s: ask(s.good, "GET", "/v1/lanes", "no"),
        "403": lambda s: ask(s.good, "GET", "/v1/lanes", s.reader),
        "429": lambda s: ask(s.good, "GET", "/v1/lanes", s.spent()),
        "503": lambda s: ask(s.no_road, "GET", "/v1/lanes", s.key),
    },
    "consents_read": {
        "200": lambda s: ask(s.good, "GET", "/v1/consents", s.key, query=PHONE),
        "401": lambda s: ask(s.good, "GET", "/v1/consents", "no", query=PHONE),
        "403": lambda s: ask(s.good, "GET", "/v1/consents", s.reader, query=PHONE),
        "422": lambda s: ask(s.good, "GET", "/v1/consents", s.key),
        "429": lambda s: ask(s.good, "GET", "/v1/consents", s.spent(), query=PHONE),
        "503": lambda s: ask(s.no_ledger, "GET", "/v1/consents", s.key, query=PHONE),
    },
    "consents_write": {
        "200": lambda s: ask(s.good, "POST", "/v1/consents", s.key, WORD),
        "401": lambda s: ask(s.good, "POST", "/v1/consents", "no", WORD),
        "403": lambda s: ask(s.good, "POST", "/v1/consents", s.reader, WORD),
        "413": lambda s: ask(s.good, "POST", "/v1/consents", s.key, LARGE),
        "422": lambda s: ask(s.good, "POST", "/v1/consents", s.key, {}),
        "429": lambda s: ask(s.good, "POST", "/v1/consents", s.spent(), WORD),
        "503": lambda s: ask(s.no_ledger, "POST", "/v1/consents", s.key, WORD),
    },
}


def stored(scene: Scene, *, by_order: bool = False) -> Answer:
    """The story of an event that intake has taken in."""
    event_id = hand_in(scene.good, an_event(), scene.key).json["event_id"]
    intake_once(make_runtime(scene.ledger, scene.redis, key_prefix=PREFIX), threading.Event())
    return ask(scene.good, "GET", "/v1/orders/nile/o-1" if by_order else f"/v1/events/{event_id}", scene.key)


def gone_shop(scene: Scene) -> str:
    """A key of a shop that the configuration has lost."""
    return a_key(scene.ledger, "gone")


def test_a_call_is_known_for_every_documented_status(page: dict[str, Any]) -> None:
    documented = {
        one["operationId"]: set(one["responses"]) - {"default"}
        for path, item in page["paths"].items()
        for one in item.values()
        if path.startswith("/v1/")
    }

    assert {name: set(found) for name, found in REACHED.items()} == documented


CALLS = [(name, status) for name, found in REACHED.items() for status in found]


@pytest.mark.parametrize(("name", "status"), CALLS, ids=[f"{name} {status}" for name, status in CALLS])
def test_every_documented_status_is_reached_and_looks_as_documented(
    build: Build,
    redis_client: Redis,
    sqlite_ledger: Ledger,
    closed_port: int,
    page: dict[str, Any],
    name: str,
    status: str,
) -> None:
    answer = REACHED[name][status](Scene(build, redis_client, sqlite_ledger, closed_port))

    media = answer.headers["content-type"].partition(";")[0]
    said = operation(page, name)["responses"][status]["content"]
    assert str(answer.status) == status
    assert media in said
    assert faults(answer.json, said[media].get("schema", {}), page) == []
    assert ("retry-after" in answer.headers) == (status in ("409", "429", "503"))
    if answer.status >= 400:
        assert sorted(set(PROBLEMS[answer.status]) - {"errors"}) == ["detail", "status", "title", "type"]
        assert answer.json["title"] == PROBLEMS[answer.status]["title"]


# The page.


def test_the_page_loads_nothing_from_elsewhere(gateway: FastAPI) -> None:
    answer = call(gateway, "GET", "/docs")

    text = answer.body.decode()
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert re.findall(r"(?:src|href)=\"[^\"]+\"", text) == []
    assert re.findall(r"(?:https?:)?//\w|@import|url\(", text) == []
    assert '"/v1/openapi.json"' in text


def test_nothing_but_what_the_page_holds_may_run_in_it(gateway: FastAPI) -> None:
    answer = call(gateway, "GET", "/docs")

    [script] = re.findall(r"<script>(.*?)</script>", answer.body.decode(), flags=re.DOTALL)
    policy = answer.headers["content-security-policy"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; connect-src 'self'; ")
    assert f"script-src 'sha256-{digest}';" in policy
    assert "unsafe" not in policy
