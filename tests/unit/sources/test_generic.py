"""The generic door: every shape that ERPs and low-code tools send comes to the same order event."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.sources import source_of
from notifier.sources.contract import Knock, LookUp, Malformed, Parsed, SourceShop
from notifier.sources.generic import GenericOptions

GENERIC = source_of("generic")
SHOP = SourceShop("nile", GenericOptions())
FORM = {"content-type": "application/x-www-form-urlencoded"}


def parse(body: Any, headers: dict[str, str] | None = None) -> Parsed:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return GENERIC.parse(raw, headers or {}, SHOP)


def event(body: Any, headers: dict[str, str] | None = None) -> dict[str, Any]:
    [draft] = parse(body, headers).events
    return draft.event.model_dump(mode="json", exclude_defaults=True)


CANONICAL = {
    "shop": "nile",
    "event": "order.shipped",
    "order_id": "1042",
    "occurred_at": "2026-11-05T09:30:00Z",
    "customer": {"phone": "+966501234567", "country": "SA", "consent": {"granted": True}},
    "order": {"total": "249.00", "currency": "SAR", "items": [{"name": "Lamp", "quantity": 2}]},
    "shipment": {"carrier": "Aramex", "tracking_number": "AX1"},
}


def nested() -> dict[str, Any]:
    return {
        "event": "order.shipped",
        "order_id": 1042,
        "occurred_at": "2026-11-05T12:30:00+03:00",
        "customer": {"phone": "+966501234567", "country": "SA", "consent": {"granted": True}},
        "order": {"total": "249.00", "currency": "SAR", "items": [{"name": "Lamp", "quantity": 2}]},
        "shipment": {"carrier": "Aramex", "tracking_number": "AX1"},
    }


def flattened() -> dict[str, str]:
    """What Zapier makes of it: two underscores, texts only, an empty one for what is missing."""
    return {
        "event": "Shipped",
        "order__id": "1042",
        "occurred_at": "2026-11-05 09:30:00",
        "customer__phone": " +966501234567 ",
        "customer__country": "sa",
        "customer__consent__granted": "yes",
        "customer__name": "",
        "order__total": "249.00",
        "order__currency": "sar",
        "order__items__0__name": "Lamp",
        "order__items__0__quantity": "2",
        "shipment__carrier": "Aramex",
        "shipment__tracking_number": "AX1",
        "refund__amount": "",
    }


def dotted() -> dict[str, str]:
    """What n8n and Make make of it: dots and brackets, a list as JSON in a text."""
    return {
        "event_type": "order.shipped",
        "order[id]": "1042",
        "occurred_at": "2026-11-05T09:30:00Z",
        "phone": "+966501234567",
        "customer.country": "SA",
        "customer.consent.granted": "true",
        "order.total": "249.00",
        "order.currency_code": "SAR",
        "order.items": '[{"name": "Lamp", "quantity": "2"}]',
        "shipment.carrier": "Aramex",
        "shipment.number": "AX1",
    }


def enveloped() -> dict[str, Any]:
    """The body that Standard Webhooks recommend."""
    data = {key: value for key, value in nested().items() if key not in ("event", "occurred_at")}
    return {"type": "order.shipped", "timestamp": "2026-11-05T09:30:00Z", "data": data}


def cloud_event() -> dict[str, Any]:
    data = {key: value for key, value in nested().items() if key not in ("event", "occurred_at", "order_id")}
    return {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/erp",
        "type": "com.example.order.shipped",
        "subject": "1042",
        "time": "2026-11-05T09:30:00Z",
        "data": data,
    }


@pytest.mark.parametrize(
    ("label", "body", "headers"),
    [
        ("JSON", nested(), {}),
        ("a list of one", [nested()], {}),
        ("flattened JSON", flattened(), {}),
        ("a flattened form", urlencode(flattened()).encode(), FORM),
        ("dots and brackets", dotted(), {}),
        ("a form with dots", urlencode(dotted()).encode(), {"content-type": FORM["content-type"] + "; charset=utf-8"}),
        ("Standard Webhooks", enveloped(), {}),
    ],
)
def test_every_shape_comes_to_the_same_event(label: str, body: Any, headers: dict[str, str]) -> None:
    assert event(body, headers) == CANONICAL, label


@pytest.mark.parametrize(
    "headers", [{"content-type": "application/cloudevents+json"}, {"content-type": "application/json"}]
)
def test_a_cloud_event_is_one_also_where_the_sender_calls_it_json(headers: dict[str, str]) -> None:
    assert event(cloud_event(), headers) == {**CANONICAL, "id": "e-1"}


def test_cloud_events_in_binary_mode_and_in_batches() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "e-1", "ce-source": "/erp", "ce-type": "order.shipped"}
    assert event(nested(), headers) == {**CANONICAL, "id": "e-1"}
    batch = parse([cloud_event(), cloud_event()], {"content-type": "application/cloudevents-batch+json"})
    assert [draft.event.id for draft in batch.events] == ["e-1", "e-1"]


def test_the_id_of_a_standard_webhook_is_the_events_own_where_there_is_one_event() -> None:
    assert event(nested(), {"webhook-id": "msg_9"})["id"] == "msg_9"
    assert [draft.event.id for draft in parse([nested(), nested()], {"webhook-id": "msg_9"}).events] == [None, None]
    assert event({**nested(), "id": "own"}, {"svix-id": "msg_9"})["id"] == "own"


def test_the_shop_is_the_one_whose_door_it_is() -> None:
    assert event({**nested(), "shop": "another"})["shop"] == "nile"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Out for delivery", "shipment.out_for_delivery"),
        ("ready-for-pickup", "order.ready_for_pickup"),
        ("DELIVERED", "order.delivered"),
        ("Payment.Received", "payment.received"),
    ],
)
def test_people_write_events_in_words(written: str, name: str) -> None:
    assert event({"event": written, "order_id": "1"})["event"] == name


def test_a_word_that_could_mean_two_things_is_refused() -> None:
    with pytest.raises(Malformed, match="/event: expected an order event"):
        parse({"event": "failed", "order_id": "1"})


@pytest.mark.parametrize(
    ("sent", "read"), [("+966501234567", "+966501234567"), ("%2B966501234567", "+966501234567"), ("+0501", "0501")]
)
def test_a_plus_that_nobody_encoded_is_still_a_plus(sent: str, read: str) -> None:
    said = event(f"event=Shipped&order__id=1&customer__phone={sent}&customer__name=+5".encode(), FORM)
    assert said["customer"] == {"phone": read, "name": "5"}


def test_keys_inside_objects_are_the_senders_own() -> None:
    said = event({"event": "order.shipped", "order_id": "1", "vars": {"utm.source": "mail", "empty": ""}})
    assert said["vars"] == {"utm.source": "mail"}


def test_a_flat_key_never_goes_over_a_value_or_through_one() -> None:
    said = event(
        {"event": "order.shipped", "order_id": "1", "order": {"total": "5"}, "order__total": "9", "event__x": "y"}
    )
    assert (said["order"]["total"], said["event"], said["event__x"]) == ("5", "order.shipped", "y")


def test_an_event_without_a_phone_is_joined_and_only_a_first_word_fills_the_book() -> None:
    later = parse({"event": "order.shipped", "order_id": "1"})
    assert (later.events[0].joins, later.orders) == (True, ())
    placed = parse({"event": "order.created", "order_id": "1"})
    assert [(facts.order_id, facts.partial) for facts in placed.orders] == [("1", False)]


def test_an_event_with_a_phone_tells_the_book_what_it_knows() -> None:
    [facts] = parse(nested()).orders
    assert (facts.order_id, facts.phone, facts.country, facts.currency) == ("1042", "+966501234567", "SA", "SAR")
    assert (facts.total, facts.partial, facts.consent is not None) == (Decimal("249.00"), True, True)


SAP = {"specversion": "1.0", "source": "/default/sap.s4.beh/CLNT001", "id": "1", "data": {"SalesOrder": "3016329"}}


@pytest.mark.parametrize("what", ["Created", "Changed"])
def test_saps_events_name_an_order_and_nothing_else(what: str) -> None:
    kind = f"sap.s4.beh.salesorder.v1.SalesOrder.{what}.v1"
    assert parse({**SAP, "type": kind}) == Parsed(needs_order=(LookUp("3016329", kind),))


def test_other_events_of_sap_are_known_and_of_no_interest() -> None:
    parsed = parse({**SAP, "type": "sap.s4.beh.billingdocument.v1.BillingDocument.Created.v1"})
    assert (parsed.events, parsed.needs_order) == ((), ())
    assert parsed.ignored == "of SAP's events only created and changed sales orders are told"


def test_a_sales_order_without_number_is_malformed() -> None:
    with pytest.raises(Malformed, match="/data/SalesOrder: expected the number of a sales order, got nothing"):
        parse({**SAP, "type": "sap.s4.beh.salesorder.v1.SalesOrder.Created.v1", "data": {}})


def test_the_handshake_of_event_mesh_is_answered_with_its_origin() -> None:
    ping = GENERIC.greet(Knock("OPTIONS", {}, {"webhook-request-origin": "eventmesh.example.com"}, b""))
    assert ping is not None and ping.status == 200
    assert ping.headers["webhook-allowed-origin"] == "eventmesh.example.com"
    assert ping.headers["allow"] == "POST, OPTIONS"


@pytest.mark.parametrize(
    ("method", "origin"), [("OPTIONS", ""), ("OPTIONS", "a\r\nset-cookie: x"), ("POST", "eventmesh.example.com")]
)
def test_other_calls_are_no_handshake(method: str, origin: str) -> None:
    assert GENERIC.greet(Knock(method, {}, {"webhook-request-origin": origin}, b"")) is None


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            b"",
            "a JSON object or list, or a form, got an empty body; send the fields that docs/sources/generic.md shows",
        ),
        (b"{", "got no JSON"),
        (b"5", "got a number"),
        (b"[]", "expected 1 to 1000 events, got none; send them in parts"),
        (b"[5]", "expected an object for each event, got a number"),
        (b'{"event":"order.shipped"}', "/order_id: expected an order event, got Field required"),
        (b'{"specversion":"1.0","type":"order.shipped","source":"/x"}', "/id: expected an order event"),
    ],
)
def test_a_body_that_cannot_be_read_says_where_and_why(body: bytes, says: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(body)
    assert says in str(caught.value)


def test_a_fault_never_repeats_a_value() -> None:
    with pytest.raises(Malformed) as caught:
        parse({"event": "order.shipped", "order_id": "1", "customer": {"phone": ["+966501234567"]}})
    assert "966501234567" not in str(caught.value)


def test_a_form_with_too_many_fields_is_malformed() -> None:
    with pytest.raises(Malformed, match="a form in UTF-8 with at most 2000 fields"):
        parse("&".join(f"k{n}=1" for n in range(2001)).encode(), FORM)


def test_the_key_survives_the_shape_the_order_of_fields_and_whitespace() -> None:
    keys = {
        draft.event.key
        for body in (nested(), dict(reversed(nested().items())), flattened(), dotted(), enveloped())
        for draft in GENERIC.parse(json.dumps(body, indent=3).encode(), {}, SHOP).events
    }
    assert keys == {"nile|1042|order.shipped||"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


@given(st.binary(max_size=300), st.sampled_from([{}, FORM, {"content-type": "application/cloudevents+json"}]))
def test_any_bytes_are_events_or_malformed(body: bytes, headers: dict[str, str]) -> None:
    with suppress(Malformed):
        GENERIC.parse(body, headers, SHOP)


@given(
    st.dictionaries(
        st.sampled_from([*nested(), *flattened(), *dotted(), "data", "type", "specversion", "source"]), JSON
    )
)
def test_any_json_is_events_or_malformed(body: dict[str, Any]) -> None:
    with suppress(Malformed):
        GENERIC.parse(json.dumps({"order_id": "1", "event": "order.shipped", **body}).encode(), {}, SHOP)


def test_json_of_a_thousand_levels_is_only_refused_or_read() -> None:
    for opener, closer in ((b'{"vars":', b"}"), (b"[", b"]")):
        with suppress(Malformed):
            parse(opener * 900 + b"1" + closer * 900)
