"""What the tests of webhooks share: bodies that we wrote to the documented shapes, and the shop that takes them."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from typing import Any

import orjson

from notifier.runtime import Runtime
from notifier.streams import Item, StreamReader
from notifier.webhook_stream import Webhook, Webhooks
from notifier.webhooks import WebhookReport, take_webhooks
from tests.fixtures.ledger import NOW
from tests.integration.movements.incoming import LONG

SECRET = "hush"
PHONE, E164 = "0100 123 4567", "+201001234567"

SOURCES: Mapping[str, Any] = {
    "shopify": {"kind": "shopify", "options": {"consent_attribute": "whatsapp_updates"}},
    "woo": {"kind": "woocommerce", "options": {"consent_key": "_whatsapp_updates"}},
}
SETTINGS: Mapping[str, Any] = {
    "shops": {"nile": {"sources": SOURCES}},
    "events": {
        "order.confirmed": {"template": "order_confirmed"},
        "order.refunded": {"template": "order_refunded"},
        "order.partially_refunded": {"template": "order_partially_refunded"},
    },
}


def at(minutes: int = 0) -> str:
    """So many minutes after NOW, as Shopify writes it."""
    return NOW.replace(minute=minutes).isoformat()


def shopify_order(order_id: int = 5001, **more: Any) -> dict[str, Any]:
    """An order with phone, language and consent, as orders/* have it."""
    return {
        "id": order_id,
        "name": "#1001",
        "created_at": at(),
        "updated_at": at(),
        "currency": "EGP",
        "total_price": "450.00",
        "customer_locale": "en",
        "phone": PHONE,
        "shipping_address": {"country_code": "EG", "first_name": "Mona"},
        "note_attributes": [{"name": "whatsapp_updates", "value": "yes"}],
        "payment_gateway_names": ["visa"],
        **more,
    }


def shopify_progress(status: str = "out_for_delivery", order_id: int = 5001, **more: Any) -> dict[str, Any]:
    """A carrier's step, as fulfillment_events/create has it: without phone, number or order name."""
    return {
        "id": 71,
        "fulfillment_id": 61,
        "order_id": order_id,
        "status": status,
        "happened_at": at(5),
        **more,
    }


def woo_order(**more: Any) -> dict[str, Any]:
    """An order as REST v3 shows it."""
    moment = NOW.replace(tzinfo=None).isoformat()
    return {
        "id": 727,
        "number": "727",
        "status": "processing",
        "currency": "EGP",
        "total": "450.00",
        "date_created_gmt": moment,
        "date_modified_gmt": moment,
        "date_paid_gmt": moment,
        "billing": {"first_name": "Mona", "phone": PHONE, "country": "EG"},
        "payment_method": "stripe",
        "meta_data": [{"id": 1, "key": "_whatsapp_updates", "value": "1"}],
        "refunds": [],
        **more,
    }


def shopify(topic: str, body: Mapping[str, Any]) -> Webhook:
    return Webhook("nile", "shopify", {"x-shopify-topic": topic}, orjson.dumps(body))


def woo(topic: str, body: Mapping[str, Any]) -> Webhook:
    return Webhook("nile", "woo", {"x-wc-webhook-topic": topic}, orjson.dumps(body))


def signed(body: bytes, secret: str = SECRET) -> str:
    """As Shopify and WooCommerce sign."""
    return base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()


def reader_of(runtime: Runtime) -> StreamReader:
    return StreamReader(runtime.redis, f"{runtime.settings.key_prefix}webhooks", "webhooks", "a", reclaim_after=LONG)


def arrive(runtime: Runtime, *webhooks: Webhook) -> list[Item]:
    """Through the stream, and out again as a batch."""
    assert Webhooks(runtime.redis, runtime.settings.key_prefix).append_many(webhooks) == [True] * len(webhooks)
    return reader_of(runtime).read(1000, None)


def take(runtime: Runtime, *webhooks: Webhook) -> WebhookReport:
    """Arrives, is taken through and acknowledged."""
    items = arrive(runtime, *webhooks)
    report = take_webhooks(runtime, items, runtime.clock())
    reader_of(runtime).done([item.id for item in items])
    return report


def waiting_in_inbox(runtime: Runtime) -> list[dict[str, Any]]:
    """The events in the inbox, in their order."""
    entries: Any = runtime.redis.xrange(runtime.inbox.stream)
    return [orjson.loads(fields[b"body"]) for _, fields in entries]


def keys_in_inbox(runtime: Runtime) -> list[str]:
    entries: Any = runtime.redis.xrange(runtime.inbox.stream)
    return [fields[b"key"].decode() for _, fields in entries]
