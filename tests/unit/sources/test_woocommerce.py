"""WooCommerce: bodies that we wrote to the documented shapes, the ping, the traps of the reference."""

from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from notifier.events import EVENT_KINDS
from notifier.sources import woocommerce
from notifier.sources.contract import Knock, LookUp, Malformed, Parsed, Ping, SourceShop, Unless
from notifier.sources.woocommerce_bodies import LANGUAGE_KEYS, WooCommerceOptions

SAMPLES = Path(__file__).parents[4] / "shared" / "samples" / "woocommerce"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

ORDER: dict[str, Any] = {
    "id": 727,
    "number": "S-727",
    "status": "processing",
    "currency": "EGP",
    "total": "450.00",
    "date_created_gmt": "2026-03-01T11:00:00",
    "date_modified_gmt": "2026-03-01T12:00:00",
    "date_paid_gmt": "2026-03-01T11:30:00",
    "date_completed_gmt": None,
    "payment_method": "stripe",
    "payment_method_title": "Card",
    "billing": {"first_name": "Mona", "phone": "0100 123 4567", "country": "EG"},
    "shipping": {"first_name": "Omar", "phone": "0111 111 1111", "country": "SA"},
    "line_items": [{"name": "Ship Your Idea &ndash; Black", "quantity": 1, "price": 12, "sku": "Bar3"}],
    "meta_data": [],
    "refunds": [],
}
PARCEL = {
    "tracking_provider": "usps",
    "custom_tracking_provider": "",
    "custom_tracking_link": "https://t.example/T1",
    "tracking_number": "T1",
    "date_shipped": "1566259200",
    "tracking_id": "abc",
}


def parse(topic: str, body: object, **options: Any) -> Parsed:
    shop = SourceShop("nile", WooCommerceOptions(**options))
    return woocommerce.parse(orjson.dumps(body), {"x-wc-webhook-topic": topic}, shop)


def order(*, options: dict[str, Any] | None = None, **changes: Any) -> Parsed:
    return parse("order.updated", {**ORDER, **changes}, **(options or {}))


def told(*, options: dict[str, Any] | None = None, **changes: Any) -> list[str]:
    return [draft.event.key for draft in order(options=options, **changes).events]


def with_meta(key: str, value: object) -> dict[str, Any]:
    return {"meta_data": [{"id": 1, "key": "_other", "value": {"a": [1]}}, {"id": 2, "key": key, "value": value}]}


def knock(body: bytes, **headers: str) -> Ping | None:
    return woocommerce.greet(Knock("POST", {}, headers, body))


def test_the_ping_at_creation_gets_exactly_200() -> None:
    assert knock(b"webhook_id=17") == Ping(200, b"", {})


@pytest.mark.parametrize("body", [b"", b"webhook_id=", b"webhook_id=1&x=2", b'{"webhook_id": 17}'])
def test_nothing_else_is_a_ping(body: bytes) -> None:
    assert knock(body) is None


def test_a_call_with_a_topic_is_no_ping() -> None:
    assert knock(b"webhook_id=17", **{"x-wc-webhook-topic": "order.updated"}) is None


def test_the_signature_is_over_the_raw_bytes_with_any_valid_secret() -> None:
    body = b'{"id": 727,\n "status": "processing"}'
    signature = base64.b64encode(hmac.digest(b"old", body, "sha256")).decode()
    headers = {"x-wc-webhook-signature": signature}

    assert woocommerce.verify(body, headers, ("new", "old"), NOW)
    assert not woocommerce.verify(body, headers, ("new",), NOW)
    assert not woocommerce.verify(body.replace(b"\n", b""), headers, ("old",), NOW)


def test_every_status_is_an_event_that_customers_know_or_silence() -> None:
    assert set(woocommerce.STATUSES.values()) - {""} <= set(EVENT_KINDS)


@pytest.mark.parametrize(("status", "event"), list(woocommerce.STATUSES.items()))
def test_every_status_is_its_event_with_or_without_wordpress_prefix(status: str, event: str) -> None:
    for slug in (status, f"wc-{status}"):
        parsed = order(status=slug)
        assert [draft.event.event for draft in parsed.events] == ([event] if event else [])
        assert [draft.unless for draft in parsed.events] == ([Unless("status", status)] if event else [])
        assert parsed.orders[0].status == status
        assert bool(parsed.ignored) is not bool(event)


