"""/v1/sources/{shop}/{source}: handshake, signature, append, and the answer that each platform wants."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from fastapi import FastAPI
from redis import Redis

from notifier.door import open_road
from notifier.embedded import start_server
from notifier.gateway import create_gateway
from notifier.gateway.public_keys import KeysAway, PublicKeys
from notifier.gateway.sources import source_routes
from notifier.ledger import Ledger, open_ledger
from notifier.runtime import Runtime
from notifier.streams import Receipts
from tests.fixtures.asgi import Answer, call
from tests.fixtures.redis_server import connect
from tests.fixtures.runtime import Clock, make_runtime
from tests.integration.movements.incoming import rows
from tests.integration.webhooks.platforms import SECRET, SETTINGS, SOURCES, shopify_order, signed, woo_order
from tests.unit.sources.conformance import CLIENT, SUBJECTS, adobes_key, adobes_pem

LONG_SECRET = "woo-secret-to-practise-with"
TOO_LARGE = 5 * 1024 * 1024
BODY = orjson.dumps(shopify_order())
ADOBE = next(subject for subject in SUBJECTS if subject.kind == "adobe_io")

Make = Callable[..., Runtime]


@pytest.fixture
def make(sqlite_ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setenv("NOTIFIER_SOURCE_NILE_SHOPIFY_SECRET", f"another,{SECRET}")
    monkeypatch.setenv("NOTIFIER_SOURCE_NILE_WOO_SECRET", LONG_SECRET)
    monkeypatch.setenv("NOTIFIER_SOURCE_NILE_ADOBE_SECRET", CLIENT)

    def make(redis: Redis, ledger: Ledger = sqlite_ledger) -> Runtime:
        sources = {**SOURCES, "adobe": {"kind": "adobe_io"}, "bare": {"kind": "shopify"}}
        return make_runtime(ledger, redis, clock=clock, **{**SETTINGS, "shops": {"nile": {"sources": sources}}})

    return make


def gateway_of(runtime: Runtime) -> FastAPI:
    return create_gateway(runtime, Receipts(runtime.redis, runtime.settings.key_prefix))


@pytest.fixture
def gateway(make: Make, redis_client: Redis) -> FastAPI:
    return gateway_of(make(redis_client))


def post(
    app: FastAPI,
    body: bytes = BODY,
    source: str = "shopify",
    headers: Mapping[str, str] | None = None,
    shop: str = "nile",
) -> Answer:
    """A call of Shopify, signed, unless headers are given."""
    usual = {"X-Shopify-Topic": "orders/create", "X-Shopify-Hmac-Sha256": signed(body)}
    return call(app, "POST", f"/v1/sources/{shop}/{source}", body, usual if headers is None else headers)


def kept(redis: Redis) -> list[dict[bytes, bytes]]:
    entries: Any = redis.xrange("notifier:webhooks")
    return [fields for _, fields in entries]


def test_a_signed_body_is_kept_as_it_came_and_answered_200(gateway: FastAPI, redis_client: Redis) -> None:
    headers = {"X-Shopify-Topic": "orders/create", "X-Shopify-Hmac-Sha256": signed(BODY), "Authorization": "Bearer k"}

    answer = post(gateway, headers=headers)

    assert (answer.status, answer.body) == (200, b"")
    [fields] = kept(redis_client)
    assert (fields[b"shop"], fields[b"source"], fields[b"body"]) == (b"nile", b"shopify", BODY)
    assert orjson.loads(fields[b"headers"]) == {
        "x-shopify-topic": "orders/create",
        "x-shopify-hmac-sha256": signed(BODY),
    }


def test_a_body_that_nobody_can_read_is_kept_and_answered_like_any_other(gateway: FastAPI, redis_client: Redis) -> None:
    assert post(gateway, b"\xff\x00").status == 200
    assert [fields[b"body"] for fields in kept(redis_client)] == [b"\xff\x00"]


@pytest.mark.parametrize(
    ("label", "source", "headers"),
    [
        ("unsigned", "shopify", {}),
        ("another's secret", "shopify", {"X-Shopify-Hmac-Sha256": signed(BODY, LONG_SECRET)}),
        ("the empty secret", "shopify", {"X-Shopify-Hmac-Sha256": signed(BODY, "")}),
        ("another platform's header", "shopify", {"X-WC-Webhook-Signature": signed(BODY)}),
        ("no base64", "shopify", {"X-Shopify-Hmac-Sha256": "é!"}),
        ("no secret is configured", "bare", {"X-Shopify-Hmac-Sha256": signed(BODY, "")}),
    ],
)
def test_what_is_not_signed_with_our_secret_is_refused(
    gateway: FastAPI, redis_client: Redis, label: str, source: str, headers: dict[str, str]
) -> None:
    answer = post(gateway, source=source, headers={"X-Shopify-Topic": "orders/create", **headers})

    assert answer.status == 401, label
    assert answer.json["type"] == "urn:notifier:problem:signature"
    assert kept(redis_client) == []


def test_a_body_that_was_serialised_again_on_its_way_is_refused(gateway: FastAPI) -> None:
    headers = {"X-Shopify-Topic": "orders/create", "X-Shopify-Hmac-Sha256": signed(BODY)}

    assert post(gateway, orjson.dumps(orjson.loads(BODY), option=orjson.OPT_INDENT_2), headers=headers).status == 401


@pytest.mark.parametrize(("shop", "source"), [("nile", "gone"), ("tigris", "shopify")])
def test_a_source_that_is_not_configured_is_not_there(gateway: FastAPI, shop: str, source: str) -> None:
    assert post(gateway, source=source, shop=shop).status == 404


def test_another_method_is_refused(gateway: FastAPI) -> None:
    assert call(gateway, "GET", "/v1/sources/nile/shopify").status == 405


def test_a_body_that_is_too_large_is_refused_before_it_is_read(gateway: FastAPI) -> None:
    headers = {"content-length": str(TOO_LARGE)}

    answer = call(gateway, "POST", "/v1/sources/nile/shopify", [b"x", b"x"], headers)

    assert (answer.status, answer.unread) == (413, 2)


def test_woocommerces_ping_gets_exactly_200_and_leaves_nothing(gateway: FastAPI, redis_client: Redis) -> None:
    answer = post(gateway, b"webhook_id=17", "woo", {"Content-Type": "application/x-www-form-urlencoded"})

    assert (answer.status, answer.body, kept(redis_client)) == (200, b"", [])


def test_adobes_challenge_is_repeated(gateway: FastAPI) -> None:
    answer = call(gateway, "GET", "/v1/sources/nile/adobe", query="challenge=abc")

    assert (answer.status, answer.body) == (200, b"abc")


def adobe_gateway(runtime: Runtime, get: Callable[[str], str]) -> FastAPI:
    app = FastAPI()
    app.router.routes.extend(source_routes(runtime, PublicKeys(get)))
    return app


def adobe_headers(body: bytes) -> dict[str, str]:
    signature = base64.b64encode(adobes_key().sign(body, PKCS1v15(), SHA256())).decode()
    return {"x-adobe-digital-signature-1": signature, "x-adobe-public-key1-path": "/prod/keys/pub-key-1.pem"}


def test_adobes_signature_is_checked_with_the_key_that_its_pinned_host_publishes_fetched_once(
    make: Make, redis_client: Redis
) -> None:
    asked: list[str] = []

    def get(url: str) -> str:
        asked.append(url)
        return adobes_pem()

    app = adobe_gateway(make(redis_client), get)
    for _ in range(2):
        assert post(app, ADOBE.body, "adobe", adobe_headers(ADOBE.body)).status == 200

    assert asked == ["https://static.adobeioevents.com/prod/keys/pub-key-1.pem"]
    assert post(app, ADOBE.body + b" ", "adobe", adobe_headers(ADOBE.body)).status == 401


def test_a_key_that_cannot_be_fetched_makes_adobe_come_again(make: Make, redis_client: Redis) -> None:
    def get(url: str) -> str:
        raise KeysAway("ConnectTimeout")

    answer = post(adobe_gateway(make(redis_client), get), ADOBE.body, "adobe", adobe_headers(ADOBE.body))

    assert (answer.status, answer.headers["retry-after"]) == (503, "5")


def test_while_redis_is_away_the_door_reads_the_body_into_the_ledger(
    make: Make, closed_port: int, sqlite_ledger: Ledger
) -> None:
    app = gateway_of(make(open_road(f"redis://127.0.0.1:{closed_port}/0")))
    body = orjson.dumps(woo_order())
    headers = {"X-WC-Webhook-Topic": "order.created", "X-WC-Webhook-Signature": signed(body, LONG_SECRET)}

    for _ in range(2):  # the second is an administrator's resend
        assert post(app, body, "woo", headers).status == 200

    assert rows(sqlite_ledger, "notification", "event", "phone", "state") == [
        ("order.confirmed", "+201001234567", "active")
    ]
    assert rows(sqlite_ledger, "order_book", "order_id", "status") == [("727", "processing")]


def test_what_the_quarantine_would_have_to_keep_comes_again_while_redis_is_away(
    make: Make, closed_port: int, sqlite_ledger: Ledger
) -> None:
    app = gateway_of(make(open_road(f"redis://127.0.0.1:{closed_port}/0")))

    answer = post(app, b"[]")

    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert rows(sqlite_ledger, "order_event", "key") == []


def test_with_redis_and_ledger_away_nothing_is_answered_with_a_yes(make: Make, closed_port: int) -> None:
    nowhere = open_ledger(f"postgresql://nobody@127.0.0.1:{closed_port}/none")
    app = gateway_of(make(open_road(f"redis://127.0.0.1:{closed_port}/0"), nowhere))

    assert post(app).status == 503


def test_with_durable_on_a_body_that_was_answered_200_survives_a_killed_server(
    make: Make, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("durable")
    with start_server(place) as server, connect(server.url) as redis:
        runtime = make(redis)
        durable = runtime.settings.inbox.model_copy(update={"durable": True})
        runtime = replace(runtime, settings=runtime.settings.model_copy(update={"inbox": durable}))
        assert post(gateway_of(runtime)).status == 200
        server.kill()
    with start_server(place) as server, connect(server.url) as redis:
        assert [entry[b"body"] for entry in kept(redis)] == [BODY]
