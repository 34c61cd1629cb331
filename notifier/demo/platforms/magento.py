"""Magento's objects as its REST API shows them, posted by a module that signs (docs/sources/magento.md)."""

from __future__ import annotations

import json
from typing import Any, Final, cast

from notifier.demo.platforms.contract import Call, Calls, Speech
from notifier.sources.magento import COD, STATES
from notifier.sources.magento_bodies import MagentoOptions
from notifier.sources.standard_webhooks import sign

SHIPPED, PAID, COD_EVENT = "order.shipped", "payment.received", "order.cod_confirmation"
_PAID_STATE: Final = "2"


def say(speech: Speech) -> Calls | None:
    """The object that says it. A consent travels in no body of Magento, so an event that carries one is not said."""
    customer = speech.event["customer"]
    stores = {locale: store for store, locale in cast(MagentoOptions, speech.options).locales.items()}
    if customer.get("consent") or customer.get("locale") not in {None, *stores}:
        return None
    said = _object(speech)
    if said is None:
        return None
    body = json.dumps({**said, "store_id": stores.get(customer.get("locale"))}, ensure_ascii=False).encode()
    message = f"{speech.event['order_id']}-{speech.event['event']}"
    return [Call({"Content-Type": "application/json", **sign(message, speech.now, body, speech.secret)}, body)]


def _object(speech: Speech) -> dict[str, Any] | None:
    name = speech.event["event"]
    if name == SHIPPED:
        return _shipment(speech)
    if name == PAID:
        return {**_of_order(speech, "invoice"), "state": _PAID_STATE, "grand_total": speech.event["order"].get("total")}
    return _order(speech)


def _order(speech: Speech) -> dict[str, Any] | None:
    event, options = speech.event, cast(MagentoOptions, speech.options)
    codes = {name: code for code, name in {**STATES, **options.statuses}.items()}
    status = codes.get("order.created" if event["event"] == COD_EVENT else event["event"])
    if status is None:
        return None
    money = event["order"]
    method = next(iter(COD)) if event["event"] == COD_EVENT else "checkmo"
    return {
        "resource": "order",
        "entity_id": event["order_id"],
        "increment_id": event.get("order_number"),
        "status": status,
        "created_at": _local(speech),
        "updated_at": _local(speech),
        "order_currency_code": money.get("currency"),
        "grand_total": money.get("total"),
        "payment": {"method": method},
        "items": [{**item, "qty_ordered": item.get("quantity")} for item in money.get("items", ())],
        **_addresses(speech),
    }


def _shipment(speech: Speech) -> dict[str, Any]:
    parcel = speech.event.get("shipment") or {}
    track = {"title": parcel.get("carrier"), "track_number": parcel.get("tracking_number")}
    return {**_of_order(speech, "shipment"), "entity_id": parcel.get("id"), "tracks": [track]}


def _of_order(speech: Speech, resource: str) -> dict[str, Any]:
    return {
        "resource": resource,
        "entity_id": f"{speech.event['order_id']}-{resource}",
        "order_id": speech.event["order_id"],
        "order_increment_id": speech.event.get("order_number"),
        "order_currency_code": speech.event["order"].get("currency"),
        "created_at": _local(speech),
        **_addresses(speech),
    }


def _addresses(speech: Speech) -> dict[str, Any]:
    customer, (first, last) = speech.event["customer"], speech.names()
    address = {
        "firstname": first,
        "lastname": last,
        "telephone": customer.get("phone"),
        "country_id": customer.get("country"),
    }
    return {"customer_firstname": first, "shipping_address": address}


def _local(speech: Speech) -> str:
    """UTC, and the zone is not written."""
    return speech.at.replace("T", " ").removesuffix("+00:00")
