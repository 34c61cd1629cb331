"""What a look-up is: a conversation of GET requests with a shop's platform, told as a generator. No I/O here.

A conversation yields an `Ask`, is sent the `Answer`, and returns what the source's parser made of it. `fetch.py` holds
it; the address and the credentials are put in there, so nothing in a body can lead a request anywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from notifier.events import NotifierError
from notifier.sources.contract import LookUp, Parsed, SourceShop


class LookUpFailed(NotifierError):
    """The platform did not give the order. again: whether asking later may help. The message names what to mend."""

    def __init__(self, problem: str, *, again: bool) -> None:
        self.again = again
        super().__init__(problem)


@dataclass(frozen=True, slots=True)
class Ask:
    """One GET below the configured address. query: pairs, in order; no value of it is a secret."""

    path: str
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def given(self, name: str) -> str | None:
        """The value of a query parameter."""
        return next((value for key, value in self.query if key == name), None)

    def but(self, name: str, value: str) -> Ask:
        """The same with another value of a query parameter."""
        return replace(self, query=(*(pair for pair in self.query if pair[0] != name), (name, value)))


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back with 200. body: its JSON. links: `rel` of the Link header -> address."""

    body: Any = field(repr=False)
    links: Mapping[str, str] = field(default_factory=dict, repr=False)


Conversation = Generator[Ask, Answer, Parsed]


@dataclass(frozen=True, slots=True)
class Platform:
    """One kind of look-up.

    secrets, optional: names of the credentials it needs, and may need. headers: credentials -> the headers with them.
    order: the conversation about one order.
    changed: the first pages of all that changed since an instant (aware). page: a page and its answer -> what the page
        came to, and the next one.
    """

    kind: str
    secrets: tuple[str, ...]
    headers: Callable[[Mapping[str, str]], dict[str, str]]
    order: Callable[[LookUp, SourceShop], Conversation]
    changed: Callable[[datetime], tuple[Ask, ...]]
    page: Callable[[Ask, Answer, SourceShop], tuple[Parsed, Ask | None]]
    optional: tuple[str, ...] = ()
