"""Magento: states, shipments, invoices, credit memos and returns, wherever each face of it puts things."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from notifier.sources import source_of
from notifier.sources.contract import Draft, Malformed, Parsed, SourceShop, Unless
from notifier.sources.magento import RETURNS, STATES
from notifier.sources.magento_bodies import IGNORE, MagentoOptions

SAMPLE = Path(__file__).parents[4] / "shared/samples/magento/adobe_docs_order_3_new.json"
MAGENTO = source_of("magento")

ORDER: dict[str, Any] = {
    "entity_id": 3,
    "increment_id": "000000003",
    "state": "new",
    "status": "pending",
    "store_id": 1,
    "created_at": "2026-11-05 09:00:00",
    "updated_at": "2026-11-05 10:00:00",
    "order_currency_code": "EGP",
    "grand_total": 450,
    "customer_firstname": "Mona",
    "billing_address": {"telephone": "0100 123 4567", "country_id": "EG"},
    "payment": {"method": "checkmo"},
}


def parse(body: dict[str, Any], **options: Any) -> Parsed:
    return MAGENTO.parse(json.dumps(body).encode(), {}, SourceShop("nile", MagentoOptions.model_validate(options)))


def draft(body: dict[str, Any], **options: Any) -> Draft:
    [found] = parse(body, **options).events
    return found


@pytest.mark.parametrize(("state", "event"), [row for row in STATES.items() if row[1] != IGNORE])
def test_each_state_that_says_something_is_an_event(state: str, event: str) -> None:
    found = draft({**ORDER, "state": state, "status": "its_own_code"})
    assert (found.event.event, found.event.key) == (event, f"nile|3|{event}||")
    assert found.unless == Unless("status", "its_own_code")


@pytest.mark.parametrize("state", [state for state, event in STATES.items() if event == IGNORE])
def test_the_other_states_only_fill_the_order_book(state: str) -> None:
    parsed = parse({**ORDER, "state": state, "status": state})
    assert (parsed.events, [facts.status for facts in parsed.orders]) == ((), [state])
    assert parsed.ignored == "the order's state is nothing that customers are told"


def test_a_status_of_the_shops_own_is_mapped_by_configuration() -> None:
    body = {**ORDER, "state": "processing", "status": "handed_over"}
    assert draft(body, statuses={"handed_over": "order.shipped"}).event.event == "order.shipped"
    assert parse(body, statuses={"processing": "ignore"}).events == ()


def test_a_status_without_a_known_state_says_which_option_to_set() -> None:
    body = {**ORDER, "status": "handed_over"}
    del body["state"]
    assert parse(body).ignored == "the order's state is a status that is not in the option `statuses`"


@pytest.mark.parametrize("event", ["order.shiped", "shipped", ""])
def test_an_option_that_names_no_event_is_refused(event: str) -> None:
    with pytest.raises(ValidationError, match="no event is called"):
        MagentoOptions.model_validate({"statuses": {"handed_over": event}})


def test_cash_on_delivery_asks_for_a_confirmation() -> None:
    assert draft({**ORDER, "payment": {"method": "cashondelivery"}}).event.event == "order.cod_confirmation"


def test_the_order_is_told_in_full() -> None:
    items = [
        {"name": "Lamp", "qty_ordered": "2.0000", "price": 225, "sku": "L-1"},
        {"name": "Lamp, red", "qty_ordered": 2, "parent_item_id": 7},
        {"name": "Oil", "qty_ordered": -1},
    ]
    event = draft({**ORDER, "items": items}, locales={"1": "ar"}).event
    assert event.occurred_at == datetime(2026, 11, 5, 9, tzinfo=UTC), "created, so the time of the creation"
    assert (event.order_number, event.order.total, event.order.currency) == ("000000003", Decimal(450), "EGP")
    assert event.customer.model_dump(exclude_none=True) == {
        "phone": "0100 123 4567",
        "country": "EG",
        "locale": "ar",
        "name": "Mona",
    }
    assert [(item.name, item.quantity, item.sku) for item in event.order.items] == [
        ("Lamp", 2, "L-1"),
        ("Oil", None, None),
    ]


PLACES: list[tuple[str, dict[str, Any]]] = [
    ("REST", {"extension_attributes": {"shipping_assignments": [{"shipping": {"address": {"telephone": "S"}}}]}}),
    (
        "an observer",
        {"addresses": [{"address_type": "billing", "telephone": "B"}, {"address_type": "shipping", "telephone": "S"}]},
    ),
    ("the body of our page", {"shippingAddress": {"telephone": "S"}, "billingAddress": {"telephone": "B"}}),
]


@pytest.mark.parametrize(("label", "more"), PLACES, ids=[row[0] for row in PLACES])
def test_the_address_of_the_delivery_comes_first(label: str, more: dict[str, Any]) -> None:
    assert draft({**ORDER, **more}).event.customer.phone == "S"


def test_an_order_without_any_phone_is_joined() -> None:
    found = draft({**ORDER, "billing_address": None})
    assert (found.joins, found.event.customer.phone) == (True, None)


def test_without_an_entity_id_the_number_is_the_id() -> None:
    body = {key: value for key, value in ORDER.items() if key != "entity_id"}
    assert draft(body).event.order_id == "000000003"


def test_an_old_order_that_nobody_knew_is_somebodys_bulk_edit() -> None:
    old = {**ORDER, "state": "processing", "created_at": "2026-09-01 09:00:00"}
    assert draft(old).unless == Unless("status", "pending", known_only=True)


def shipment(**more: Any) -> dict[str, Any]:
    return {"resource": "shipment", "entity_id": 9, "order_id": 3, "created_at": "2026-11-05 10:00:00", **more}


def test_a_shipment_and_its_track_are_one_message() -> None:
    track = {"track_number": "AX1", "title": "Aramex", "carrier_code": "custom"}
    whole = draft(shipment(tracks=[track]))
    alone = draft({**track, "resource": "track", "entity_id": 77, "parent_id": "9", "order_id": "3"})
    assert whole.event.key == alone.event.key == "nile|3|order.shipped|9|"
    assert whole.event.shipment == alone.event.shipment
    assert (whole.joins, alone.joins) == (True, True)


def test_a_shipment_with_the_phone_of_our_body_needs_no_order_book() -> None:
    body = shipment(order_increment_id="000000003", shippingAddress={"telephone": "0100 123 4567", "country_id": "EG"})
    found = draft(body)
    assert (found.joins, found.event.order_number, found.event.shipment_id) == (False, "000000003", "9")


@pytest.mark.parametrize(("state", "events"), [("2", 1), (2, 1), (None, 1), ("1", 0), (3, 0)])
def test_only_a_paid_invoice_is_told(state: Any, events: int) -> None:
    body = {"resource": "invoice", "entity_id": 5, "order_id": 3, "state": state, "grand_total": "450.0000"}
    parsed = parse(body)
    assert len(parsed.events) == events
    assert [one.event.key for one in parsed.events] == ["nile|3|payment.received||5"] * events


def test_a_credit_memo_says_how_much_went_back() -> None:
    body = {"resource": "creditmemo", "entity_id": 6, "order_id": 3, "grand_total": 50.5, "order_currency_code": "EGP"}
    event = draft(body).event
    assert event.key == "nile|3|order.refunded||6"
    assert event.refund is not None and (event.refund.amount, event.refund.currency) == (Decimal("50.5"), "EGP")
    assert parse({**body, "grand_total": "0.0000"}).ignored == "no money went back"


@pytest.mark.parametrize(("status", "event"), RETURNS.items())
def test_a_return_is_told_where_it_is_decided(status: str, event: str) -> None:
    body = {"resource": "return", "entity_id": 8, "order_id": 3, "status": status}
    assert draft(body).event.key == f"nile|3|{event}||8"
    assert parse({**body, "status": "received"}).events == ()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "/resource: expected one of order, shipment, track, invoice, creditmemo, return, got nothing"),
        ({"resource": "customer"}, "/resource: expected one of order, shipment"),
        ({"resource": "shipment", "entity_id": 1}, "/order_id: expected an id of at most 128 characters, got nothing"),
        ({"state": "new"}, "/entity_id: expected an id"),
        (shipment(entity_id=[]), "/entity_id: expected an id of at most 128 characters, got a list"),
    ],
)
def test_what_is_missing_is_named_with_its_place(body: dict[str, Any], says: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(body)
    assert str(caught.value).startswith(says) and "docs/sources/magento.md" in str(caught.value)


@pytest.mark.skipif(not SAMPLE.is_file(), reason="../shared/samples/magento is not there: real bodies are not shipped")
def test_the_order_of_adobes_own_tutorial() -> None:
    event = draft(json.loads(SAMPLE.read_bytes())).event
    assert (event.event, event.order_id, event.order_number) == ("order.created", "3", "000000003")
    assert (event.customer.phone, event.customer.country, event.customer.name) == ("512-555-1111", "US", "Jane")
    assert (event.order.total, event.order.currency, event.order.payment_method) == (
        Decimal(165),
        "USD",
        "banktransfer",
    )
    assert event.occurred_at == datetime(2017, 8, 21, 22, 22, 19, tzinfo=UTC)
