"""What is where in WooCommerce's order, as REST v3 shows it (reference platforms-and-sms A2.3, A2.4).

The payload is the state at delivery time. Whatever a plugin adds is in `meta_data[]`, whose values may be anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from html import unescape
from typing import Any, Final

from pydantic import Field

from notifier.channels.reading import load_json
from notifier.sources.consent import consent_at
from notifier.sources.contract import OrderFacts, SourceOptions
from notifier.sources.reading import Node, first

REMEDY: Final = "send the order as REST v3 shows it: webhook API version WP REST API Integration v3"

# WPML, Polylang, TranslatePress.
LANGUAGE_KEYS: Final = ("wpml_language", "_pll_language", "pll_language", "trp_language", "_trp_language")

# Lists of parcels: Shipment Tracking and AST, AST Pro, AfterShip; then what holds one bare number.
PARCEL_LISTS: Final = ("_wc_shipment_tracking_items", "_ast_shipment_tracking_items", "_aftership_tracking_items")
PARCEL_NUMBERS: Final = ("_aftership_tracking_number", "_tracking_number")
ITEM_PARCELS: Final = "_vi_wot_order_item_tracking_data"  # on a line item, a JSON text

# Where the state has a time of its own; of the others we know when the order was last touched.
STATUS_TIMES: Final = {"processing": "date_paid_gmt", "completed": "date_completed_gmt"}


class WooCommerceOptions(SourceOptions):
    """Options of kind woocommerce."""

    consent_key: str | None = Field(None, description="Key of the opt-in box in the order's `meta_data`.")
    cod_methods: tuple[str, ...] = Field(("cod",), description="Payment methods that are paid at the door.")
    statuses: dict[str, str] = Field(
        default_factory=dict, description='Status slug to event, over the table here; "" tells nothing.'
    )
    language_keys: tuple[str, ...] = Field(LANGUAGE_KEYS, description="Keys of the order's language in `meta_data`.")


@dataclass(frozen=True, slots=True)
class Parcel:
    """A shipment as a tracking plugin stores it. id: the plugin's own, or the number where it has none."""

    id: str
    carrier: str | None
    number: str | None
    url: str | None


def meta(order: Node) -> dict[str, Node]:
    """`meta_data` by key. Of a key that is there twice the last one counts, as in WooCommerce."""
    return {key: row["value"] for row in order["meta_data"].rows() if (key := row["key"].text())}


def order_facts(order: Node, options: WooCommerceOptions) -> OrderFacts:
    """What the order book keeps of an order. Raises Malformed without an id."""
    billing, shipping, more = order["billing"], order["shipping"], meta(order)
    pay = order["payment_url"].text() if order["needs_payment"].value is True else None
    return OrderFacts(
        order_id=order["id"].need_id(REMEDY),
        order_number=first(Node.text, order["number"], order["id"]),
        phone=first(Node.text, billing["phone"], shipping["phone"]),
        country=first(Node.country, billing["country"], shipping["country"]),
        locale=first(Node.text, *(more[key] for key in options.language_keys if key in more)),
        name=first(Node.text, billing["first_name"], shipping["first_name"]),
        currency=order["currency"].currency(),
        total=order["total"].money(),
        status=slug_of(order),
        payment_method=order["payment_method"].text(),
        refund_ids=tuple(found for row in order["refunds"].rows() if (found := row["id"].id())),
        links={"payment": pay} if pay else {},
        consent=_consent(order, more, options),
        changed_at=order["date_modified_gmt"].moment(),
    )


def _consent(order: Node, more: dict[str, Node], options: WooCommerceOptions) -> dict[str, Any] | None:
    box = more.get(options.consent_key or "")
    return consent_at(box.value, order["date_created_gmt"].moment(), "woocommerce") if box else None


def slug_of(order: Node) -> str:
    """The status without WordPress's prefix."""
    return (order["status"].text() or "").removeprefix("wc-")


def status_time(order: Node, slug: str) -> datetime | None:
    """When the order came to this status, as well as the body tells."""
    own = order[STATUS_TIMES[slug]].moment() if slug in STATUS_TIMES else None
    return own or order["date_modified_gmt"].moment()


def order_fields(order: Node, facts: OrderFacts) -> dict[str, Any]:
    """What all events of an order share."""
    customer = {"phone": facts.phone, "country": facts.country, "locale": facts.locale, "name": facts.name}
    return {
        "order_number": facts.order_number,
        "customer": {**customer, "consent": facts.consent},
        "order": {
            "total": facts.total,
            "currency": facts.currency,
            "payment_method": first(Node.text, order["payment_method_title"], order["payment_method"]),
            "items": [_item(row) for row in order["line_items"].rows()],
        },
        "links": dict(facts.links),
    }


def _item(row: Node) -> dict[str, Any]:
    """Names come as HTML: `Ship Your Idea &ndash; Black`."""
    quantity, name = row["quantity"].value, row["name"].text()
    item = {
        "name": unescape(name) if name else None,
        "quantity": quantity if type(quantity) is int and quantity >= 0 else None,
        "price": row["price"].money(),
        "sku": row["sku"].text(),
    }
    return {name: value for name, value in item.items() if value is not None}


def refunded(order: Node) -> Decimal | None:
    """The sum of all refunds, whose totals are negative; None when there is none."""
    amounts = [abs(amount) for row in order["refunds"].rows() if (amount := row["total"].money()) is not None]
    return sum(amounts, start=Decimal(0)) if amounts else None


def parcels(order: Node) -> list[Parcel]:
    """The shipments that tracking plugins have put on the order, each once."""
    found: dict[str, Parcel] = {}
    for parcel in _all_parcels(order):
        found.setdefault(parcel.number or parcel.id, parcel)
    return list(found.values())


def _all_parcels(order: Node) -> Iterator[Parcel]:
    more = meta(order)
    for key in PARCEL_LISTS:
        yield from _listed(more.get(key))
    for item in order["line_items"].rows():
        yield from _listed(meta(item).get(ITEM_PARCELS))
    for key in PARCEL_NUMBERS:
        number = more[key].id() if key in more else None
        if number:
            yield Parcel(number, None, number, None)


def _listed(value: Node | None) -> Iterator[Parcel]:
    """The parcels of one plugin's list, which some store as JSON text."""
    if value is None:
        return
    stored = load_json(value.value.encode("utf-8", "replace")) if isinstance(value.value, str) else value.value
    for row in Node(stored, value.path).rows():
        number = row["tracking_number"].id()
        found = first(Node.id, row["tracking_id"], row["tracking_number"])
        if found:
            yield Parcel(found, _carrier(row), number, _address(row))


def _carrier(row: Node) -> str | None:
    names = ("custom_tracking_provider", "tracking_provider", "carrier_name", "slug", "carrier_slug")
    return first(Node.text, *(row[name] for name in names))


def _address(row: Node) -> str | None:
    names = ("custom_tracking_link", "tracking_link", "ast_tracking_link", "carrier_url")
    found = first(Node.text, *(row[name] for name in names))
    return found.replace("{tracking_number}", row["tracking_number"].text() or "") if found else None
