"""Magento 2 and Adobe Commerce REST V1: orders, shipments with their tracks, invoices and credit memos.

Facts: reference platforms-and-sms A3.3. An integration's token is a bearer token (since 2.4.4 only after `Allow OAuth
Access Tokens to be used as standalone Bearer tokens`); the order holds no tracks, its shipments do.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from notifier.lookups.contract import Answer, Ask, Conversation, LookUpFailed, Platform
from notifier.lookups.replies import each, needed, rows_of, told
from notifier.sources.contract import Draft, LookUp, Parsed, SourceShop
from notifier.sources.joining import fill
from notifier.sources.magento import READERS
from notifier.sources.reading import Node

API: Final = "/rest/V1"
PAGE: Final = 50

# What changed in a shop, and in which order it is told: an order before what belongs to it.
RESOURCES: Final[Mapping[str, str]] = {
    "orders": "order",
    "invoices": "invoice",
    "shipments": "shipment",
    "creditmemos": "creditmemo",
}
PARCELS: Final = frozenset({"shipment", "track"})

_PAGE = "searchCriteria[currentPage]"
_FIRST_PAGE = (
    ("searchCriteria[sortOrders][0][field]", "updated_at"),
    ("searchCriteria[sortOrders][0][direction]", "ASC"),
    ("searchCriteria[pageSize]", str(PAGE)),
    (_PAGE, "1"),
)


def headers(secrets: Mapping[str, str]) -> dict[str, str]:
    """The access token of an integration."""
    return {"Authorization": f"Bearer {secrets['token']}"}


def order(look_up: LookUp, shop: SourceShop) -> Conversation:
    """The order. Where a shipment asked for it, its shipments with their tracks too, told with the order's phone."""
    if look_up.order_id.isdigit() and not look_up.order_id.startswith("0"):
        answer = yield Ask(f"{API}/orders/{look_up.order_id}")
        found = needed(answer.body)
    else:  # an increment id: all that some observers send
        answer = yield Ask(f"{API}/orders", _where("increment_id", "eq", look_up.order_id))
        found = next(iter(rows_of(answer.body, "items")), {})
        if not found:
            raise LookUpFailed("no order has that number", again=False)
    state = READERS["order"](Node(found), shop)
    if look_up.hint == "order" or look_up.event is not None:
        return told(state, look_up, shop.name)
    if look_up.hint not in PARCELS:
        return Parsed(orders=state.orders)
    answer = yield Ask(f"{API}/shipments", _where("order_id", "eq", state.orders[0].order_id))
    return Parsed(_sent(answer, state, shop), state.orders)


def changed(since: datetime) -> tuple[Ask, ...]:
    """All that changed since an instant: orders, then what belongs to orders."""
    at = since.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return tuple(Ask(f"{API}/{path}", (*_where("updated_at", "gteq", at), *_FIRST_PAGE)) for path in RESOURCES)


def page(ask: Ask, answer: Answer, shop: SourceShop) -> tuple[Parsed, Ask | None]:
    """What a page says, and the next one. Beyond the last page Magento gives it again: the count says when to stop."""
    read = READERS[RESOURCES[ask.path.rpartition("/")[2]]]
    said = each(rows_of(answer.body, "items"), lambda found: read(Node(found), shop))
    number = int(ask.given(_PAGE) or 1)
    return said, ask.but(_PAGE, str(number + 1)) if number * PAGE < _count(answer.body) else None


def _sent(answer: Answer, state: Parsed, shop: SourceShop) -> tuple[Draft, ...]:
    each = [READERS["shipment"](Node(found), shop) for found in rows_of(answer.body, "items")]
    return tuple(Draft(fill(one.event, state.orders[0])) for parsed in each for one in parsed.events)


def _where(field: str, condition: str, value: str) -> tuple[tuple[str, str], ...]:
    at = "searchCriteria[filter_groups][0][filters][0]"
    return ((f"{at}[field]", field), (f"{at}[value]", value), (f"{at}[condition_type]", condition))


def _count(body: Any) -> int:
    count = body.get("total_count") if isinstance(body, dict) else None
    return count if isinstance(count, int) else 0


PLATFORM: Final = Platform("magento", ("token",), headers, order, changed, page)
