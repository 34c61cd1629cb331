"""Flat fields with texts in them, as forms and low-code tools send them, made into the JSON shape of an order event.

Zapier writes nested keys as `order__total`, n8n as `order.total` or `items[0][name]`; every value is a text, and what
is missing is an empty one (reference A4.5). pydantic reads numbers, amounts and truth values from text; this reads the
rest: keys, empty texts, times without a zone, JSON inside a text, and the words that people write for an event.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from notifier.events import EVENT_KINDS
from notifier.sources.contract import Malformed

# A key nested deeper, or a body with more fields, is not an order event; both bound what a stranger can make us build.
DEEPEST: Final = 6
MOST_FIELDS: Final = 2_000

Paths = tuple[tuple[str, ...], ...]

_LOST_PLUS = re.compile(r" [1-9]")
_SEPARATORS = re.compile(r"__|\.|\[")
_JSON: Final[Paths] = (("customer",), ("order",), ("order", "items"), ("shipment",), ("vars",))
_TIMES: Final[Paths] = (("occurred_at",), ("shipment", "eta"), ("customer", "consent", "at"))
_LOWER: Final[Paths] = (("event",),)
_UPPER: Final[Paths] = (("order", "currency"), ("refund", "currency"), ("customer", "country"))

# What tools name otherwise -> where it belongs.
ALIASES: Final[Mapping[tuple[str, ...], tuple[str, ...]]] = {
    ("order", "id"): ("order_id",),
    ("order", "number"): ("order_number",),
    ("order", "currency_code"): ("order", "currency"),
    ("customer", "first_name"): ("customer", "name"),
    ("customer", "language"): ("customer", "locale"),
    ("customer", "phone_number"): ("customer", "phone"),
    ("phone",): ("customer", "phone"),
    ("event_type",): ("event",),
    ("shipment", "number"): ("shipment", "tracking_number"),
}

# "shipped", "Out for delivery": the last word of a name, where only one order or shipment event has it. `failed` and
# `received` stay as they are: of a payment or of a parcel, nobody can tell.
WORDS: Final[Mapping[str, str]] = {
    name.partition(".")[2]: name for name in EVENT_KINDS if name.startswith(("order.", "shipment."))
}


def read_form(body: bytes) -> dict[str, Any]:
    """The fields of a form; of a field that came twice, the last. Raises Malformed."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        remedy = "send fewer fields, percent-encoded"
        raise Malformed("", f"a form in UTF-8 with at most {MOST_FIELDS} fields", "something else", remedy) from None
    return {name: _with_plus(name, value) for name, value in pairs}


def _with_plus(name: str, value: str) -> str:
    """A phone that begins with a blank began with a + that its sender did not encode; curl -d does not."""
    return "+" + value[1:] if "phone" in name and _LOST_PLUS.match(value) else value


def shaped(said: Mapping[str, Any]) -> dict[str, Any]:
    """Nested fields with their usual names, without empty texts; values that are none of ours stay as they came."""
    nested = _nested(said, 0)
    for path in _JSON:
        _change(nested, path, _loaded)
    for old, new in ALIASES.items():
        _move(nested, old, new)
    for path in _TIMES:
        _change(nested, path, _zoned)
    for path in _LOWER:
        _change(nested, path, event_word)
    for path in _UPPER:
        _change(nested, path, lambda value: value.strip().upper())
    return nested


def event_word(word: str) -> str:
    """Our name of an event for what somebody wrote: `Out for delivery` is shipment.out_for_delivery."""
    plain = re.sub(r"[\s/-]+", "_", word.strip().lower())
    return plain if plain in EVENT_KINDS else WORDS.get(plain, word.strip())


def _nested(said: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """Every key put where it says; one that would go through a value that is there already stays as it is."""
    found: dict[str, Any] = {}
    for key, value in said.items():
        value = _value(value, depth)
        parts = [key] if depth else _parts(key)  # only tools flatten, and they flatten all of it
        if value is None or (len(parts) > 1 and _put(found, parts, value)):
            continue
        old = found.get(key)
        found[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return {key: _listed(value, depth) for key, value in found.items()}


def _parts(key: str) -> list[str]:
    parts = [part.rstrip("]") for part in _SEPARATORS.split(key)]
    return parts if len(parts) <= DEEPEST and all(parts) else [key]


def _put(found: dict[str, Any], parts: list[str], value: Any) -> bool:
    node = found
    for part in parts[:-1]:
        inner = node.setdefault(part, {})
        if not isinstance(inner, dict):
            return False
        node = inner
    node.setdefault(parts[-1], value)
    return True


def _value(value: Any, depth: int) -> Any:
    """Without what says nothing."""
    if isinstance(value, dict) and depth < DEEPEST:
        return _nested(value, depth + 1)
    return (value.strip() or None) if isinstance(value, str) else value


def _listed(value: Any, depth: int) -> Any:
    """`{"0": a, "1": b}`, which is what numbered keys came to, as a list."""
    if not isinstance(value, dict) or depth >= DEEPEST:
        return value
    inner = {key: _listed(one, depth + 1) for key, one in value.items()}
    if inner and all(key.isascii() and key.isdigit() for key in inner):
        return [inner[key] for key in sorted(inner, key=lambda key: (len(key), key))]
    return inner


def _loaded(text: str) -> Any:
    """JSON inside a text, for some tools cannot send a list otherwise; text that is none stays what it is."""
    try:
        return orjson.loads(text)
    except ValueError:
        return text


def _at(found: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any] | None:
    """The object that holds the last name of a path; None where there is none."""
    node: Any = found
    for part in path[:-1]:
        node = node.get(part) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else None


def _move(found: dict[str, Any], old: tuple[str, ...], new: tuple[str, ...]) -> None:
    """Moves a value to where it belongs, unless there is one already. new: one name, or two."""
    holder = _at(found, old)
    if holder is None or old[-1] not in holder:
        return
    target = found if len(new) == 1 else found.setdefault(new[0], {})
    if isinstance(target, dict) and new[-1] not in target:
        target[new[-1]] = holder.pop(old[-1])


def _change(found: dict[str, Any], path: tuple[str, ...], change: Callable[[str], Any]) -> None:
    holder = _at(found, path)
    if holder is not None and isinstance(holder.get(path[-1]), str):
        holder[path[-1]] = change(holder[path[-1]])


def _zoned(text: str) -> str:
    """A time without a zone is UTC; what is no time is left for the event's own check to refuse."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return at.replace(tzinfo=UTC).isoformat() if at.tzinfo is None else text
