"""Sources: where a parameter's value comes from, as dotted paths into the order event. Derived from notifier.events."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel

from notifier.catalog.formats import Takes
from notifier.catalog.money import Money, decimal
from notifier.events import OrderEvent

SHOP_NAME = "shop.name"
"""The one source that is no path into the event: the shop's name from the configuration."""

_FREE = re.compile(r"vars(?:\.[^.\s]+)+")
_CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a render may read, and nothing else.

    event: the order event as parsed JSON, in the shape of OrderEvent; amounts as text, number or Decimal, times as
        ISO text or aware datetime.
    timezone: the recipient's IANA zone; only templates with dates look at it.
    """

    event: Mapping[str, Any] = field(repr=False)
    shop_name: str
    timezone: str


Getter = Callable[[Facts], object]


def _kind(annotation: Any) -> Any:
    """`Annotated[str, …] | None` is str: what a field holds when it holds something."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kind(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return _kind(next(part for part in get_args(annotation) if part is not type(None)))
    return str if origin is Literal else annotation


_TAKES: Mapping[Any, Takes] = {str: "text", Decimal: "amount", AwareDatetime: "time", datetime: "time"}


def _paths(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Takes]]:
    for name, info in model.model_fields.items():
        kind = _kind(info.annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _paths(kind, f"{prefix}{name}.")
        elif kind in _TAKES:
            yield f"{prefix}{name}", _TAKES[kind]


SOURCES: Mapping[str, Takes] = {**dict(_paths(OrderEvent)), SHOP_NAME: "text"}
"""Every source and what it holds. `vars.…` is free besides: a shop may put anything there."""

NEVER_EMPTY = frozenset(
    {SHOP_NAME} | {name for name, info in OrderEvent.model_fields.items() if info.is_required() and name in SOURCES}
)
"""Sources that every event has; a parameter with one of them needs no default."""


def sources_table() -> str:
    """The table of docs/templates.md, in Markdown: every source, what it holds, and whether it may be empty."""
    rows = [("source", "holds", "may be empty"), ("---", "---", "---")]
    rows += [(f"`{name}`", holds, "no" if name in NEVER_EMPTY else "yes") for name, holds in SOURCES.items()]
    rows.append(("`vars.…`", "anything", "yes"))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def is_free(source: str) -> bool:
    """Whether a source is one of the shop's own variables, which may hold anything."""
    return _FREE.fullmatch(source) is not None


def reader(source: str) -> Getter:
    """Reads one source; None where the event has nothing there."""
    if source == SHOP_NAME:
        return lambda facts: facts.shop_name
    path = tuple(source.split("."))
    return lambda facts: _at(facts.event, path)


def money_reader(source: str) -> Getter:
    """Reads an amount with the currency beside it, or else the order's. None where either is missing.

    An amount without currency is not shown: 100 what? The parameter's default is better than a wrong guess.
    """
    path = tuple(source.split("."))
    currencies = ((*path[:-1], "currency"), ("order", "currency"))

    def read(facts: Facts) -> object:
        amount = _at(facts.event, path)
        if amount is None or amount == "":
            return None
        for place in currencies:
            currency = _at(facts.event, place)
            if isinstance(currency, str) and _CURRENCY.fullmatch(currency):
                return Money(decimal(amount), currency)
        return None

    return read


def _at(event: Mapping[str, Any], path: tuple[str, ...]) -> object:
    node: Any = event
    for key in path:
        # The plain type first: an abstract check on every step would cost more than the step.
        if type(node) is not dict and not isinstance(node, Mapping):
            return None
        node = node.get(key)
    return node
