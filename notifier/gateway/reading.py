"""What a POST to /v1/events says: every event of a body, ready for the inbox, or what is wrong with it. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson
from pydantic_core import from_json

from notifier.clock import utc_now
from notifier.door import Clock, entry_of
from notifier.events import Fault, InvalidEvent, OrderEvent, parse_event
from notifier.gateway.idempotency import Claim, claim_of
from notifier.gateway.problems import Refusal
from notifier.ids import new_id
from notifier.inbox import Entry
from notifier.intake import holds_nul
from notifier.sources.cloudevents import (
    CloudEvent,
    Mode,
    as_order_event,
    looks_structured,
    mode_of,
    read_all,
    read_structured,
)

DOOR = "http"

LARGEST_EVENT = 256 * 1024  # bytes, as every webhook contract has it
LARGEST_BODY = 10 * 1024 * 1024  # bytes: a full list of events of 10 kB, ten times what one usually has
MOST_EVENTS = 1_000

Headers = Mapping[str, str]
"""Names in lower case."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that is not taken; the others of its body may be."""

    status: HTTPStatus
    reason: str
    detail: str
    faults: Sequence[Fault] = ()

    def as_refusal(self) -> Refusal:
        """The same for a body that held this event alone."""
        return Refusal(self.status, self.reason, self.detail, faults=self.faults)


_OF_ANOTHER = Rejected(HTTPStatus.FORBIDDEN, "shop", "This key does not speak for the shop that the event names.")


@dataclass(frozen=True, slots=True)
class Reading:
    """A body, read. single: it held one event, not a list. claims: ids under which the sender may repeat itself, each
    with the places in `items` that it is about."""

    items: list[Entry | Rejected] = field(repr=False)
    single: bool
    claims: Sequence[tuple[Claim, Sequence[int]]] = ()


def read_events(body: bytes, headers: Headers, shop: str, clock: Clock = utc_now) -> Reading:
    """The events of a body, for this shop. clock: for those that say no time.

    Raises Refusal: 413, 415, 422 for a body that is wrong as a whole.
    """
    media = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media.startswith("application/cloudevents") or "ce-specversion" in headers:
        return _cloud_events(body, headers, shop, clock)
    if media == "application/json":
        single = not body.lstrip(b" \t\r\n").startswith(b"[")
        items = [_entry(body, shop, clock)] if single else [_entry(one, shop, clock) for one in _list(body)]
    elif media in ("application/x-ndjson", "application/jsonl"):
        single, items = False, [_entry(line, shop, clock) for line in _counted(_lines(body))]
    else:
        raise _unsupported()
    claim = _claim(body, headers, shop)
    return Reading(items, single, [(claim, range(len(items)))] if claim else ())


def read_event(body: bytes, shop: str) -> OrderEvent:
    """The one event of a body, for this shop, which needs not be kept. Raises Refusal: 403, 422."""
    try:
        return _event(body, shop)[0]
    except InvalidEvent as error:
        raise _invalid(error.faults).as_refusal() from None
    except _OtherShop:
        raise _OF_ANOTHER.as_refusal() from None


def _unsupported() -> Refusal:
    detail = (
        "Send application/json, application/x-ndjson, application/cloudevents+json or -batch+json, or binary"
        " CloudEvents with JSON data."
    )
    return Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media-type", detail)


def _list(body: bytes) -> list[Any]:
    try:
        found = from_json(body)
    except ValueError:
        raise _unreadable("The body is not JSON in UTF-8.") from None
    if not isinstance(found, list):
        raise _unreadable("The body is not a JSON list.")
    return _counted(found)


def _lines(body: bytes) -> list[bytes]:
    return [line for line in body.splitlines() if line.strip()]


def _counted(found: list[Any]) -> list[Any]:
    if not found:
        raise _unreadable("The body holds no event.")
    if len(found) > MOST_EVENTS:
        detail = f"A body may hold at most {MOST_EVENTS} events; this one holds {len(found)}. Send them in parts."
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-many", detail)
    return found


def _unreadable(detail: str) -> Refusal:
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", detail, faults=(Fault("", detail),))


def _entry(found: Any, shop: str, clock: Clock) -> Entry | Rejected:
    """One event: its JSON text, or its value in a list."""
    if isinstance(found, bytes) and len(found) > LARGEST_EVENT:
        return _too_large()
    try:
        event, said = _event(found, shop)
        entry = _as_it_came(event, said) or entry_of(event, DOOR, clock)
    except InvalidEvent as error:
        return _invalid(error.faults)
    except _OtherShop:
        return _OF_ANOTHER
    if len(entry.body) > LARGEST_EVENT:
        return _too_large()
    if b"\\u0000" in entry.body and holds_nul(entry.body.decode()):
        return _invalid((Fault("", "a text holds a NUL character, which no database stores: remove it"),))
    return entry


