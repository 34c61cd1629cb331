"""Shopify: bodies that we wrote to the documented shapes, the vendor's vectors, the traps of the reference."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from notifier.events import EVENT_KINDS
from notifier.sources import shopify, source_of
from notifier.sources.contract import ConsentSaid, DataRequest, Malformed, Parsed, Redact, SourceShop, Unless
from notifier.sources.shopify_bodies import ShopifyOptions

SAMPLES = Path(__file__).parents[4] / "shared" / "samples" / "shopify"
AT = "2026-03-01T14:00:00+02:00"
UTC_AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

ORDER: dict[str, Any] = {
    "id": 820982911946154508,
    "name": "#1001",
    "order_number": 1,
    "created_at": AT,
    "updated_at": AT,
    "processed_at": AT,
    "cancelled_at": None,
    "currency": "USD",
    "total_price": "404.95",
    "phone": None,
    "customer_locale": "pt-BR",
    "financial_status": "voided",
    "order_status_url": "https://shop.example/status?key=k",
    "customer": {"first_name": "Ana", "phone": "4"},
    "shipping_address": {"phone": "2", "country_code": "BR", "first_name": "Rui"},
    "billing_address": {"phone": "3", "country_code": "US"},
    "line_items": [{"name": "Mug - blue", "quantity": 2, "price": "10.00", "sku": "M1"}, {"title": "Gift"}],
    "payment_gateway_names": ["visa"],
    "note_attributes": [],
}
FULFILLMENT: dict[str, Any] = {
    "id": 61,
    "order_id": 5001,
    "status": "success",
    "shipment_status": None,
    "created_at": AT,
    "updated_at": AT,
    "tracking_company": "DHL",
    "tracking_number": "T1",
    "tracking_url": "https://dhl.example/T1",
    "destination": {"phone": "2", "country_code": "EG", "first_name": "Mona"},
}
PROGRESS: dict[str, Any] = {
    "id": 71,
    "fulfillment_id": 61,
    "order_id": 5001,
    "status": "out_for_delivery",
    "happened_at": "2026-03-01T23:30:00-05:00",
    "estimated_delivery_at": AT,
}
REFUND: dict[str, Any] = {
    "id": 81,
    "order_id": 5001,
    "processed_at": AT,
    "transactions": [
        {"kind": "refund", "status": "success", "amount": "10.50", "currency": "USD"},
        {"kind": "refund", "status": "failure", "amount": "99.00", "currency": "USD"},
        {"kind": "refund", "status": "pending", "amount": "1.00", "currency": "USD"},
        {"kind": "sale", "status": "success", "amount": "50.00", "currency": "USD"},
    ],
}


def parse(topic: str, body: object, **options: Any) -> Parsed:
    shop = SourceShop("nile", ShopifyOptions(**options))
    return shopify.parse(orjson.dumps(body), {"x-shopify-topic": topic}, shop)


def told(topic: str, body: object, **options: Any) -> list[str]:
    return [draft.event.key for draft in parse(topic, body, **options).events]


@pytest.mark.parametrize(
    ("secret", "body", "signature"),
    [
        ("hush", b'"my secret message"', "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKI="),
        ("new,hush", b'"my secret message"', "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKI="),
    ],
    ids=["reference A1.3", "in rotation"],
)
def test_the_vendors_vector_is_believed(secret: str, body: bytes, signature: str) -> None:
    headers = {"x-shopify-hmac-sha256": signature}

    assert shopify.verify(body, headers, secret.split(","), UTC_AT)
    assert not shopify.verify(body[:-1], headers, secret.split(","), UTC_AT)


def test_every_topic_tells_an_event_that_customers_know() -> None:
    told = {topic.event for topic in shopify.ORDER_TOPICS.values()} | set(shopify.PROGRESS.values())

    assert told - {None} <= set(EVENT_KINDS)
    assert set(shopify.THIN.values()) | shopify.DAILY <= set(EVENT_KINDS)
    assert not set(shopify.READERS) & shopify.QUIET


@pytest.mark.parametrize(
    ("topic", "key"),
    [
        ("orders/create", "nile|820982911946154508|order.created||"),
        ("orders/paid", "nile|820982911946154508|payment.received||"),
        ("orders/cancelled", "nile|820982911946154508|order.cancelled||"),
        ("orders/fulfilled", "nile|820982911946154508|order.shipped|61|T1"),
        ("orders/partially_fulfilled", "nile|820982911946154508|order.partially_shipped|61|T1"),
    ],
)
def test_the_event_is_in_the_topic_and_the_key_in_the_platforms_ids(topic: str, key: str) -> None:
    assert told(topic, {**ORDER, "fulfillments": [FULFILLMENT]}) == [key]


def test_an_order_is_read_with_the_customers_money_language_and_link() -> None:
    shown = {"presentment_money": {"amount": "1999.90", "currency_code": "BRL"}}
    [draft] = parse("orders/create", {**ORDER, "total_price_set": shown}).events
    event = draft.event

    assert (event.order_number, event.occurred_at) == ("#1001", UTC_AT)
    assert (event.order.total, event.order.currency) == (Decimal("1999.90"), "BRL")
    assert event.order.payment_method == "visa"
    assert (event.customer.phone, event.customer.country) == ("2", "BR")
    assert (event.customer.locale, event.customer.name) == ("pt-BR", "Ana")
    assert event.links.order_status == "https://shop.example/status?key=k"
    assert [(item.name, item.quantity, item.price, item.sku) for item in event.order.items] == [
        ("Mug - blue", 2, Decimal("10.00"), "M1"),
        ("Gift", None, None, None),
    ]
    assert not draft.joins


@pytest.mark.parametrize(
    ("missing", "phone", "country"),
    [
        ((), "1", "BR"),
        (("phone",), "2", "BR"),
        (("phone", "shipping_address"), "3", "US"),
        (("phone", "shipping_address", "billing_address"), "4", "PT"),
        (("phone", "shipping_address", "billing_address", "customer"), None, None),
    ],
)
def test_the_first_phone_and_country_that_are_there_win(
    missing: tuple[str, ...], phone: str | None, country: str | None
) -> None:
    customer = {"phone": "4", "default_address": {"phone": "5", "country_code": "PT"}}
    body = {**ORDER, "phone": "1", "customer": customer} | dict.fromkeys(missing)
    [facts] = parse("orders/create", body).orders

    assert (facts.phone, facts.country) == (phone, country)


def test_the_default_addresss_phone_is_the_last_that_counts() -> None:
    body = {"id": 1, "customer": {"phone": " ", "default_address": {"phone": "5"}}}

    assert parse("orders/create", body).orders[0].phone == "5"


@pytest.mark.parametrize(
    ("gateway", "event"),
    [
        ("Cash on Delivery (COD)", "order.cod_confirmation"),
        ("cod", "order.cod_confirmation"),
        ("الدفع عند الاستلام", "order.cod_confirmation"),
        ("Bogus codex pay", "order.created"),
        ("visa", "order.created"),
    ],
)
def test_cash_on_delivery_asks_the_customer_to_confirm(gateway: str, event: str) -> None:
    [draft] = parse("orders/create", {**ORDER, "payment_gateway_names": ["gift_card", gateway]}).events

    assert draft.event.event == event


def test_gateways_of_ones_own_are_an_option() -> None:
    body = {**ORDER, "payment_gateway_names": ["Beim Boten"]}

    assert told("orders/create", body, cod_gateways=["beim boten"])[0].split("|")[2] == "order.cod_confirmation"


@pytest.mark.parametrize(
    ("value", "granted"), [("yes", True), ("1", True), (True, True), ("no", False), ("maybe", None)]
)
def test_the_opt_in_box_is_a_consent_dated_by_the_order(value: object, granted: bool | None) -> None:
    body = {**ORDER, "note_attributes": [{"name": "other", "value": "yes"}, {"name": "wa", "value": value}]}
    [draft] = parse("orders/create", body, consent_attribute="wa").events
    consent = draft.event.customer.consent

    assert (consent.granted if consent else None) is granted
    if consent:
        assert (consent.at, consent.source, consent.channel) == (UTC_AT, "shopify:checkout", None)


def test_no_box_is_configured_and_so_nobody_consents() -> None:
    body = {**ORDER, "note_attributes": [{"name": "wa", "value": "yes"}], "buyer_accepts_marketing": True}

    assert parse("orders/create", body).events[0].event.customer.consent is None


def test_a_test_order_is_silent_unless_one_asks_for_it() -> None:
    body = {**ORDER, "test": True}

    silent = parse("orders/create", body)
    assert (silent.events, silent.orders) == ((), ())
    assert silent.ignored == "a test order: set the option test_orders to tell them too"
    assert len(told("orders/create", body, test_orders=True)) == 1


def test_a_cancelled_order_is_not_told_as_placed_or_paid_and_is_still_known() -> None:
    body = {**ORDER, "cancelled_at": AT, "cancel_reason": "inventory"}

    for topic in ("orders/create", "orders/paid", "orders/fulfilled"):
        parsed = parse(topic, body)
        assert (parsed.events, len(parsed.orders)) == ((), 1)
    [draft] = parse("orders/cancelled", body).events
    assert draft.event.vars == {"reason": "inventory"}


def test_an_update_only_refreshes_the_order_book() -> None:
    parsed = parse("orders/updated", {**ORDER, "fulfillments": [FULFILLMENT]})

    assert parsed.events == ()
    [facts] = parsed.orders
    assert (facts.partial, facts.shipment_ids, facts.changed_at) == (False, (), UTC_AT)


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({}, 1),
        ({"status": "pending"}, 1),
        ({"status": "pending", "tracking_number": None, "tracking_numbers": ["T2"]}, 1),
        ({"tracking_number": None}, 1),
        ({"status": "pending", "tracking_number": None}, 0),
        ({"status": "cancelled"}, 0),
        ({"status": "error"}, 0),
        ({"status": "failure"}, 0),
    ],
)
def test_a_fulfillment_is_told_when_it_has_left(changes: dict[str, Any], number: int) -> None:
    parsed = parse("fulfillments/create", {**FULFILLMENT, **changes})

    assert len(parsed.events) == number
    assert parsed.orders[0].partial
    assert len(parsed.orders[0].shipment_ids) == number


def test_a_fulfillment_waits_for_its_order_and_says_what_has_not_been_told() -> None:
    [draft] = parse("fulfillments/create", FULFILLMENT).events

    assert (draft.joins, draft.unless) == (True, Unless("shipment", "61/T1"))
    assert draft.event.key == "nile|5001|order.shipped|61|T1"
    assert draft.event.shipment is not None
    assert (draft.event.shipment.carrier, draft.event.links.tracking) == ("DHL", "https://dhl.example/T1")


def test_a_fulfillment_that_arrived_is_the_same_delivery_as_the_carriers_word() -> None:
    delivered = told("fulfillments/update", {**FULFILLMENT, "shipment_status": "delivered"})

    assert delivered == told("fulfillment_events/create", {**PROGRESS, "status": "delivered"})


@pytest.mark.parametrize(("status", "event"), list(shopify.PROGRESS.items()))
def test_every_step_of_a_carrier_is_its_event(status: str, event: str) -> None:
    [draft] = parse("fulfillment_events/create", {**PROGRESS, "status": status.upper()}).events

    assert (draft.event.event, draft.joins) == (event, True)
    assert draft.event.revision == ("2026-03-01" if event in shopify.DAILY else None)
    assert draft.event.shipment is not None
    assert (draft.event.shipment.id, draft.event.shipment.eta) == ("61", UTC_AT)
    assert draft.event.occurred_at == datetime(2026, 3, 2, 4, 30, tzinfo=UTC)


@pytest.mark.parametrize("status", ["label_printed", "confirmed", "carrier_picked_up", "teleported", None, 7])
def test_a_step_that_is_no_news_or_unknown_is_stored_and_not_told(status: object) -> None:
    assert parse("fulfillment_events/create", {**PROGRESS, "status": status}).ignored is not None


def test_a_refund_is_the_money_that_went_back() -> None:
    [draft] = parse("refunds/create", REFUND).events

    assert draft.event.key == "nile|5001|order.refunded||81"
    assert draft.event.refund is not None
    assert (draft.event.refund.amount, draft.event.refund.currency) == (Decimal("11.50"), "USD")


def test_a_restock_without_money_is_no_refund() -> None:
    assert parse("refunds/create", {**REFUND, "transactions": []}).ignored == "no money went back"


@pytest.mark.parametrize("topic", sorted(shopify.THIN))
def test_a_pickup_topic_names_what_must_be_looked_up(topic: str) -> None:
    [ask] = parse(topic, {"fulfillment_order": {"id": "gid://shopify/FulfillmentOrder/1"}}).needs_order

    assert (ask.order_id, ask.kind) == ("gid://shopify/FulfillmentOrder/1", "fulfillment_order")
    assert (ask.hint, ask.event) == (topic, shopify.THIN[topic])


@pytest.mark.parametrize("topic", sorted(shopify.QUIET))
def test_a_topic_of_no_interest_is_ignored_unread(topic: str) -> None:
    assert shopify.parse(b"\xff", {"x-shopify-topic": topic}, SourceShop("nile", ShopifyOptions())).ignored


@pytest.mark.parametrize(
    ("state", "granted"), [("subscribed", True), ("UNSUBSCRIBED", False), ("redacted", False)], ids=str
)
def test_marketing_consent_is_about_marketing_by_sms(state: str, granted: bool) -> None:
    body = {"phone": "+201001234567", "sms_marketing_consent": {"state": state, "consent_updated_at": AT}}

    assert parse("customers_marketing_consent/update", body).consents == (
        ConsentSaid("+201001234567", granted, "sms", "marketing", "shopify", UTC_AT),
    )


@pytest.mark.parametrize("body", [{"phone": "1", "sms_marketing_consent": {"state": "pending"}}, {"phone": None}])
def test_marketing_consent_that_decides_nothing_is_ignored(body: dict[str, Any]) -> None:
    assert parse("customers_marketing_consent/update", body).ignored


def test_the_compliance_topics_are_demands() -> None:
    customer = {"id": 1, "phone": "555-625-1199"}
    redact = {"customer": customer, "orders_to_redact": [299938, 280263]}

    assert parse("customers/redact", redact).demands == (Redact(("299938", "280263"), "555-625-1199"),)
    assert parse("customers/redact", {"customer": {"email": "a@b.c"}}).demands == (Redact(),)
    assert parse("shop/redact", {"shop_id": 1}).demands == (Redact(whole_shop=True),)
    asked = parse("customers/data_request", {"orders_requested": [1], "customer": customer}).demands
    assert asked == (DataRequest(("1",), "555-625-1199"),)


@pytest.mark.parametrize(
    ("topic", "body", "path", "got"),
    [
        ("orders/create", {}, "/id", "nothing"),
        ("orders/create", {"id": {"a": 1}}, "/id", "an object"),
        ("orders/create", {"id": True}, "/id", "a truth value"),
        ("orders/create", [], "", "a list"),
        ("fulfillments/create", {"id": 1}, "/order_id", "nothing"),
        ("fulfillment_events/create", {**PROGRESS, "fulfillment_id": []}, "/fulfillment_id", "a list"),
        ("refunds/create", {"order_id": 1}, "/id", "nothing"),
        ("fulfillment_orders/placed_on_hold", {}, "/fulfillment_order/id", "nothing"),
    ],
)
def test_what_is_needed_and_missing_is_named_with_its_place(topic: str, body: object, path: str, got: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(topic, body)

    assert (caught.value.path, caught.value.got) == (path, got)


@pytest.mark.parametrize(("topic", "got"), [("orders/exploded", "another"), ("", "no topic")])
def test_a_topic_that_nobody_knows_is_malformed(topic: str, got: str) -> None:
    with pytest.raises(Malformed, match="X-Shopify-Topic") as caught:
        parse(topic, {})

    assert caught.value.got == got


def test_the_page_names_every_topic_to_subscribe() -> None:
    page = (Path(__file__).parents[3] / "docs/sources/shopify.md").read_text(encoding="utf-8")
    topics = set(re.findall(r"`([a-z_]+/[a-z_]+)`", page))

    assert topics <= set(shopify.READERS) | shopify.QUIET
    assert set(shopify.READERS) <= topics


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="shared/samples is not beside this tree")
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("orders__create", []),  # the vendor's body is cancelled: A1.9
        ("orders__paid", []),
        ("orders__cancelled", ["order.cancelled"]),
        ("fulfillments__create", ["order.shipped"]),
        ("fulfillment_events__create", ["shipment.in_transit"]),
        ("refunds__create", ["order.refunded"]),
        ("fulfillment_orders__line_items_prepared_for_pickup", []),
        ("customers__redact", []),
    ],
)
def test_the_vendors_own_bodies_are_read(name: str, told: list[str]) -> None:
    source = source_of("shopify")
    shop = SourceShop("nile", ShopifyOptions(test_orders=True))
    headers = {"x-shopify-topic": name.replace("__", "/")}
    parsed = source.parse((SAMPLES / f"{name}.json").read_bytes(), headers, shop)

    assert [draft.event.event for draft in parsed.events] == told
    assert {facts.country for facts in parsed.orders} <= {"US"}
