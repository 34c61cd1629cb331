"""Shopify webhooks, Admin API 2026-10 (shopify.dev, read November 2026; reference platforms-and-sms A1).

The event is in the topic header, never in the body's state: test notifications say `voided` whatever they are about.
Shopify waits 5 s, sends 8 times within 4 hours, in any order, more than once, up to a day late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple, cast

from notifier.sources.contract import (
    ConsentSaid,
    DataRequest,
    Draft,
    Headers,
    LookUp,
    Malformed,
    OrderFacts,
    Parsed,
    Redact,
    Source,
    SourceShop,
    Unless,
)
from notifier.sources.reading import Node, load_object, order_event, signed_base64
from notifier.sources.shopify_bodies import (
    REMEDY,
    ShopifyOptions,
    destination_facts,
    first_moment,
    has_left,
    ids,
    order_facts,
    order_fields,
    pays_at_the_door,
    refunded,
    shipment_fields,
    triggered_at,
)


class OrderTopic(NamedTuple):
    """event: None only refreshes the order book. at: the field of its time. shipments: an event a fulfillment."""

    event: str | None
    at: str
    shipments: bool = False


ORDER_TOPICS: Final = {
    "orders/create": OrderTopic("order.created", "created_at"),
    "orders/paid": OrderTopic("payment.received", "processed_at"),
    "orders/cancelled": OrderTopic("order.cancelled", "cancelled_at"),
    "orders/fulfilled": OrderTopic("order.shipped", "updated_at", shipments=True),
    "orders/partially_fulfilled": OrderTopic("order.partially_shipped", "updated_at", shipments=True),
    "orders/updated": OrderTopic(None, "updated_at"),  # fires at everything, several times a change: A1.8
}

# FulfillmentEvent.status; one that is not here is no news for customers, also when it is new at Shopify.
PROGRESS: Final = {
    "in_transit": "shipment.in_transit",
    "out_for_delivery": "shipment.out_for_delivery",
    "attempted_delivery": "shipment.attempt_failed",
    "failure": "shipment.attempt_failed",
    "delayed": "shipment.delayed",
    "ready_for_pickup": "order.ready_for_pickup",
    "ready_for_recipient_pickup": "order.ready_for_pickup",
    "delivered": "order.delivered",
    "picked_up": "order.picked_up",
}

# A carrier that scans twice a day is one message; the same on another day is news, so the day is its revision.
DAILY: Final = frozenset({"shipment.out_for_delivery", "shipment.attempt_failed", "shipment.delayed"})

# These bodies hold the GraphQL id of a fulfillment order, and no order: A1.1.
THIN: Final = {
    "fulfillment_orders/line_items_prepared_for_pickup": "order.ready_for_pickup",
    "fulfillment_orders/line_items_prepared_for_local_delivery": "shipment.out_for_delivery",
    "fulfillment_orders/progress_reported": "order.packed",
    "fulfillment_orders/placed_on_hold": "order.on_hold",
}

# Known, and of no interest: what they tell comes by another topic, or is not for customers.
QUIET: Final = frozenset(
    {
        *("orders/edited", "orders/delete", "fulfillment_events/delete", "order_transactions/create"),
        *("fulfillment_orders/cancelled", "fulfillment_orders/hold_released", "app/uninstalled"),
        *("checkouts/create", "checkouts/update", "checkouts/delete"),
        *("returns/request", "returns/approve", "returns/decline", "returns/close", "returns/cancel"),
        *("returns/reopen", "returns/update", "returns/process"),
    }
)

CONSENT_STATES: Final = {"subscribed": True, "unsubscribed": False, "redacted": False}


class Call(NamedTuple):
    """One webhook, as its reader needs it."""

    body: Node
    shop: str
    options: ShopifyOptions
    triggered_at: datetime | None


def verify(body: bytes, headers: Headers, secrets: Sequence[str], now: datetime) -> bool:
    """Base64 HMAC-SHA256 of the raw body, by the app's client secret or the one that the shop's admin shows (A1.3)."""
    return signed_base64(body, headers.get("x-shopify-hmac-sha256"), secrets)


def parse(body: bytes, headers: Headers, shop: SourceShop) -> Parsed:
    """What one webhook says. Raises Malformed."""
    topic = headers.get("x-shopify-topic", "")
    if topic in QUIET:
        return Parsed(ignored=f"{topic} tells customers nothing")
    if topic not in READERS:
        expected, remedy = "a topic that we know in X-Shopify-Topic", "unsubscribe it (docs/sources/shopify.md)"
        raise Malformed("", expected, "another" if topic else "no topic", remedy)
    options = cast(ShopifyOptions, shop.options)
    return READERS[topic](Call(load_object(body, REMEDY), shop.name, options, triggered_at(headers)))


def _order(topic: OrderTopic, call: Call) -> Parsed:
    order = call.body
    facts = order_facts(order, call.options)
    if order["test"].value is True and not call.options.test_orders:
        return Parsed(ignored="a test order: set the option test_orders to tell them too")
    if topic.event is None:
        return Parsed(orders=(facts,), ignored="refreshes the order book")
    if order["cancelled_at"].text() and topic.event != "order.cancelled":
        return Parsed(orders=(facts,), ignored="the order was cancelled meanwhile")
    at = first_moment(order[topic.at], order["updated_at"]) or call.triggered_at
    fields = {"order_id": facts.order_id, "occurred_at": at, **order_fields(order, facts)}
    if topic.shipments:
        return _shipped(call, topic.event, fields, facts)
    cash = topic.event == "order.created" and pays_at_the_door(order, call.options)
    reason = order["cancel_reason"].text() if topic.event == "order.cancelled" else None
    event = _event(call, "order.cod_confirmation" if cash else topic.event, fields, vars={"reason": reason})
    return Parsed((event,), (facts,))


def _shipped(call: Call, event: str, fields: Mapping[str, Any], facts: OrderFacts) -> Parsed:
    """One event for each fulfillment that left and was not told: orders/fulfilled repeats the earlier ones."""
    drafts = [_shipment(call, event, one, fields) for one in call.body["fulfillments"].rows() if has_left(one)]
    ignored = None if drafts else "no fulfillment has left"
    return Parsed(tuple(drafts), (replace(facts, shipment_ids=_marks(drafts)),), ignored=ignored)


def _shipment(call: Call, event: str, fulfillment: Node, fields: Mapping[str, Any], *, joins: bool = False) -> Draft:
    more = shipment_fields(fulfillment)
    links = {**fields.get("links", {}), **more["links"]}
    mark = "/".join(filter(None, (more["shipment"]["id"], more["revision"])))
    return replace(
        _event(call, event, {**fields, **more, "links": links}), joins=joins, unless=Unless("shipment", mark)
    )


def _marks(drafts: Sequence[Draft]) -> tuple[str, ...]:
    return tuple(draft.unless.value for draft in drafts if draft.unless)


def _fulfillment(time: str, call: Call) -> Parsed:
    facts = destination_facts(call.body)
    at = first_moment(call.body[time], call.body["updated_at"]) or call.triggered_at
    customer = {"phone": facts.phone, "country": facts.country, "name": facts.name}
    fields = {"order_id": facts.order_id, "occurred_at": at, "customer": customer}
    if call.body["shipment_status"].text() == "delivered":
        shipment = {"id": call.body["id"].need_id(REMEDY)}
        return Parsed((replace(_event(call, "order.delivered", fields, shipment=shipment), joins=True),), (facts,))
    if not has_left(call.body):
        return Parsed(orders=(facts,), ignored="a fulfillment that has not left, or failed")
    draft = _shipment(call, "order.shipped", call.body, fields, joins=True)
    return Parsed((draft,), (replace(facts, shipment_ids=_marks([draft])),))


def _progress(call: Call) -> Parsed:
    body = call.body
    order_id, status = body["order_id"].need_id(REMEDY), (body["status"].text() or "").lower()
    event = PROGRESS.get(status)
    if event is None:
        return Parsed(ignored="a step of the carrier that customers are not told")
    at = first_moment(body["happened_at"], body["created_at"]) or call.triggered_at
    # The day as the carrier wrote it, in its own zone.
    day = (body["happened_at"].text() or "")[:10] if event in DAILY else ""
    fields = {
        "order_id": order_id,
        "occurred_at": at,
        "revision": day or None,
        "shipment": {"id": body["fulfillment_id"].need_id(REMEDY), "eta": body["estimated_delivery_at"].moment()},
    }
    return Parsed((replace(_event(call, event, fields), joins=True),))


def _refund(call: Call) -> Parsed:
    order_id, refund_id = call.body["order_id"].need_id(REMEDY), call.body["id"].need_id(REMEDY)
    money = refunded(call.body)
    if money is None:
        return Parsed(ignored="no money went back")
    at = first_moment(call.body["processed_at"], call.body["created_at"]) or call.triggered_at
    fields = {"order_id": order_id, "occurred_at": at, "revision": refund_id, "refund": money}
    return Parsed((replace(_event(call, "order.refunded", fields), joins=True),))


def _thin(topic: str, call: Call) -> Parsed:
    found = call.body.at("fulfillment_order", "id").need_id(REMEDY)
    return Parsed(needs_order=(LookUp(found, topic, "fulfillment_order", THIN[topic]),))


def _marketing_consent(call: Call) -> Parsed:
    """The customer's word about marketing by SMS; order updates are another matter."""
    said, phone = call.body["sms_marketing_consent"], call.body["phone"].text()
    granted = CONSENT_STATES.get((said["state"].text() or "").lower())
    if phone is None or granted is None:
        return Parsed(ignored="no phone, or nothing decided")
    at = said["consent_updated_at"].moment() or call.triggered_at
    return Parsed(consents=(ConsentSaid(phone, granted, "sms", "marketing", "shopify", at),))


