"""What is where in Shopify's order, fulfillment and refund (API 2026-10; reference platforms-and-sms A1.5, A1.6).

Where a value is in several places the first present wins; any of them may be null or missing (digital goods, point of
sale, an app without access to protected customer data).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from pydantic import Field

from notifier.sources.consent import consent_at
from notifier.sources.contract import Headers, OrderFacts, SourceOptions
from notifier.sources.reading import Node, first

REMEDY: Final = "subscribe in JSON and without include_fields (docs/sources/shopify.md)"

# What shops call it, in the languages of their checkouts; a part of the gateway's name is enough.
COD_GATEWAYS: Final = (
    *("cash on delivery", "cash_on_delivery", "(cod)", "الدفع عند الاستلام", "pagamento na entrega"),
    *("contra entrega", "contra reembolso", "paiement à la livraison", "nachnahme", "kapıda ödeme"),
)


class ShopifyOptions(SourceOptions):
    """Options of kind shopify."""

    consent_attribute: str | None = Field(None, description="Cart attribute of the opt-in box (`note_attributes`).")
    cod_gateways: tuple[str, ...] = Field(COD_GATEWAYS, description="Parts of gateway names that are paid at the door.")
    test_orders: bool = Field(False, description="Whether orders marked as test are told too.")


def order_facts(order: Node, options: ShopifyOptions) -> OrderFacts:
    """What the order book keeps of an order. Raises Malformed without an id."""
    shipping, billing, customer = order["shipping_address"], order["billing_address"], order["customer"]
    home = customer["default_address"]
    status_page = order["order_status_url"].text()
    return OrderFacts(
        order_id=order["id"].need_id(REMEDY),
        order_number=first(Node.text, order["name"], order["order_number"]),
        phone=first(Node.text, *(place["phone"] for place in (order, shipping, billing, customer, home))),
        country=first(Node.country, *(place["country_code"] for place in (shipping, billing, home))),
        locale=order["customer_locale"].text(),
        name=first(Node.text, customer["first_name"], shipping["first_name"]),
        currency=order["currency"].currency(),
        total=order["total_price"].money(),
        status=order["financial_status"].text(),
        payment_method=next(iter(_gateways(order)), None),
        links={"order_status": status_page} if status_page else {},
        consent=_consent(order, options),
        changed_at=order["updated_at"].moment(),
    )


def _consent(order: Node, options: ShopifyOptions) -> dict[str, Any] | None:
    """The box at the checkout. Shopify's own marketing consent says nothing about order updates."""
    for row in order["note_attributes"].rows():
        if options.consent_attribute and row["name"].value == options.consent_attribute:
            return consent_at(row["value"].value, order["created_at"].moment(), "shopify")
    return None


def _gateways(order: Node) -> list[str]:
    return [name for row in order["payment_gateway_names"].rows() if (name := row.text())]


def pays_at_the_door(order: Node, options: ShopifyOptions) -> bool:
    """Whether one of the order's gateways is cash on delivery."""
    names = [name.casefold() for name in _gateways(order)]
    return any(name == "cod" or part.casefold() in name for name in names for part in options.cod_gateways)


def order_fields(order: Node, facts: OrderFacts) -> dict[str, Any]:
    """What all events of an order share. Presentment money is what the customer saw and pays."""
    shown = order.at("total_price_set", "presentment_money")
    total, currency = shown["amount"].money(), shown["currency_code"].currency()
    if total is None or currency is None:
        total, currency = facts.total, facts.currency
    customer = {"phone": facts.phone, "country": facts.country, "locale": facts.locale, "name": facts.name}
    return {
        "order_number": facts.order_number,
        "customer": {**customer, "consent": facts.consent},
        "order": {
            "total": total,
            "currency": currency,
            "payment_method": facts.payment_method,
            "items": [_item(row) for row in order["line_items"].rows()],
        },
        "links": dict(facts.links),
    }


def _item(row: Node) -> dict[str, Any]:
    quantity = row["quantity"].value
    item = {
        "name": first(Node.text, row["name"], row["title"]),
        "quantity": quantity if type(quantity) is int and quantity >= 0 else None,
        "price": row["price"].money(),
        "sku": row["sku"].text(),
    }
    return {name: value for name, value in item.items() if value is not None}


def has_left(fulfillment: Node) -> bool:
    """A fulfillment may be pending with its tracking number, and null until somebody adds one: A1.9."""
    status = fulfillment["status"].text()
    return status == "success" or (status in (None, "pending", "open") and tracking_number(fulfillment) is not None)


def tracking_number(fulfillment: Node) -> str | None:
    """The first parcel's."""
    return first(Node.id, fulfillment["tracking_number"], *fulfillment["tracking_numbers"].rows())


def shipment_fields(fulfillment: Node) -> dict[str, Any]:
    """A tracking number that was added or corrected later is news: it is the revision."""
    url = first(Node.text, fulfillment["tracking_url"], *fulfillment["tracking_urls"].rows())
    number = tracking_number(fulfillment)
    return {
        "revision": number,
        "shipment": {
            "id": fulfillment["id"].need_id(REMEDY),
            "carrier": fulfillment["tracking_company"].text(),
            "tracking_number": number,
            "tracking_url": url,
        },
        "links": {"tracking": url},
    }


def destination_facts(fulfillment: Node) -> OrderFacts:
    """What a fulfillment tells about its order: the address only."""
    to = fulfillment["destination"]
    return OrderFacts(
        order_id=fulfillment["order_id"].need_id(REMEDY),
        partial=True,
        phone=to["phone"].text(),
        country=to["country_code"].country(),
        name=to["first_name"].text(),
    )


def refunded(refund: Node) -> dict[str, Any] | None:
    """Amount and currency of the money that went back; None when none did (a restock), or not yet for certain."""
    moved = [
        (amount, row["currency"].currency())
        for row in refund["transactions"].rows()
        if row["kind"].text() == "refund" and row["status"].text() in ("success", "pending")
        if (amount := row["amount"].money()) is not None
    ]
    if not moved:
        return None
    return {"amount": sum((amount for amount, _ in moved), start=0 * moved[0][0]), "currency": moved[0][1]}


def triggered_at(headers: Headers) -> datetime | None:
    """The platform's own time of a delivery, the same on its retries."""
    return Node(headers.get("x-shopify-triggered-at")).moment()


def first_moment(*places: Node) -> datetime | None:
    """The first of these that is a time."""
    return first(Node.moment, *places)


def ids(rows: Node) -> Sequence[str]:
    """The ids in a list."""
    return [found for row in rows.rows() if (found := row.id())]
