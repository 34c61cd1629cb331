"""WooCommerce webhooks, REST API v3 (class-wc-webhook.php of 10.x, read November 2026; reference platforms-and-sms A2).

There is no topic for a change of status: a body is a state, and news is what the order book does not hold yet. The
delivery id is not unique and is ignored. WooCommerce never sends again, and gives a webhook up after a few failures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, cast

from notifier.sources.contract import (
    Draft,
    Headers,
    Knock,
    LookUp,
    Malformed,
    OrderFacts,
    Parsed,
    Ping,
    Source,
    SourceShop,
    Unless,
)
from notifier.sources.reading import Node, load_object, order_event, signed_base64
from notifier.sources.woocommerce_bodies import (
    REMEDY,
    Parcel,
    WooCommerceOptions,
    order_facts,
    order_fields,
    parcels,
    refunded,
    slug_of,
    status_time,
)

# Status slug -> event; "" tells nothing. Core's, then those of the tracking plugins (A2.5). `completed` is what most
# shops do when the parcel leaves; one that means delivered says so in the option `statuses`.
STATUSES: Final = {
    "pending": "",
    "processing": "order.confirmed",
    "on-hold": "order.on_hold",
    "completed": "order.shipped",
    "cancelled": "order.cancelled",
    "refunded": "order.refunded",
    "failed": "payment.failed",
    "ready-for-pickup": "order.ready_for_pickup",
    "shipped": "order.shipped",
    "partial-shipped": "order.partially_shipped",
    "updated-tracking": "order.shipped",
    "out-for-delivery": "shipment.out_for_delivery",
    "delivered": "order.delivered",
    "checkout-draft": "",
    "auto-draft": "",
    "trash": "",
}

SHIPPING: Final = frozenset({"order.shipped", "order.partially_shipped"})

ORDER_TOPICS: Final = frozenset({"order.created", "order.updated", "order.restored"})

# Known, and of no interest. `order.deleted` holds an id only.
QUIET: Final = ("order.deleted", "customer.", "product.", "coupon.")

# An order this much older than its last change, which we see for the first time, is somebody's bulk edit: its state is
# stored, and only what changes from then on is told.
OLD: Final = timedelta(days=30)

_PING: Final = re.compile(rb"webhook_id=\d+")


def greet(knock: Knock) -> Ping | None:
    """The call at creation and activation: unsigned, a form without any X-WC header; it must get exactly 200 (A2.2)."""
    if "x-wc-webhook-topic" in knock.headers or not _PING.fullmatch(knock.body.strip()):
        return None
    return Ping(200)


def verify(body: bytes, headers: Headers, secrets: Sequence[str], now: datetime) -> bool:
    """Base64 HMAC-SHA256 of the raw body, by the secret in the webhook's form."""
    return signed_base64(body, headers.get("x-wc-webhook-signature"), secrets)


def parse(body: bytes, headers: Headers, shop: SourceShop) -> Parsed:
    """What one webhook says. Raises Malformed."""
    topic = headers.get("x-wc-webhook-topic", "")
    if topic.startswith(QUIET):
        return Parsed(ignored=f"{topic} tells customers nothing")
    if topic.startswith("action."):
        return _action(load_object(body, REMEDY), topic)
    if topic not in ORDER_TOPICS:
        expected, remedy = "a topic that we know in X-WC-Webhook-Topic", "choose order.created and order.updated"
        raise Malformed("", expected, "another" if topic else "no topic", remedy)
    return _order(load_object(body, REMEDY), shop.name, cast(WooCommerceOptions, shop.options))


def _action(body: Node, topic: str) -> Parsed:
    """`{"action": hook, "arg": order id}`: the order itself must be fetched."""
    return Parsed(needs_order=(LookUp(body["arg"].need_id(REMEDY), topic),))


def _order(order: Node, shop: str, options: WooCommerceOptions) -> Parsed:
    facts, slug = order_facts(order, options), slug_of(order)
    table = {**STATUSES, **options.statuses}
    if slug not in table:
        return Parsed(orders=(facts,), ignored="a status that no table knows: map it in the option statuses")
    fields = {"shop": shop, "order_id": facts.order_id, **order_fields(order, facts)}
    event = table[slug]
    if event == "order.confirmed" and facts.payment_method in options.cod_methods:
        event = "order.cod_confirmation"
    sent = parcels(order) if event in SHIPPING else []
    drafts = _shipped(order, event, sent, fields) if sent else _status(order, event, slug, facts, fields)
    drafts = [*drafts, *_refunds(order, event, facts, fields)]
    ignored = None if drafts else "a status that customers are not told"
    return Parsed(tuple(drafts), (replace(facts, shipment_ids=tuple(map(_mark, sent))),), ignored=ignored)


def _status(order: Node, event: str, slug: str, facts: OrderFacts, fields: Mapping[str, Any]) -> list[Draft]:
    """The event of the status itself; of a refund `_refunds` speaks, where the body shows any."""
    if not event or (event == "order.refunded" and facts.refund_ids):
        return []
    return [_draft(order, {**fields, "event": event, "occurred_at": status_time(order, slug)}, Unless("status", slug))]


def _shipped(order: Node, event: str, sent: Sequence[Parcel], fields: Mapping[str, Any]) -> list[Draft]:
    """An event for each parcel, whenever its number turns up."""
    drafts = []
    for parcel in sent:
        shipment = {
            "id": parcel.id,
            "carrier": parcel.carrier,
            "tracking_number": parcel.number,
            "tracking_url": parcel.url,
        }
        links = {**fields["links"], "tracking": parcel.url}
        more = {"event": event, "occurred_at": order["date_modified_gmt"].moment(), "shipment": shipment}
        drafts.append(_draft(order, {**fields, **more, "links": links}, Unless("shipment", _mark(parcel))))
    return drafts


def _mark(parcel: Parcel) -> str:
    return parcel.number or parcel.id


def _refunds(order: Node, event: str, facts: OrderFacts, fields: Mapping[str, Any]) -> list[Draft]:
    """A partial refund leaves the status alone and adds an id; one that takes all is told once, as a full one."""
    at, back = order["date_modified_gmt"].moment(), refunded(order)
    common = {**fields, "occurred_at": at}
    whole = event == "order.refunded" or (back is not None and facts.total is not None and back >= facts.total > 0)
    if whole and facts.refund_ids:
        refund = {"amount": back, "currency": facts.currency}
        news = {**common, "event": "order.refunded", "refund": refund}
        return [_draft(order, news, Unless("refund", facts.refund_ids[-1]))]
    drafts = []
    for row in order["refunds"].rows():
        found, amount = row["id"].id(), row["total"].money()
        if found and amount is not None and not whole:
            refund = {"amount": abs(amount), "currency": facts.currency}
            news = {**common, "event": "order.partially_refunded", "revision": found, "refund": refund}
            drafts.append(_draft(order, news, Unless("refund", found)))
    return drafts


def _draft(order: Node, fields: dict[str, Any], unless: Unless) -> Draft:
    created, changed = order["date_created_gmt"].moment(), order["date_modified_gmt"].moment()
    old = created is not None and changed is not None and changed - created > OLD
    return Draft(order_event(fields, REMEDY), unless=replace(unless, known_only=old))


SOURCE: Final = Source("woocommerce", verify, parse, options=WooCommerceOptions, keeps=("x-wc-webhook-",), greet=greet)
