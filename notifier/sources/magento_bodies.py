"""What the bodies of Magento 2 and Adobe Commerce say about an order, wherever each of its faces puts it.

Reference platforms-and-sms A3. REST nests the delivery's address in `extension_attributes`; observers list `addresses`;
the body of docs/sources/magento.md names them as the Mageplaza module does.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from notifier.events import EVENT_KINDS
from notifier.sources.contract import OrderFacts, SourceOptions
from notifier.sources.reading import Node, first

REMEDY: Final = "send the fields of the body in docs/sources/magento.md"
IGNORE: Final = "ignore"


def _event_name(value: str) -> str:
    if value != IGNORE and value not in EVENT_KINDS:
        raise ValueError(f"no event is called {value}; write one of {', '.join(EVENT_KINDS)}, or {IGNORE}")
    return value


class MagentoOptions(SourceOptions):
    """Options of the kinds magento and adobe_io."""

    locales: dict[str, str] = Field(default_factory=dict, description="Language of each store: store_id = locale.")
    statuses: dict[str, Annotated[str, AfterValidator(_event_name)]] = Field(
        default_factory=dict, description="Event of an order status (your own codes too), or ignore."
    )


def facts_of(order: Node, options: MagentoOptions) -> OrderFacts:
    """What the order book keeps. Without `entity_id`, which some events leave out, the number is the id."""
    number = order["increment_id"].text()
    order_id = first(Node.id, order["entity_id"], order["id"], order["increment_id"])
    customer = customer_of(order, options)
    return OrderFacts(
        order_id=order_id or order["entity_id"].need_id(REMEDY),
        order_number=number,
        phone=customer["phone"],
        country=customer["country"],
        locale=customer["locale"],
        name=customer["name"],
        currency=order["order_currency_code"].currency(),
        total=order["grand_total"].money(),
        status=first(Node.text, order["status"], order["state"]),
        payment_method=first(Node.text, order.at("payment", "method"), order["payment_method"]),
        changed_at=first(Node.moment, order["updated_at"], order["created_at"]),
    )


def customer_of(found: Node, options: MagentoOptions) -> dict[str, Any]:
    """Phone, country and name; where they are in several places the address of the delivery comes first."""
    places = list(_addresses(found))
    return {
        "phone": first(Node.text, *(place["telephone"] for place in places)),
        "country": first(Node.country, *(place["country_id"] for place in places)),
        "locale": options.locales.get(found["store_id"].text() or ""),
        "name": first(Node.text, found["customer_firstname"], *(place["firstname"] for place in places)),
    }


def _addresses(found: Node) -> list[Node]:
    """The addresses that there are, the delivery's before the bill's."""
    assigned = next(found.at("extension_attributes", "shipping_assignments").rows(), Node(None))
    listed = sorted(found["addresses"].rows(), key=lambda row: row["address_type"].text() != "shipping")
    named = (found[name] for name in ("shippingAddress", "shipping_address", "billing_address", "billingAddress"))
    return [assigned.at("shipping", "address"), *listed, *named]


def item_of(row: Node) -> dict[str, Any]:
    """One line of an order; its quantity comes as 1, "1" or "1.0000"."""
    quantity = row["qty_ordered"].money()
    return {
        "name": row["name"].text(),
        "quantity": int(quantity) if quantity is not None and 0 <= quantity < Decimal(10) ** 9 else None,
        "price": row["price"].money(),
        "sku": row["sku"].text(),
    }
