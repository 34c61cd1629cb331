"""A mapping: how an operator says, without code, where the fields of an order event are in somebody else's JSON.

Expressions are JMESPath (jmespath.org), which can look and choose but not loop or call out. Loading the files of
config/mappings is notifier/mappings.py's; here are plain values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult

from notifier.events import EVENT_KINDS
from notifier.sources.contract import Malformed, kind_of

IGNORE: Final = "ignore"
"""Of `event`: an item that customers are told nothing about."""

# What a mapping may fill; `vars.…` is free besides, as in templates.
FIELDS: Final = (
    *("event", "id", "order_id", "order_number", "occurred_at", "revision"),
    *("customer.phone", "customer.country", "customer.locale", "customer.name"),
    *("customer.consent.granted", "customer.consent.channel", "customer.consent.purpose", "customer.consent.at"),
    *("order.total", "order.currency", "order.items", "order.payment_method"),
    *("shipment.id", "shipment.carrier", "shipment.tracking_number", "shipment.tracking_url", "shipment.eta"),
    *("refund.amount", "refund.currency"),
    *("links.order_status", "links.tracking", "links.payment", "links.invoice", "links.review"),
)
NEEDED: Final = ("event", "order_id")

_FREE = re.compile(r"vars\.[a-z][a-z0-9_]*")
_TOP: Final = ("each", "where", "fields")
_RULE: Final = ("from", "value", "values", "default")


class Lint(NamedTuple):
    """Something wrong at a place of a mapping. pointer: keys and list positions from the top of the file."""

    pointer: tuple[str | int, ...]
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Rule:
    """Where one field comes from. values: their word -> ours; a word that is not there gives `default`."""

    path: tuple[str, ...]
    expression: ParsedResult | None
    default: Any = None
    values: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class BodyMapping:
    """A mapping, ready to read bodies. each: the list, where a body holds several items; where: which of them count."""

    name: str
    rules: tuple[Rule, ...] = field(repr=False)
    each: ParsedResult | None = field(default=None, repr=False)
    where: ParsedResult | None = field(default=None, repr=False)

    def items(self, body: Any) -> list[dict[str, Any] | None]:
        """The fields of each order event in a body; None for an item that is ignored. Raises Malformed."""
        found = self._search(self.each, body, "each") if self.each else [body]
        if not isinstance(found, list):
            raise Malformed("", f"a list where mapping {self.name} has `each`", kind_of(found), _remedy(self.name))
        return [self._item(one) for one in found]

    def _item(self, item: Any) -> dict[str, Any] | None:
        if self.where and not self._search(self.where, item, "where"):
            return None
        fields: dict[str, Any] = {}
        for rule in self.rules:
            value = self._value(rule, item)
            if rule.path == ("event",) and value in (None, IGNORE):
                return None
            if value is not None:
                _put(fields, rule.path, value)
        return fields

    def _value(self, rule: Rule, item: Any) -> Any:
        found = self._search(rule.expression, item, ".".join(rule.path)) if rule.expression else None
        if rule.values is not None:
            found = rule.values.get(_word(found))
        return rule.default if found is None else found

    def _search(self, expression: ParsedResult, value: Any, place: str) -> Any:
        try:
            return expression.search(value)
        except (JMESPathError, TypeError, ValueError, RecursionError):
            expected = f"what `{place}` of mapping {self.name} can read"
            raise Malformed("", expected, kind_of(value), _remedy(self.name)) from None


def compile_mapping(name: str, value: Any) -> tuple[BodyMapping | None, list[Lint]]:
    """A mapping from the values of its file, and everything that is wrong with it; None where anything is."""
    if not isinstance(value, dict) or not isinstance(value.get("fields"), dict):
        return None, [Lint(("fields",), "there are no fields", "write `fields:` with `event` and `order_id` at least")]
    lints = [*_unknown((), value, _TOP), *_missing(value["fields"])]
    each, where = (_expression((key,), value.get(key), lints) for key in ("each", "where"))
    rules = [_rule(path, said, lints) for path, said in value["fields"].items()]
    if lints:
        return None, lints
    # The event first: an item that is ignored need not be readable otherwise.
    ordered = sorted((rule for rule in rules if rule), key=lambda rule: rule.path != ("event",))
    return BodyMapping(name, tuple(ordered), each, where), []


def _rule(path: str, said: Any, lints: list[Lint]) -> Rule | None:
    at = ("fields", path)
    if path not in FIELDS and not _FREE.fullmatch(path):
        lints.append(Lint(at, f"an order event has no field {path}", _hint(path, FIELDS)))
        return None
    if not isinstance(said, dict):
        return Rule(tuple(path.split(".")), _expression(at, said, lints))
    lints += _unknown(at, said, _RULE)
    if ("from" in said) == ("value" in said):
        lints.append(Lint(at, "has both `from` and `value`, or neither", "keep the one that is meant"))
    values = said.get("values")
    if values is not None and not isinstance(values, dict):
        lints.append(Lint((*at, "values"), "is no table", "write their word, a colon, ours"))
        values = None
    if path == "event":
        lints += _event_lints(at, said, values or {})
    default = said.get("value") if "value" in said else said.get("default")
    return Rule(tuple(path.split(".")), _expression((*at, "from"), said.get("from"), lints), default, values)


def _event_lints(at: tuple[str, ...], said: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Lint]:
    """Names of events that are no event of ours: a typo here is a customer who is never told."""
    places = {(*at, "values", word): name for word, name in values.items()}
    places |= {(*at, key): said[key] for key in ("value", "default") if said.get(key) is not None}
    for place, name in places.items():
        if name != IGNORE and name not in EVENT_KINDS:
            yield Lint(place, f"no event is called {name}", _hint(str(name), EVENT_KINDS))


def _expression(at: tuple[str, ...], said: Any, lints: list[Lint]) -> ParsedResult | None:
    if said is None:
        return None
    if not isinstance(said, str):  # YAML reads no, on and 17 as something else
        lints.append(Lint(at, "is no text", "put the expression into quotes"))
        return None
    try:
        return jmespath.compile(said)
    except JMESPathError as error:
        reason = str(error).splitlines()[0]
        lints.append(Lint(at, f"is no JMESPath: {reason}", "see docs/sources/generic.md; texts are written 'so'"))
        return None


def _unknown(at: tuple[str, ...], said: Mapping[str, Any], known: tuple[str, ...]) -> list[Lint]:
    return [Lint((*at, key), f"there is no {key} here", _hint(key, known)) for key in said if key not in known]


def _missing(fields: Mapping[str, Any]) -> list[Lint]:
    return [
        Lint(("fields",), f"{name} is missing", "every order event needs it") for name in NEEDED if name not in fields
    ]


def _hint(word: str, known: Any) -> str:
    near = get_close_matches(word, sorted(known), n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"


def _word(value: Any) -> str:
    """A value as the key of a table: texts as they are, numbers and truth values as JSON writes them."""
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, (str, int, float)) else ""


def _put(fields: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    node = fields
    for part in path[:-1]:
        node = node.setdefault(part, {})
    node[path[-1]] = value


def _remedy(name: str) -> str:
    return f"try the body with `notifier sources test` and mend config/mappings/{name}.yaml"
