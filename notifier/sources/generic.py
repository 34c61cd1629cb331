"""The generic door: CloudEvents, Standard Webhooks, JSON and forms from anything that can send an HTTP request.

Reference platforms-and-sms A4: ERPs (SAP, Oracle), low-code tools (Zapier, Make, n8n), a shop's own backend. What none
of these shapes fits, a mapping of the operator reads (mapping.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from pydantic import Field, InstanceOf

from notifier.channels.reading import load_json
from notifier.events import InvalidEvent, OrderEvent, parse_event
from notifier.sources.batches import together
from notifier.sources.cloudevents import (
    CloudEvent,
    Mode,
    as_order_event,
    looks_structured,
    mode_of,
    read_all,
    read_structured,
)
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
    SourceOptions,
    SourceShop,
    kind_of,
)
from notifier.sources.flat import event_word, read_form, shaped
from notifier.sources.mapping import BodyMapping
from notifier.sources.shared_key import verify

REMEDY: Final = "send the fields that docs/sources/generic.md shows, or write a mapping"
MOST_EVENTS: Final = 1_000

# Business events of SAP S/4HANA name a document and nothing else (A4.3): its type -> the field of its number.
SAP_ORDER: Final = re.compile(r"sap\.s4\.beh\.salesorder\.v\d+\.SalesOrder\.(Created|Changed)\.v\d+")
SAP_FIELD: Final = "SalesOrder"

# A rate that never makes SAP Event Mesh or Azure Event Grid wait; ours is the limit of the door itself.
ALLOWED_RATE: Final = "*"
_ORIGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:*-]{0,252}")

# Events at which the sender surely says all that it knows of the order.
FIRST_WORD: Final = frozenset({"order.created", "order.confirmed", "order.cod_confirmation"})


class GenericOptions(SourceOptions):
    """Options of kind generic."""

    mapping: str | None = Field(None, description="A file of config/mappings, without .yaml, that reads the bodies.")
    loaded: InstanceOf[BodyMapping] | None = Field(None, repr=False, exclude=True)


def greet(knock: Knock) -> Ping | None:
    """The handshake of the CloudEvents webhook binding: OPTIONS that asks whether an origin may post (A4.2)."""
    origin = knock.headers.get("webhook-request-origin", "")
    if knock.method != "OPTIONS" or not _ORIGIN.fullmatch(origin):
        return None
    headers = {"webhook-allowed-origin": origin, "webhook-allowed-rate": ALLOWED_RATE, "allow": "POST, OPTIONS"}
    return Ping(200, headers=headers)


def parse(body: bytes, headers: Headers, shop: SourceShop) -> Parsed:
    """What one request says, in whichever of the shapes it is. Raises Malformed."""
    options = cast(GenericOptions, shop.options)
    if mode_of(headers) is not Mode.NONE and options.mapping is None:
        return together([_cloud_event(one, shop) for one in _cloud_events(body, headers)])
    value = _value(body, headers)
    if options.mapping is not None:
        return _mapped(value, shop, options)
    items = value if isinstance(value, list) else [value]
    if not 0 < len(items) <= MOST_EVENTS:
        raise Malformed("", f"1 to {MOST_EVENTS} events", "none" if not items else "more", "send them in parts")
    return together([_item(item, headers, shop, len(items) == 1) for item in items])


def _value(body: bytes, headers: Headers) -> Any:
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media == "application/x-www-form-urlencoded":
        return read_form(body)
    value = load_json(body)
    if not isinstance(value, (dict, list)):
        got = kind_of(value) if value is not None else "no JSON" if body else "an empty body"
        raise Malformed("", "a JSON object or list, or a form", got, REMEDY)
    return value


def _item(item: Any, headers: Headers, shop: SourceShop, alone: bool) -> Parsed:
    if not isinstance(item, dict):
        raise Malformed("", "an object for each event", kind_of(item), REMEDY)
    if looks_structured(item):
        try:
            return _cloud_event(read_structured(item), shop)
        except InvalidEvent as error:
            raise _malformed(error) from None
    said = _enveloped(item)
    own_id = headers.get("webhook-id") or headers.get("svix-id")
    if own_id and alone:  # the same for every try of one message
        said = {"id": own_id[:128], **said}
    return _told(said, shop)


def _enveloped(item: Mapping[str, Any]) -> dict[str, Any]:
    """The body that Standard Webhooks recommend, `{type, timestamp, data}`, opened; any other as it is."""
    data = item.get("data")
    if not isinstance(data, dict) or "type" not in item:
        return dict(item)
    outer = {"event": event_word(str(item["type"])), "occurred_at": item.get("timestamp")}
    return {**outer, **data}


def _cloud_events(body: bytes, headers: Headers) -> list[CloudEvent]:
    try:
        found = read_all(body, headers)
    except InvalidEvent as error:
        raise _malformed(error) from None
    for one in found:
        if isinstance(one, InvalidEvent):
            raise _malformed(one)
    return [one for one in found if isinstance(one, CloudEvent)]


def _cloud_event(event: CloudEvent, shop: SourceShop) -> Parsed:
    if event.type.startswith("sap."):
        return _sap(event)
    try:
        return _told(as_order_event(event), shop)
    except InvalidEvent as error:
        raise _malformed(error) from None


def _sap(event: CloudEvent) -> Parsed:
    """A thin event: the number of a sales order. What became of it, the look-up says."""
    if not SAP_ORDER.fullmatch(event.type):
        return Parsed(ignored="of SAP's events only created and changed sales orders are told")
    number = event.data.get(SAP_FIELD) if isinstance(event.data, dict) else None
    if not isinstance(number, str) or not 0 < len(number) <= 64:
        raise Malformed(f"/data/{SAP_FIELD}", "the number of a sales order", kind_of(number), REMEDY)
    return Parsed(needs_order=(LookUp(number, event.type),))


def _mapped(value: Any, shop: SourceShop, options: GenericOptions) -> Parsed:
    if options.loaded is None:
        raise Malformed("", f"the mapping {options.mapping}", "none of that name", "see config/mappings")
    found = options.loaded.items(value)
    told = [_told(fields, shop) for fields in found if fields is not None]
    return together(told) if told else Parsed(ignored=f"the mapping {options.mapping} ignores it")


def _told(said: Mapping[str, Any], shop: SourceShop) -> Parsed:
    """The order event of these fields. The shop is always the one whose door it is, whatever the body says."""
    try:
        event = parse_event({**shaped(said), "shop": shop.name})
    except InvalidEvent as error:
        raise _malformed(error) from None
    joins = event.customer.phone is None
    facts = () if joins and event.event not in FIRST_WORD else (_facts(event),)
    return Parsed((Draft(event, joins=joins),), facts)


def _facts(event: OrderEvent) -> OrderFacts:
    customer, order = event.customer, event.order
    links = event.links.model_dump(exclude_none=True)
    return OrderFacts(
        order_id=event.order_id,
        partial=event.event not in FIRST_WORD,
        order_number=event.order_number,
        phone=customer.phone,
        country=customer.country,
        locale=customer.locale,
        name=customer.name,
        currency=order.currency,
        total=order.total,
        payment_method=order.payment_method,
        links={name: link for name, link in links.items() if isinstance(link, str)},
        consent=customer.consent.model_dump(exclude_none=True) if customer.consent else None,
        changed_at=event.occurred_at,
    )


def _malformed(error: InvalidEvent) -> Malformed:
    fault = error.faults[0]
    return Malformed(fault.pointer, "an order event", fault.problem, REMEDY)


SOURCE: Final = Source(
    "generic",
    verify,
    parse,
    options=GenericOptions,
    keeps=("content-type", "ce-", "webhook-id", "svix-id"),
    methods=("POST", "OPTIONS"),
    greet=greet,
)
