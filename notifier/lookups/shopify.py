"""Shopify Admin REST API 2026-10: orders, and the order of a fulfillment order.

Facts: shopify.dev, read November 2026. `read_orders` gives the last 60 days, `read_all_orders` the rest; pages are
followed by the `page_info` of the Link header; 2 requests a second, 429 with Retry-After beyond.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

from notifier.lookups.contract import Answer, Ask, Conversation, Platform
from notifier.lookups.replies import as_body, each, needed, next_cursor, rows_of, segment, told
from notifier.sources.batches import together
from notifier.sources.contract import LookUp, Parsed, SourceShop
from notifier.sources.shopify import parse

API: Final = "/admin/api/2026-10"
PAGE: Final = "50"


def headers(secrets: Mapping[str, str]) -> dict[str, str]:
    """The access token of the custom app."""
    return {"X-Shopify-Access-Token": secrets["token"]}


def order(look_up: LookUp, shop: SourceShop) -> Conversation:
    """The order of a look-up. A fulfillment order is asked for its order first."""
    order_id = look_up.order_id
    if look_up.kind == "fulfillment_order":
        answer = yield Ask(f"{API}/fulfillment_orders/{_number(order_id)}.json")
        order_id = str(needed(answer.body, "fulfillment_order").get("order_id"))
    answer = yield Ask(f"{API}/orders/{_number(order_id)}.json")
    found = needed(answer.body, "order")
    if look_up.event is None:
        return _state(found, shop)
    return told(parse(as_body(found), {"x-shopify-topic": "orders/updated"}, shop), look_up, shop.name)


def changed(since: datetime) -> tuple[Ask, ...]:
    """All orders changed since an instant, whatever became of them."""
    query = (("updated_at_min", since.isoformat()), ("status", "any"), ("limit", PAGE), ("order", "updated_at asc"))
    return (Ask(f"{API}/orders.json", query),)


def page(ask: Ask, answer: Answer, shop: SourceShop) -> tuple[Parsed, Ask | None]:
    """What a page says, and the next one. Shopify refuses any filter beside its cursor."""
    said = each(rows_of(answer.body, "orders"), partial(_state, shop=shop))
    cursor = next_cursor(answer, "page_info")
    return said, Ask(ask.path, (("page_info", cursor), ("limit", PAGE))) if cursor else None


def _state(found: Mapping[str, Any], shop: SourceShop) -> Parsed:
    """Every webhook that this state must have caused. Their business keys make those that did come copies."""
    return together([parse(as_body(body), {"x-shopify-topic": topic}, shop) for topic, body in _webhooks(found)])


def _webhooks(found: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if found.get("cancelled_at"):
        yield "orders/cancelled", found
    else:
        yield "orders/create", found
        if found.get("financial_status") == "paid":
            yield "orders/paid", found
    for one in rows_of(found, "fulfillments"):
        yield "fulfillments/create", {"order_id": found.get("id"), **one}
    for one in rows_of(found, "refunds"):
        yield "refunds/create", {"order_id": found.get("id"), **one}


def _number(order_id: str) -> str:
    """The number in a GraphQL id, `gid://shopify/FulfillmentOrder/1`, or the id itself."""
    return segment(order_id.rpartition("/")[2])


PLATFORM: Final = Platform("shopify", ("token",), headers, order, changed, page)
