"""Shopify's webhooks, as its Admin API of 2026-10 sends them (docs/sources/shopify.md)."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final, cast

from notifier.demo.platforms.contract import Call, Calls, Speech
from notifier.sources.shopify_bodies import ShopifyOptions

# Our event -> the topic whose body is the order itself, and the field that dates it.
OF_THE_ORDER: Final[Mapping[str, tuple[str, str]]] = {
    "order.created": ("orders/create", "created_at"),
    "order.cod_confirmation": ("orders/create", "created_at"),
    "payment.received": ("orders/paid", "processed_at"),
    "order.cancelled": ("orders/cancelled", "cancelled_at"),
}
FULFILLED: Final[Mapping[str, str]] = {
    "order.shipped": "fulfillments/create",
    "order.partially_shipped": "orders/partially_fulfilled",
}
STEPS: Final[Mapping[str, str]] = {
    "shipment.out_for_delivery": "out_for_delivery",
    "shipment.attempt_failed": "attempted_delivery",
    "shipment.delayed": "delayed",
    "order.ready_for_pickup": "ready_for_pickup",
    "order.delivered": "delivered",
}
REFUNDS: Final = frozenset({"order.refunded", "order.partially_refunded"})


def say(speech: Speech) -> Calls | None:
    """The webhooks. Carriers' steps and refunds carry no phone; Shopify's `orders/updated`, which fires all the time,
    has told it before."""
    name = speech.event["event"]
    if name in OF_THE_ORDER:
        topic, dated = OF_THE_ORDER[name]
        return [_call(speech, topic, {**_order(speech), dated: speech.at})]
    if name == "order.partially_shipped":
        order = {**_order(speech), "fulfillments": [_fulfillment(speech)]}
        return [_call(speech, FULFILLED[name], order)]
    if name == "order.shipped":
        return _after_the_order(speech, FULFILLED[name], {**_fulfillment(speech), **_destination(speech)})
    if name in STEPS:
        step = {"id": 1, "fulfillment_id": _parcel(speech), "status": STEPS[name], "happened_at": speech.at}
        return _after_the_order(speech, "fulfillment_events/create", {**step, "order_id": speech.event["order_id"]})
    return _after_the_order(speech, "refunds/create", _refund(speech)) if name in REFUNDS else None


def _after_the_order(speech: Speech, topic: str, body: Mapping[str, Any]) -> Calls:
    return [_call(speech, "orders/updated", _order(speech)), _call(speech, topic, body)]


def _call(speech: Speech, topic: str, body: Mapping[str, Any]) -> Call:
    raw = json.dumps(body, ensure_ascii=False).encode()
    signature = base64.b64encode(hmac.digest(speech.secret.encode(), raw, "sha256")).decode()
    return Call(
        {"X-Shopify-Topic": topic, "X-Shopify-Hmac-Sha256": signature, "X-Shopify-Triggered-At": speech.at}, raw
    )


def _order(speech: Speech) -> dict[str, Any]:
    event, customer, money = speech.event, speech.event["customer"], speech.event["order"]
    first, last = speech.names()
    options, consent = cast(ShopifyOptions, speech.options), customer.get("consent")
    box = {"name": options.consent_attribute, "value": "yes" if consent and consent["granted"] else "no"}
    return {
        "id": event["order_id"],
        "name": event.get("order_number"),
        "created_at": consent["at"] if consent else speech.at,
        "updated_at": speech.at,
        "currency": money.get("currency"),
        "total_price": money.get("total"),
        "customer_locale": customer.get("locale"),
        "phone": customer.get("phone"),
        "customer": {"first_name": first, "last_name": last},
        "shipping_address": {"first_name": first, "last_name": last, "country_code": customer.get("country")},
        "note_attributes": [box] if consent else [],
        "line_items": [{**item, "title": item.get("name")} for item in money.get("items", ())],
        "payment_gateway_names": [money.get("payment_method")],
        "order_status_url": event.get("links", {}).get("order_status"),
    }


def _parcel(speech: Speech) -> str:
    return str((speech.event.get("shipment") or {}).get("id") or f"{speech.event['order_id']}-1")


def _fulfillment(speech: Speech) -> dict[str, Any]:
    parcel = speech.event.get("shipment") or {}
    return {
        "id": _parcel(speech),
        "order_id": speech.event["order_id"],
        "status": "success",
        "created_at": speech.at,
        "updated_at": speech.at,
        "tracking_company": parcel.get("carrier"),
        "tracking_number": parcel.get("tracking_number"),
        "tracking_url": parcel.get("tracking_url"),
    }


def _destination(speech: Speech) -> dict[str, Any]:
    first, last = speech.names()
    customer = speech.event["customer"]
    to = {
        "first_name": first,
        "last_name": last,
        "phone": customer.get("phone"),
        "country_code": customer.get("country"),
    }
    return {"destination": to}


def _refund(speech: Speech) -> dict[str, Any]:
    back = speech.event.get("refund") or {}
    money = {"kind": "refund", "status": "success", "amount": back.get("amount"), "currency": back.get("currency")}
    return {
        "id": f"{speech.event['order_id']}-refund",
        "order_id": speech.event["order_id"],
        "processed_at": speech.at,
        "transactions": [money],
    }
