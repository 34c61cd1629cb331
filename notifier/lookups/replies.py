"""Reading an answer of a platform, and telling an event that a look-up names about the order it found."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import orjson

from notifier.events import OrderEvent
from notifier.lookups.contract import Answer, LookUpFailed
from notifier.sources.batches import together
from notifier.sources.contract import Draft, LookUp, Malformed, Parsed
from notifier.sources.joining import fill

UNREADABLE: Final = "cannot be read"
"""Begins the reason of an order that a platform gave and its own parser refuses."""

_SEGMENT = re.compile(r"[A-Za-z0-9_-]{1,128}")


def needed(body: Any, *names: str) -> dict[str, Any]:
    """The object at these names of an answer. Raises LookUpFailed where the platform sent something else."""
    found = body
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        where = "/".join(names) or "the answer"
        raise LookUpFailed(f"{where} is no object: is that the address of the platform's own API?", again=False)
    return found


def rows_of(body: Any, *names: str) -> list[dict[str, Any]]:
    """The objects of the list at these names of an answer; none where there is no list."""
    found = body
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def each(found: Iterable[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], Parsed]) -> Parsed:
    """What the rows of a page say; one that cannot be read is said to be so, and holds up no other."""
    return together([_tried(one, read) for one in found])


def _tried(found: Mapping[str, Any], read: Callable[[Mapping[str, Any]], Parsed]) -> Parsed:
    try:
        return read(found)
    except Malformed as error:
        return Parsed(ignored=f"{UNREADABLE}: {error}")


def segment(order_id: str) -> str:
    """An id as a part of a path. Raises LookUpFailed for one that could lead the request elsewhere."""
    if not _SEGMENT.fullmatch(order_id):
        raise LookUpFailed("the id of the order is not one that the platform gives", again=False)
    return order_id


def as_body(found: Mapping[str, Any]) -> bytes:
    """An order as a webhook would have brought it."""
    return orjson.dumps(found)


def next_cursor(answer: Answer, name: str) -> str | None:
    """A parameter of the link to the next page. The parameter and not the link: that may name another host."""
    return next(iter(parse_qs(urlsplit(answer.links.get("next", "")).query).get(name, ())), None)


def told(parsed: Parsed, look_up: LookUp, shop: str) -> Parsed:
    """What a look-up's own event says, about the order that was found; without one, what the order itself says."""
    if look_up.event is None or not parsed.orders:
        return parsed
    facts = parsed.orders[0]
    event = OrderEvent(shop=shop, event=look_up.event, order_id=facts.order_id)
    return Parsed((Draft(fill(event, facts)),), parsed.orders)