def test_an_order_is_read_with_plain_names_and_times_in_utc() -> None:
    [draft] = order().events
    event = draft.event

    assert (event.order_id, event.order_number, event.occurred_at) == ("727", "S-727", NOW.replace(hour=11, minute=30))
    assert (event.customer.phone, event.customer.country, event.customer.name) == ("0100 123 4567", "EG", "Mona")
    assert (event.order.total, event.order.currency, event.order.payment_method) == (Decimal("450.00"), "EGP", "Card")
    assert [(item.name, item.price) for item in event.order.items] == [("Ship Your Idea – Black", Decimal(12))]
    assert not draft.joins


def test_the_shippings_phone_stands_in_for_an_empty_one() -> None:
    assert order(billing={"phone": "", "country": ""}).orders[0].phone == "0111 111 1111"
    assert order(billing={"phone": "", "country": ""}).orders[0].country == "SA"
    assert order(billing=None, shipping=[]).orders[0].phone is None


def test_cash_on_delivery_asks_the_customer_to_confirm() -> None:
    assert told(payment_method="cod") == ["nile|727|order.cod_confirmation||"]
    assert told(payment_method="door", options={"cod_methods": ["door"]}) == ["nile|727|order.cod_confirmation||"]


@pytest.mark.parametrize(
    ("statuses", "status", "event"),
    [
        ({"completed": "order.delivered"}, "completed", ["nile|727|order.delivered||"]),
        ({"with-courier": "shipment.out_for_delivery"}, "with-courier", ["nile|727|shipment.out_for_delivery||"]),
        ({"processing": ""}, "processing", []),
        ({"pending": "payment.pending"}, "pending", ["nile|727|payment.pending||"]),
    ],
)
def test_slugs_are_mapped_by_configuration(statuses: dict[str, str], status: str, event: list[str]) -> None:
    assert told(status=status, options={"statuses": statuses}) == event


def test_a_slug_that_no_table_knows_is_stored_and_says_what_to_do() -> None:
    parsed = order(status="with-courier")

    assert parsed.orders[0].status == "with-courier"
    assert parsed.ignored == "a status that no table knows: map it in the option statuses"


@pytest.mark.parametrize("key", LANGUAGE_KEYS)
def test_the_language_is_where_the_plugins_put_it(key: str) -> None:
    assert order(**with_meta(key, "pt-br")).events[0].event.customer.locale == "pt-br"


@pytest.mark.parametrize(("value", "granted"), [("1", True), (1, True), ("yes", True), ("0", False), ([1], None)])
def test_the_opt_in_box_is_a_consent_dated_by_the_order(value: object, granted: bool | None) -> None:
    [draft] = order(**with_meta("_wa", value), options={"consent_key": "_wa"}).events
    consent = draft.event.customer.consent

    assert (consent.granted if consent else None) is granted
    if consent:
        assert (consent.at, consent.source) == (NOW.replace(hour=11), "woocommerce:checkout")


def test_a_payment_link_is_there_while_payment_is_needed() -> None:
    more: dict[str, Any] = {"status": "failed", "payment_url": "https://shop.example/pay"}

    assert order(**more, needs_payment=True).events[0].event.links.payment == "https://shop.example/pay"
    assert order(**more, needs_payment=False).events[0].event.links.payment is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("_wc_shipment_tracking_items", [PARCEL]),
        ("_wc_shipment_tracking_items", orjson.dumps([PARCEL]).decode()),
        ("_ast_shipment_tracking_items", [PARCEL]),
        ("_aftership_tracking_items", [{**PARCEL, "tracking_provider": "", "slug": "usps"}]),
    ],
)
def test_a_tracking_number_is_found_where_the_plugins_put_it(key: str, value: object) -> None:
    [draft] = order(status="completed", **with_meta(key, value)).events
    shipment = draft.event.shipment

    assert draft.unless == Unless("shipment", "T1")
    assert draft.event.key == "nile|727|order.shipped|abc|"
    assert shipment is not None
    assert (shipment.carrier, shipment.tracking_number) == ("usps", "T1")
    assert draft.event.links.tracking == "https://t.example/T1"


@pytest.mark.parametrize("key", ["_tracking_number", "_aftership_tracking_number"])
def test_a_bare_tracking_number_will_do(key: str) -> None:
    assert told(status="completed", **with_meta(key, "T9")) == ["nile|727|order.shipped|T9|"]


def test_a_tracking_number_on_a_line_item_is_json_text_with_a_place_for_the_number() -> None:
    stored = [{"tracking_number": "T7", "carrier_name": "Aramex", "carrier_url": "https://a.example/{tracking_number}"}]
    value = orjson.dumps(stored).decode()
    items = [{"meta_data": [{"key": "_vi_wot_order_item_tracking_data", "value": value}]}]
    [draft] = order(status="completed", line_items=items).events

    assert draft.event.links.tracking == "https://a.example/T7"