class _OtherShop(Exception):
    """The event names another shop than the caller's."""


def _event(found: Any, shop: str) -> tuple[OrderEvent, Any]:
    """The event, and what it was read from. Raises InvalidEvent, _OtherShop."""
    try:
        event = _parsed(found)
    except InvalidEvent as error:
        found = _completed(found, shop, error)
        event = _parsed(found)
    if event.shop != shop:
        raise _OtherShop
    return event, found


def _as_it_came(event: OrderEvent, said: Any) -> Entry | None:
    """The entry with the sender's own JSON, which intake reads as we did; None where ours is needed.

    Writing the model again takes as long as reading it (16 us). An event without a time is given the door's, and what
    only some parsers take for JSON (NaN, numbers beyond 64 bits) is written as all of them read it.
    """
    if event.occurred_at is None:
        return None
    if isinstance(said, bytes):
        body = None if b"NaN" in said or b"Infinity" in said else said
    else:
        try:
            body = orjson.dumps(said)
        except TypeError:
            body = None
    return None if body is None else Entry(new_id(), event.key, body, DOOR)


def _parsed(found: Any) -> OrderEvent:
    if not isinstance(found, (bytes, dict)):
        raise InvalidEvent((Fault("", "an order event is a JSON object"),))
    return parse_event(found)


def _completed(found: Any, shop: str, error: InvalidEvent) -> dict[str, Any]:
    """Looked at once more, where it names no shop (the key's is meant), or is a CloudEvent in plain JSON.

    Raises `error` where neither is so.
    """
    value = _value(found)
    if looks_structured(value):
        value = as_order_event(read_structured(value))
    elif not isinstance(value, dict) or value.get("shop") is not None:
        raise error
    return value if value.get("shop") is not None else {**value, "shop": shop}


def _value(found: Any) -> Any:
    if not isinstance(found, bytes):
        return found
    try:
        return from_json(found)
    except ValueError:
        return None


def _invalid(faults: Sequence[Fault]) -> Rejected:
    return Rejected(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", "This is not an order event.", faults)


def _too_large() -> Rejected:
    detail = f"An event may have at most {LARGEST_EVENT} bytes."
    return Rejected(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", detail)


def _cloud_events(body: bytes, headers: Headers, shop: str, clock: Clock) -> Reading:
    """Each CloudEvent is known by its source and id; a copy with another content is refused."""
    mode = mode_of(headers)
    if mode is Mode.UNSUPPORTED:
        raise _unsupported()
    try:
        found = _counted(read_all(body, headers))
    except InvalidEvent as error:
        raise _invalid(error.faults).as_refusal() from None
    items: list[Entry | Rejected] = []
    claims: dict[Claim, list[int]] = {}
    for number, one in enumerate(found):
        item = _from_cloud_event(one, shop, clock)
        items.append(item)
        if isinstance(one, CloudEvent) and isinstance(item, Entry):
            claims.setdefault(_claim_of_event(one, shop), []).append(number)
    return Reading(items, mode is not Mode.BATCH, list(claims.items()))


def _from_cloud_event(one: CloudEvent | InvalidEvent, shop: str, clock: Clock) -> Entry | Rejected:
    if isinstance(one, InvalidEvent):
        return _invalid(one.faults)
    try:
        return _entry(as_order_event(one), shop, clock)
    except InvalidEvent as error:
        return _invalid(error.faults)


def _claim_of_event(one: CloudEvent, shop: str) -> Claim:
    content = orjson.dumps([one.type, one.subject, one.time, one.data], option=orjson.OPT_SORT_KEYS)
    return claim_of(shop, "cloudevents", one.identity, content)


def _claim(body: bytes, headers: Headers, shop: str) -> Claim | None:
    """The id under which the sender would repeat the whole body, if it gave one."""
    message = headers.get("webhook-id")
    if message:
        return claim_of(shop, "webhook-id", message, body)
    given = headers.get("idempotency-key", "").strip()
    bare = given[1:-1] if len(given) > 1 and given[0] == given[-1] == '"' else given
    return claim_of(shop, "idempotency-key", bare, body) if bare else None
