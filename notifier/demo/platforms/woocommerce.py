"""WooCommerce: the order as REST v3 shows it, in the state that the event is about (docs/sources/woocommerce.md)."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any, cast

from notifier.demo.platforms.contract import Call, Calls, Speech
from notifier.sources.woocommerce import SHIPPING, STATUSES
from notifier.sources.woocommerce_bodies import WooCommerceOptions


def say(speech: Speech) -> Calls | None:
    """`order.updated` in the status that says it, of those that come with WooCommerce and of the shop's own."""
    options, name = cast(WooCommerceOptions, speech.options), speech.event["event"]
    slugs = {event: slug for slug, event in reversed({**STATUSES, **options.statuses}.items())}
    if name not in slugs:
        return None
    order = {**_order(speech, options), "status": slugs[name]}
    if name in SHIPPING:
        order["meta_data"] = [*order["meta_data"], _tracking(speech)]
    raw = json.dumps(order, ensure_ascii=False).encode()
    signature = base64.b64encode(hmac.digest(speech.secret.encode(), raw, "sha256")).decode()
    return [Call({"X-WC-Webhook-Topic": "order.updated", "X-WC-Webhook-Signature": signature}, raw)]


def _order(speech: Speech, options: WooCommerceOptions) -> dict[str, Any]:
    event, customer, money = speech.event, speech.event["customer"], speech.event["order"]
    first, last = speech.names()
    at, consent = speech.at.removesuffix("+00:00"), customer.get("consent")  # GMT, and the zone is not written
    kept = {options.language_keys[0]: customer.get("locale"), options.consent_key: consent and int(consent["granted"])}
    back = event.get("refund") or {}
    return {
        "id": event["order_id"],
        "number": event.get("order_number"),
        "currency": money.get("currency"),
        "total": money.get("total"),
        "date_created_gmt": consent["at"].removesuffix("+00:00") if consent else at,
        "date_modified_gmt": at,
        "date_paid_gmt": at,
        "date_completed_gmt": at,
        "billing": {
            "first_name": first,
            "last_name": last,
            "phone": customer.get("phone"),
            "country": customer.get("country"),
        },
        "payment_method": money.get("payment_method"),
        "line_items": [dict(item) for item in money.get("items", ())],
        "meta_data": [{"key": key, "value": value} for key, value in kept.items() if value is not None],
        "refunds": [{"id": f"{event['order_id']}-refund", "total": f"-{back['amount']}"}] if back else [],
    }


def _tracking(speech: Speech) -> dict[str, Any]:
    """As the plugin Shipment Tracking stores it."""
    parcel = speech.event.get("shipment") or {}
    item = {
        "tracking_id": parcel.get("id"),
        "tracking_provider": parcel.get("carrier"),
        "tracking_number": parcel.get("tracking_number"),
        "custom_tracking_link": parcel.get("tracking_url"),
    }
    return {"key": "_wc_shipment_tracking_items", "value": [item]}
