"""Reading a platform's body: its signature, and a JSON tree that knows its own paths.

A needed value that is missing or of the wrong kind raises Malformed; an optional one of the wrong kind is absent, for
plugins put anything anywhere.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar

from notifier.channels.reading import load_json
from notifier.events import InvalidEvent, OrderEvent, parse_event
from notifier.sources.contract import Malformed, kind_of

T = TypeVar("T")

_LONGEST_ID: Final = 128
_LONGEST_TEXT: Final = 2048
_MOST_DIGITS: Final = 18


def signed_base64(body: bytes, signature: str | None, secrets: Sequence[str]) -> bool:
    """Whether `signature` is base64(HMAC-SHA256(one of the secrets, raw body)). An empty secret signs nothing."""
    try:
        given = base64.b64decode(signature or "", validate=True)
    except (binascii.Error, ValueError):
        return False
    good = False
    for secret in filter(None, secrets):  # all of them, always: time must not tell which one it was
        good |= hmac.compare_digest(hmac.digest(secret.encode(), body, "sha256"), given)
    return good


class Node:
    """A value of a JSON body and the pointer to it. What is missing is a Node of None: reading goes on tolerantly.

    An order is read in a hundred of these, and nearly no pointer is ever asked for: it is put together when it is.
    """

    __slots__ = ("_inside", "_name", "value")

    def __init__(self, value: Any, path: str = "", inside: Node | None = None) -> None:
        self.value = value
        self._name = path
        self._inside = inside

    def __repr__(self) -> str:
        return f"Node({self.path or '/'})"

    @property
    def path(self) -> str:
        """The JSON pointer (RFC 6901)."""
        if self._inside is None:
            return self._name
        return f"{self._inside.path}/{self._name.replace('~', '~0').replace('/', '~1')}"

    def __getitem__(self, name: str) -> Node:
        """The member of that name."""
        value = self.value
        return Node(value.get(name) if isinstance(value, dict) else None, name, self)

    def at(self, *names: str) -> Node:
        """The member of a member."""
        found = self
        for name in names:
            found = found[name]
        return found

    def rows(self) -> Iterator[Node]:
        """The elements of a list; of anything else, none."""
        for number, inner in enumerate(self.value if isinstance(self.value, list) else ()):
            yield Node(inner, str(number), self)

    def text(self) -> str | None:
        """A text that is not blank, or a whole number as text; without its half surrogates and NULs."""
        found = self.value
        if isinstance(found, int) and not isinstance(found, bool):
            return str(found)[:_LONGEST_TEXT]
        if not isinstance(found, str):
            return None
        plain = found if found.isascii() else found.encode("utf-8", "replace").decode()
        return plain.replace("\0", "").strip()[:_LONGEST_TEXT] or None

    def id(self) -> str | None:
        """A text short enough for an id. Zero is none: WordPress says 0 for "no such thing"."""
        found = self.text()
        return found if found and found != "0" and len(found) <= _LONGEST_ID else None

    def need_id(self, remedy: str) -> str:
        """An id. Raises Malformed."""
        found = self.id()
        if found is None:
            raise self.malformed(f"an id of at most {_LONGEST_ID} characters", remedy)
        return found

    def money(self) -> Decimal | None:
        """An amount, from a text or a number; the decimals stay as they were written."""
        found = self.value
        if isinstance(found, bool) or not isinstance(found, (str, int, float)):
            return None
        try:
            amount = Decimal(repr(found) if isinstance(found, float) else str(found)[:64].strip())
        except InvalidOperation:
            return None
        sane = amount.is_finite() and len(amount.as_tuple().digits) <= _MOST_DIGITS
        return amount if sane and abs(amount.adjusted()) <= _MOST_DIGITS else None

    def currency(self) -> str | None:
        """An ISO 4217 code."""
        found = (self.text() or "").upper()
        return found if len(found) == 3 and found.isascii() and found.isalpha() else None

    def country(self) -> str | None:
        """An ISO 3166 code of two letters."""
        found = (self.text() or "").upper()
        return found if len(found) == 2 and found.isascii() and found.isalpha() else None

    def moment(self) -> datetime | None:
        """An instant in ISO 8601, aware UTC; a time without a zone is taken as UTC."""
        try:
            found = datetime.fromisoformat(self.text() or "")
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except (ValueError, OverflowError):
            return None

    def malformed(self, expected: str, remedy: str) -> Malformed:
        """The fault of this very value."""
        return Malformed(self.path, expected, kind_of(self.value), remedy)


def load_object(body: bytes, remedy: str) -> Node:
    """The JSON object that a body is. Raises Malformed."""
    found = load_json(body)
    if not isinstance(found, dict):
        got = kind_of(found) if found is not None else "no JSON" if body else "an empty body"
        raise Malformed("", "a JSON object", got, remedy)
    return Node(found)


def first(read: Callable[[Node], T | None], *places: Node) -> T | None:
    """What the first place that has something says; None when none has."""
    return next((found for place in places if (found := read(place)) is not None), None)


def order_event(fields: dict[str, Any], remedy: str) -> OrderEvent:
    """The order event of these fields (its JSON shape; None and empty parts are left out). Raises Malformed."""
    try:
        return parse_event(_filled(fields))
    except InvalidEvent as error:
        fault = error.faults[0]
        raise Malformed(fault.pointer, "an order event", fault.problem, remedy) from None


def _filled(fields: dict[str, Any]) -> dict[str, Any]:
    filled = {name: _filled(value) if isinstance(value, dict) else value for name, value in fields.items()}
    return {name: value for name, value in filled.items() if value is not None and value != {}}
