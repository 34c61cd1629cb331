"""SAP S/4HANA: a sales order by OData V2, `API_SALES_ORDER_SRV`.

Facts: SAP Business Accelerator Hub, Sales Order (A2X), read November 2026 (reference platforms-and-sms A4.3). The
business event names the order and nothing else; phone, country and language are in the address of a partner of the
order. Times are `/Date(1698796800000+0000)/`, UTC; languages are SAP's two letters, statuses A (open), B (partly), C.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from notifier.lookups.contract import Answer, Ask, Conversation, Platform
from notifier.lookups.replies import each, needed, rows_of, segment
from notifier.sources.contract import Draft, LookUp, OrderFacts, Parsed, SourceShop, Unless
from notifier.sources.reading import Node, first, order_event

API: Final = "/sap/opu/odata/sap/API_SALES_ORDER_SRV"
PAGE: Final = 50
REMEDY: Final = "see docs/sources/sap.md for the fields that the service must give"

_EXPAND = (("$format", "json"), ("$expand", "to_Partner/to_Address,to_Item"))

# Whose address is asked first: ship-to, then sold-to (the codes of the service, and those that SAP GUI shows).
PARTNERS: Final = ("SH", "WE", "SP", "AG")

# (rejected, delivered) of the whole order -> event. What is not delivered at all is a new order.
CANCELLED: Final = "C"
DELIVERED: Final[Mapping[str, str]] = {
    "": "order.confirmed",
    "A": "order.confirmed",
    "B": "order.partially_shipped",
    "C": "order.shipped",
}

_DATE = re.compile(r"/Date\((-?\d{1,14})(?:[+-]\d{4})?\)/")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def headers(secrets: Mapping[str, str]) -> dict[str, str]:
    """Basic with a communication user; an API key besides, where SAP's API management asks for one."""
    pair = f"{secrets['user']}:{secrets['password']}".encode()
    key = {"APIKey": secrets["api_key"]} if secrets.get("api_key") else {}
    return {"Authorization": "Basic " + base64.b64encode(pair).decode(), "Accept": "application/json", **key}


def order(look_up: LookUp, shop: SourceShop) -> Conversation:
    """The sales order with its partners' addresses."""
    answer = yield Ask(f"{API}/A_SalesOrder('{segment(look_up.order_id)}')", _EXPAND)
    return _state(needed(answer.body, "d"), shop)


def changed(since: datetime) -> tuple[Ask, ...]:
    """All sales orders changed since an instant."""
    at = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    query = (("$filter", f"LastChangeDateTime ge datetimeoffset'{at}'"), ("$orderby", "LastChangeDateTime"))
    return (Ask(f"{API}/A_SalesOrder", (*_EXPAND, *query, ("$top", str(PAGE)), ("$skip", "0"))),)


def page(ask: Ask, answer: Answer, shop: SourceShop) -> tuple[Parsed, Ask | None]:
    """What a page says, and the next one; a page that is not full is the last."""
    found = rows_of(answer.body, "d", "results")
    following = ask.but("$skip", str(int(ask.given("$skip") or 0) + PAGE)) if len(found) >= PAGE else None
    return each(found, partial(_state, shop=shop)), following


def _state(found: Mapping[str, Any], shop: SourceShop) -> Parsed:
    body = Node(dict(found))
    delivered = body["OverallDeliveryStatus"].text() or ""
    gone = body["OverallSDDocumentRejectionSts"].text() == CANCELLED
    event = "order.cancelled" if gone else DELIVERED.get(delivered)
    status = f"{'cancelled' if gone else 'delivery'} {delivered or 'none'}"
    facts = _facts(body, status)
    if event is None:
        return Parsed(orders=(facts,), ignored="a delivery status that SAP does not document")
    items = [_item(row) for row in _results(body["to_Item"])]
    fields = {
        "shop": shop.name,
        "event": event,
        "order_id": facts.order_id,
        "order_number": facts.order_number,
        "occurred_at": facts.changed_at,
        "customer": {"phone": facts.phone, "country": facts.country, "locale": facts.locale, "name": facts.name},
        "order": {
            "total": facts.total,
            "currency": facts.currency,
            "items": items,
        },
    }
    return Parsed((Draft(order_event(fields, REMEDY), unless=Unless("status", status)),), (facts,))


def _facts(body: Node, status: str) -> OrderFacts:
    addresses = _addresses(body)
    languages = (place["CorrespondenceLanguage"].text() for place in addresses)
    return OrderFacts(
        order_id=body["SalesOrder"].need_id(REMEDY),
        order_number=first(Node.text, body["PurchaseOrderByCustomer"], body["SalesOrder"]),
        phone=first(Node.text, *(place[name] for name in ("MobileNumber", "PhoneNumber") for place in addresses)),
        country=first(Node.country, *(place["Country"] for place in addresses)),
        locale=next((word.lower() for word in languages if word and len(word) == 2), None),
        name=first(Node.text, *(place[n] for place in addresses for n in ("AddresseeFullName", "OrganizationName1"))),
        currency=body["TransactionCurrency"].currency(),
        total=body["TotalNetAmount"].money(),
        status=status,
        changed_at=_moment(body["LastChangeDateTime"]) or _moment(body["CreationDate"]),
    )


def _addresses(body: Node) -> list[Node]:
    """The partners' addresses, the recipient's before the buyer's."""
    partners = {row["PartnerFunction"].text(): row for row in _results(body["to_Partner"])}
    found = [partners[code]["to_Address"] for code in PARTNERS if code in partners]
    return [next(iter(_results(place)), place) for place in found]


def _results(found: Node) -> list[Node]:
    """The rows of an expanded navigation: OData V2 wraps them."""
    return list(found["results"].rows())


def _item(row: Node) -> dict[str, Any]:
    quantity = row["RequestedQuantity"].money()
    whole = quantity is not None and quantity == quantity.to_integral_value() and 0 <= quantity < 10**9
    return {
        "name": row["SalesOrderItemText"].text(),
        "quantity": int(quantity) if whole and quantity is not None else None,
        "sku": row["Material"].text(),
    }


def _moment(found: Node) -> datetime | None:
    date = _DATE.fullmatch(found.text() or "")
    try:
        return _EPOCH + timedelta(milliseconds=int(date[1])) if date else found.moment()
    except OverflowError:
        return None


PLATFORM: Final = Platform("sap", ("user", "password"), headers, order, changed, page, optional=("api_key",))