def test_a_parcel_that_two_plugins_know_is_told_once_and_each_parcel_by_itself() -> None:
    rows = [
        {
            "key": "_wc_shipment_tracking_items",
            "value": [PARCEL, {**PARCEL, "tracking_number": "T2", "tracking_id": "d"}],
        },
        {"key": "_tracking_number", "value": "T1"},
    ]
    parsed = order(status="completed", meta_data=rows)

    assert [draft.unless for draft in parsed.events] == [Unless("shipment", "T1"), Unless("shipment", "T2")]
    assert parsed.orders[0].shipment_ids == ("T1", "T2")


def test_a_parcel_is_not_told_before_the_order_is_called_shipped() -> None:
    parsed = order(**with_meta("_tracking_number", "T1"))

    assert [draft.event.event for draft in parsed.events] == ["order.confirmed"]
    assert parsed.orders[0].shipment_ids == ()


def test_a_partial_refund_leaves_the_status_and_adds_an_id() -> None:
    parsed = order(refunds=[{"id": 91, "total": "-16.20"}, {"id": 92, "total": "-1.00"}])
    _, first, second = parsed.events

    assert first.event.key == "nile|727|order.partially_refunded||91"
    assert (first.unless, second.unless) == (Unless("refund", "91"), Unless("refund", "92"))
    assert first.event.refund is not None
    assert (first.event.refund.amount, first.event.refund.currency) == (Decimal("16.20"), "EGP")
    assert parsed.orders[0].refund_ids == ("91", "92")


@pytest.mark.parametrize("status", ["refunded", "processing"])
def test_a_refund_of_everything_is_one_event_whatever_the_status_says_yet(status: str) -> None:
    parsed = order(status=status, refunds=[{"id": 91, "total": "-50.00"}, {"id": 92, "total": "-400.00"}])
    draft = parsed.events[-1]

    assert [one.event.event for one in parsed.events if "refunded" in one.event.event] == ["order.refunded"]
    assert draft.unless == Unless("refund", "92")
    assert draft.event.refund is not None
    assert draft.event.refund.amount == Decimal("450.00")


def test_a_free_order_is_not_refunded_by_a_refund_of_nothing() -> None:
    assert told(total="0.00", refunds=[{"id": 91, "total": "0.00"}])[1:] == ["nile|727|order.partially_refunded||91"]


def test_an_old_order_that_somebody_touches_is_news_only_if_it_was_known() -> None:
    [draft] = order(status="cancelled", date_created_gmt="2024-01-01T00:00:00").events

    assert draft.unless == Unless("status", "cancelled", known_only=True)


def test_an_action_topic_asks_for_the_order() -> None:
    topic = "action.woocommerce_order_status_completed"
    parsed = parse(topic, {"action": "woocommerce_order_status_completed", "arg": 727})

    assert parsed.needs_order == (LookUp("727", topic),)


@pytest.mark.parametrize("topic", ["order.deleted", "product.updated", "customer.created", "coupon.deleted"])
def test_a_topic_of_no_interest_is_ignored_unread(topic: str) -> None:
    shop = SourceShop("nile", WooCommerceOptions())

    assert woocommerce.parse(b"\xff", {"x-wc-webhook-topic": topic}, shop).ignored


@pytest.mark.parametrize(
    ("topic", "body", "path", "got"),
    [
        ("order.updated", {}, "/id", "nothing"),
        ("order.updated", {"id": 0}, "/id", "a number"),
        ("order.updated", [], "", "a list"),
        ("action.wc_x", {"arg": ["a"]}, "/arg", "a list"),
        ("shop.closed", {}, "", "another"),
        ("", {}, "", "no topic"),
    ],
)
def test_what_is_needed_and_missing_is_named_with_its_place(topic: str, body: object, path: str, got: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(topic, body)

    assert (caught.value.path, caught.value.got) == (path, got)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="shared/samples is not beside this tree")
def test_the_vendors_own_order_is_confirmed() -> None:
    shop = SourceShop("nile", WooCommerceOptions())
    body = (SAMPLES / "docs_order_727_processing.json").read_bytes()
    parsed = woocommerce.parse(body, {"x-wc-webhook-topic": "order.updated"}, shop)

    [draft] = parsed.events
    assert draft.event.key == "nile|727|order.confirmed||"
    assert draft.event.occurred_at == datetime(2017, 3, 22, 19, 28, 8, tzinfo=UTC)
    assert parsed.orders[0].total == Decimal("29.35")