def _redact(call: Call) -> Parsed:
    phone = call.body.at("customer", "phone").text()
    return Parsed(demands=(Redact(tuple(ids(call.body["orders_to_redact"])), phone),))


def _redact_shop(call: Call) -> Parsed:
    return Parsed(demands=(Redact(whole_shop=True),))


def _data_request(call: Call) -> Parsed:
    phone = call.body.at("customer", "phone").text()
    return Parsed(demands=(DataRequest(tuple(ids(call.body["orders_requested"])), phone),))


def _event(call: Call, event: str, fields: Mapping[str, Any], **more: Any) -> Draft:
    return Draft(order_event({**fields, **more, "shop": call.shop, "event": event}, REMEDY))


READERS: Final[Mapping[str, Callable[[Call], Parsed]]] = {
    **{name: partial(_order, topic) for name, topic in ORDER_TOPICS.items()},
    "fulfillments/create": partial(_fulfillment, "created_at"),
    "fulfillments/update": partial(_fulfillment, "updated_at"),
    "fulfillment_events/create": _progress,
    "refunds/create": _refund,
    **{topic: partial(_thin, topic) for topic in THIN},
    "customers_marketing_consent/update": _marketing_consent,
    "customers/redact": _redact,
    "shop/redact": _redact_shop,
    "customers/data_request": _data_request,
}

SOURCE: Final = Source("shopify", verify, parse, options=ShopifyOptions, keeps=("x-shopify-",))
