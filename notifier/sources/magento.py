"""Magento 2 and Adobe Commerce: orders, shipments, invoices, credit memos as REST and the observers show them.

Facts: REST API 2.4 (`/rest/V1/orders`), observer payloads, Mageplaza Webhook 4.x (reference platforms-and-sms A3, read
November 2026). Two doors share the readers here: this one, for modules that post what an administrator wrote, and
adobe_io.py. Times are UTC without a zone; numbers come as numbers or texts, at random; the language is the store's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, cast

from notifier.sources.contract import (
    Draft,
    Headers,
    Malformed,
    OrderFacts,
    Parsed,
    Source,
    SourceShop,
    Unless,
)
from notifier.sources.magento_bodies import IGNORE, REMEDY, MagentoOptions, customer_of, facts_of, item_of
from notifier.sources.reading import Node, first, load_object, order_event
from notifier.sources.shared_key import verify

# Only the states that say something by themselves. `processing` is said by the invoice as well, and `complete` means
# that everything left the house, not that it arrived: a shop that sees it otherwise says so in `statuses`.
STATES: Final[Mapping[str, str]] = {
    "new": "order.created",
    "pending_payment": "payment.pending",
    "processing": "order.processing",
    "holded": "order.on_hold",
    "canceled": "order.cancelled",
    "complete": IGNORE,
    "closed": IGNORE,  # the credit memo says how much
    "payment_review": IGNORE,
}

RETURNS: Final[Mapping[str, str]] = {
    "pending": "return.requested",
    "authorized": "return.approved",
    "partial_authorized": "return.approved",
    "denied": "return.declined",
    "rejected": "return.declined",
}

COD: Final = frozenset({"cashondelivery"})
# An order this much older than its last change, which we see for the first time, is somebody's bulk edit: its status is
# stored, and only what changes from then on is told.
OLD: Final = timedelta(days=30)

PAID: Final = "2"  # of an invoice; 1 is open, 3 is cancelled


Read = Callable[[Node, SourceShop], Parsed]


def read_order(order: Node, shop: SourceShop) -> Parsed:
    """An order in its present state. It is news only if the order book knew another status."""
    options = cast(MagentoOptions, shop.options)
    facts = facts_of(order, options)
    event = _event_of(order, facts, options)
    if event is None or event == IGNORE:
        said = "nothing that customers are told" if event else "a status that is not in the option `statuses`"
        return Parsed(orders=(facts,), ignored=f"the order's state is {said}")
    at = order["created_at"] if event == "order.created" else order["updated_at"]
    fields = {
        "order_id": facts.order_id,
        "order_number": facts.order_number,
        "occurred_at": first(Node.moment, at, order["updated_at"], order["created_at"]),
        "order": {
            "total": facts.total,
            "currency": facts.currency,
            "payment_method": facts.payment_method,
            "items": [item_of(row) for row in order["items"].rows() if row["parent_item_id"].id() is None],
        },
    }
    unless = Unless("status", facts.status, known_only=_is_old(order)) if facts.status else None
    return Parsed((_draft(shop, event, fields, customer_of(order, options), unless),), (facts,))


def read_shipment(shipment: Node, shop: SourceShop) -> Parsed:
    """A shipment, with its first track where it has one. Magento saves it more than once; its id is in the key."""
    track = next(shipment["tracks"].rows(), Node({}, shipment.path))
    return _shipped(shipment, shop, shipment["entity_id"], track)


def read_track(track: Node, shop: SourceShop) -> Parsed:
    """A tracking number. It belongs to the shipment `parent_id`: the same message, whichever comes first."""
    return _shipped(track, shop, track["parent_id"], track)


def read_invoice(invoice: Node, shop: SourceShop) -> Parsed:
    """An invoice; only a paid one is told."""
    if (invoice["state"].text() or PAID) != PAID:
        return Parsed(ignored="the invoice is not paid")
    money = {"total": invoice["grand_total"].money(), "currency": invoice["order_currency_code"].currency()}
    return _of_order(invoice, shop, "payment.received", {"revision": _own_id(invoice), "order": money})


def read_creditmemo(memo: Node, shop: SourceShop) -> Parsed:
    """Money that went back. A credit memo does not say whether it was all."""
    amount = memo["grand_total"].money()
    if not amount:
        return Parsed(ignored="no money went back")
    money = {"amount": amount, "currency": memo["order_currency_code"].currency()}
    return _of_order(memo, shop, "order.refunded", {"revision": _own_id(memo), "refund": money})


def read_return(rma: Node, shop: SourceShop) -> Parsed:
    """A return (RMA, Adobe Commerce only)."""
    event = RETURNS.get((rma["status"].text() or "").lower())
    if event is None:
        return Parsed(ignored="a step of a return that customers are not told")
    return _of_order(rma, shop, event, {"revision": _own_id(rma)})


READERS: Final[Mapping[str, Read]] = {
    "order": read_order,
    "shipment": read_shipment,
    "track": read_track,
    "invoice": read_invoice,
    "creditmemo": read_creditmemo,
    "return": read_return,
}


def parse(body: bytes, headers: Headers, shop: SourceShop) -> Parsed:
    """What a module posted: a REST object, or the body of our page, whose `resource` names it. Raises Malformed."""
    found = load_object(body, REMEDY)
    named = found["resource"].text()
    read = READERS.get(named or _shape(found.value))
    if read is None:
        raise Malformed("/resource", f"one of {', '.join(READERS)}", "another word" if named else "nothing", REMEDY)
    return read(found, shop)


def _shape(value: Mapping[str, Any]) -> str:
    """What a REST object without a name is. Only orders have items or a state and no `order_id`."""
    if "tracks" in value:
        return "shipment"
    return "order" if "order_id" not in value and ({"state", "status"} & value.keys()) else ""


def _event_of(order: Node, facts: OrderFacts, options: MagentoOptions) -> str | None:
    status, state = facts.status or "", order["state"].text() or facts.status or ""
    event = options.statuses.get(status) or options.statuses.get(state) or STATES.get(state.lower())
    created = order["created_at"].text()
    if event is None and created and created == order["updated_at"].text():
        event = "order.created"  # all that Adobe's starter kit subscribes: A3.2
    return "order.cod_confirmation" if event == "order.created" and facts.payment_method in COD else event


def _shipped(found: Node, shop: SourceShop, shipment_id: Node, track: Node) -> Parsed:
    parcel = {
        "id": shipment_id.need_id(REMEDY),
        "carrier": first(Node.text, track["title"], track["carrier_code"]),
        "tracking_number": first(Node.text, track["track_number"], track["number"]),
    }
    return _of_order(found, shop, "order.shipped", {"shipment": parcel})


def _of_order(found: Node, shop: SourceShop, event: str, more: Mapping[str, Any]) -> Parsed:
    """An event of something that belongs to an order; `order_id` is the order's, `increment_id` the thing's own."""
    options = cast(MagentoOptions, shop.options)
    fields = {
        "order_id": found["order_id"].need_id(REMEDY),
        "order_number": found["order_increment_id"].text(),
        "occurred_at": first(Node.moment, found["created_at"], found["updated_at"]),
        **more,
    }
    return Parsed((_draft(shop, event, fields, customer_of(found, options), None),))


def _draft(
    shop: SourceShop, event: str, fields: Mapping[str, Any], customer: Mapping[str, Any], unless: Unless | None
) -> Draft:
    whole = {**fields, "shop": shop.name, "event": event, "customer": dict(customer)}
    return Draft(order_event(whole, REMEDY), joins=customer["phone"] is None, unless=unless)


def _is_old(order: Node) -> bool:
    created, changed = order["created_at"].moment(), order["updated_at"].moment()
    return created is not None and changed is not None and changed - created > OLD


def _own_id(found: Node) -> str:
    return found["entity_id"].need_id(REMEDY)


SOURCE: Final = Source("magento", verify, parse, options=MagentoOptions)
