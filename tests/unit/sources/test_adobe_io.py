"""Adobe I/O Events: the handshake, two RSA signatures, whose event it is, and what each observer tells."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from notifier.sources import source_of
from notifier.sources.adobe_io import RESOURCES, AdobeOptions
from notifier.sources.contract import Knock, LookUp, Malformed, Parsed, SourceShop

SAMPLE = Path(__file__).parents[4] / "shared/samples/magento/adobe_io_event_sample_product.json"
ADOBE = source_of("adobe_io")
NOW = datetime(2026, 11, 5, 9, 30, tzinfo=UTC)
CLIENT = "a1b2c3"

ORDER: dict[str, Any] = {
    "entity_id": "3",
    "increment_id": "000000003",
    "status": "pending",
    "state": "new",
    "created_at": "2026-11-05 09:00:00",
    "updated_at": "2026-11-05 09:00:00",
    "grand_total": 450,
    "order_currency_code": "EGP",
    "addresses": [{"address_type": "shipping", "telephone": "0100 123 4567", "country_id": "EG"}],
}


def event(name: str, value: Any, **more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "type": f"com.adobe.commerce.{name}",
        "source": "urn:uuid:1",
        "id": "e-1",
        "recipient_client_id": CLIENT,
        "data": {"key": "k", "value": value, "_metadata": {"storeId": "1"}},
        **more,
    }


def parse(body: Any, headers: dict[str, str] | None = None, **options: Any) -> Parsed:
    return ADOBE.parse(json.dumps(body).encode(), headers or {}, SourceShop("nile", AdobeOptions(**options)))


SAVED = "observer.sales_order_save_commit_after"
OF_ORDER: dict[str, tuple[dict[str, Any], str]] = {
    "observer.sales_order_shipment_save_after": ({"entity_id": 9, "order_id": 3}, "nile|3|order.shipped|9|"),
    "observer.sales_order_shipment_track_save_after": (
        {"entity_id": 77, "parent_id": 9, "order_id": 3, "track_number": "AX1"},
        "nile|3|order.shipped|9|",
    ),
    "observer.sales_order_invoice_save_after": (
        {"entity_id": 5, "order_id": 3, "state": 2},
        "nile|3|payment.received||5",
    ),
    "observer.sales_order_creditmemo_save_after": (
        {"entity_id": 6, "order_id": 3, "grand_total": 5, "order_currency_code": "EGP"},
        "nile|3|order.refunded||6",
    ),
    "observer.rma_save_commit_after": (
        {"entity_id": 8, "order_id": 3, "status": "pending"},
        "nile|3|return.requested||8",
    ),
}


@pytest.mark.parametrize("name", [name for name, resource in RESOURCES.items() if resource == "order"])
def test_an_order_with_a_phone_is_told(name: str) -> None:
    parsed = parse(event(name, ORDER), locales={"1": "ar"})
    assert [one.event.key for one in parsed.events] == ["nile|3|order.created||"]
    assert parsed.needs_order == ()


@pytest.mark.parametrize("name", [name for name, resource in RESOURCES.items() if resource != "order"])
def test_what_belongs_to_an_order_finds_it_in_the_order_book(name: str) -> None:
    value, key = OF_ORDER[name]
    parsed = parse(event(name, value))
    assert ([one.event.key for one in parsed.events], [one.joins for one in parsed.events]) == ([key], [True])
    assert parsed.needs_order == ()
    asking = parse(event(name, value), ask_for_orders=True)
    assert asking.events == parsed.events
    assert asking.needs_order == (LookUp("3", RESOURCES[name]),)


def test_an_order_without_a_phone_is_asked_for_and_leaves_the_book_alone() -> None:
    assert parse(event(SAVED, {**ORDER, "addresses": None})) == Parsed(needs_order=(LookUp("3", "order"),))


def test_the_starter_kits_four_fields_are_enough_to_ask() -> None:
    new = {key: ORDER[key] for key in ("increment_id", "created_at", "updated_at")} | {"id": 3}
    changed = {**new, "updated_at": "2026-11-05 10:00:00"}
    assert parse(event(SAVED, new)) == parse(event(SAVED, changed)) == Parsed(needs_order=(LookUp("3", "order"),))


def test_a_save_that_left_the_status_alone_tells_nothing() -> None:
    parsed = parse(event(SAVED, {**ORDER, "_origData": {"status": "pending"}}))
    assert parsed == Parsed(ignored="the order's status did not change")
    assert parse(event(SAVED, {**ORDER, "_origData": {"status": "new_order"}})).events != ()


def test_the_type_may_be_in_the_header_alone() -> None:
    body = event(SAVED, ORDER)
    del body["type"]
    assert parse(body, {"x-adobe-event-code": f"com.adobe.commerce.stage.{SAVED}"}).events != ()


def test_a_batch_is_a_list() -> None:
    parsed = parse([event(SAVED, ORDER), event("observer.sales_order_status_history_save_after", {})])
    assert len(parsed.events) == 1
    assert parsed.ignored == "observer.sales_order_status_history_save_after tells customers nothing"


@pytest.mark.parametrize("name", ["observer.catalog_product_save_commit_after", "observer.customer_save_commit_after"])
def test_events_of_other_things_are_of_no_interest(name: str) -> None:
    assert parse(event(name, {})).ignored == f"{name} tells customers nothing"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (5, "/: expected a CloudEvent or a list of them, got a number"),
        ([], "/: expected a CloudEvent or a list of them, got a list"),
        ({}, "/type: expected an event type that we know, got nothing"),
        (event("observer.sales_order_dance", {}), "/type: expected an event type that we know, got a text"),
        (event(SAVED, None), "/data/value: expected an object with the fields of the subscription, got nothing"),
        (event(SAVED, {}), "/entity_id: expected an id"),
    ],
)
def test_a_body_that_cannot_be_read_says_where_and_why(body: Any, says: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(body)
    assert says in str(caught.value)


# The handshake and the signatures.


def greet(method: str, **query: str) -> Any:
    return ADOBE.greet(Knock(method, query, {}, b""))


def test_the_challenge_comes_back_as_plain_text() -> None:
    ping = greet("GET", challenge="8ec8d794-e0ab-42df-9017-e3dada8e84f7")
    assert (ping.status, ping.body) == (200, b"8ec8d794-e0ab-42df-9017-e3dada8e84f7")
    assert ping.headers == {"content-type": "text/plain", "x-content-type-options": "nosniff"}


@pytest.mark.parametrize(("method", "challenge"), [("GET", ""), ("POST", "x"), ("GET", "a\r\nb"), ("GET", "x" * 513)])
def test_other_calls_are_no_handshake(method: str, challenge: str) -> None:
    assert greet(method, challenge=challenge) is None


def test_keys_are_asked_of_adobes_host() -> None:
    headers = {"x-adobe-public-key1-path": "/prod/keys/pub-key-a1.pem", "x-adobe-public-key2-path": "/prod/keys/b.pem"}
    assert ADOBE.key_urls(headers) == (
        "https://static.adobeioevents.com/prod/keys/pub-key-a1.pem",
        "https://static.adobeioevents.com/prod/keys/b.pem",
    )


@pytest.mark.parametrize(
    "path",
    [
        *("", "prod/a.pem", "@evil.example/a.pem", ".evil.example/a.pem", "//evil.example/a.pem", "/../a.pem"),
        *("/a/../b.pem", "/a.pem?x", "/a.pem#", "/a%2e.pem", "/a.txt", "/a b.pem", "https://evil.example/a.pem"),
        *("/a\n.pem", ":80/a.pem"),
    ],
)
def test_a_path_that_could_lead_elsewhere_is_none(path: str) -> None:
    assert ADOBE.key_urls({"x-adobe-public-key1-path": path}) == ()


@cache
def key(number: int) -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


def pem(number: int) -> str:
    return key(number).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def signature(body: bytes, number: int) -> str:
    return base64.b64encode(key(number).sign(body, PKCS1v15(), SHA256())).decode()


BODY = json.dumps(event(SAVED, ORDER)).encode()


def verify(body: bytes, headers: dict[str, str], secrets: list[str]) -> bool:
    return ADOBE.verify(body, headers, secrets, NOW)


@pytest.mark.parametrize("good", [1, 2])
def test_one_of_the_two_signatures_is_enough(good: int) -> None:
    headers = {f"x-adobe-digital-signature-{good}": signature(BODY, 1), f"x-adobe-digital-signature-{3 - good}": "AAAA"}
    assert verify(BODY, headers, [CLIENT, pem(1)])
    assert verify(BODY, headers, ["another client", CLIENT, pem(2), pem(1)])


@pytest.mark.parametrize("spelling", ["recipient_client_id", "recipientclientid"])
def test_the_recipient_is_spelled_in_two_ways(spelling: str) -> None:
    said = event(SAVED, ORDER)
    del said["recipient_client_id"]
    body = json.dumps({**said, spelling: CLIENT}).encode()
    assert verify(body, {"x-adobe-digital-signature-1": signature(body, 1)}, [CLIENT, pem(1)])


def test_an_event_for_another_of_adobes_customers_is_refused_though_adobe_signed_it() -> None:
    for body in (json.dumps(event(SAVED, ORDER, recipient_client_id="evil")).encode(), b"{}", b"[]", b"5"):
        assert not verify(body, {"x-adobe-digital-signature-1": signature(body, 1)}, [CLIENT, pem(1)])
    mixed = json.dumps([event(SAVED, ORDER), event(SAVED, ORDER, recipient_client_id="evil")]).encode()
    assert not verify(mixed, {"x-adobe-digital-signature-1": signature(mixed, 1)}, [CLIENT, pem(1)])


def test_every_other_signature_is_refused() -> None:
    headers = {"x-adobe-digital-signature-1": signature(BODY, 1)}
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    elliptic = other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert not verify(BODY + b" ", headers, [CLIENT, pem(1)]), "tampered"
    assert not verify(BODY, headers, [CLIENT, pem(2)]), "another key"
    assert not verify(BODY, headers, [CLIENT]), "no key"
    assert not verify(BODY, headers, [pem(1)]), "no client id"
    assert not verify(BODY, headers, ["", pem(1)]), "an empty client id"
    assert not verify(BODY, {}, [CLIENT, pem(1)]), "no signature"
    assert not verify(BODY, {"x-adobe-digital-signature-1": "%%"}, [CLIENT, pem(1)]), "no base64"
    assert not verify(BODY, headers, [CLIENT, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"]), "no key"
    assert not verify(BODY, headers, [CLIENT, elliptic]), "a key of another kind"


@pytest.mark.skipif(not SAMPLE.is_file(), reason="../shared/samples/magento is not there: real bodies are not shipped")
def test_adobes_own_sample_is_an_event_without_its_envelope() -> None:
    inner = json.loads(SAMPLE.read_bytes())["event"]
    wrapped = {**event("observer.catalog_product_save_commit_after", {}), "data": inner["data"]}
    assert parse(wrapped).ignored == "observer.catalog_product_save_commit_after tells customers nothing"
    with pytest.raises(Malformed, match="/type: expected an event type that we know"):
        parse(inner)
