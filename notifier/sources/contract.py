"""What every source takes and returns: raw bytes and headers in, plain frozen values out. No I/O, clock or settings.

A source is a module that exposes `SOURCE`, a `Source`; `notifier/sources/__init__.py` is the registry, a row each. The
movement behind the gateway's `/v1/sources/{shop}/{source}` is notifier/webhooks.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from notifier.events import Channel, NotifierError, OrderEvent

Headers = Mapping[str, str]
"""Names in lower case; of a header that came twice, the first."""


class Malformed(NotifierError):
    """A body that a source cannot read. Says where, what was expected, what kind of thing came and how to mend it.

    path: a JSON pointer (RFC 6901), "" for the body itself. got: the kind (`kind_of`), never the value.
    """

    def __init__(self, path: str, expected: str, got: str, remedy: str) -> None:
        self.path, self.expected, self.got, self.remedy = path, expected, got, remedy
        super().__init__(f"{path or '/'}: expected {expected}, got {got}; {remedy}")


class SourceOptions(BaseModel):
    """The options of a source, `[shops.NAME.sources.SOURCE]` without its kind. Each source has its own subclass."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class SourceShop:
    """For whom a body is read. name: the shop; options: an instance of the source's own `Source.options`."""

    name: str
    options: SourceOptions = field(default_factory=SourceOptions)


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What a body tells about an order itself, for the order book. None: this body does not say.

    partial: it is not the order's own body, so it only fills what the book does not know.
    status: the platform's word. refund_ids, shipment_ids: what customers are told by this body's events, as `Unless`
        names it.
    phone, country, locale, name: as they came. links: names of `events.Links` -> address. consent: as `events.Consent`.
    changed_at: the platform's own time of this state, aware UTC; an older body never overwrites a newer one.
    """

    order_id: str
    partial: bool = False
    order_number: str | None = None
    phone: str | None = field(default=None, repr=False)
    country: str | None = None
    locale: str | None = None
    name: str | None = field(default=None, repr=False)
    currency: str | None = None
    total: Decimal | None = None
    status: str | None = None
    payment_method: str | None = None
    refund_ids: tuple[str, ...] = ()
    shipment_ids: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict, repr=False)
    consent: Mapping[str, Any] | None = field(default=None, repr=False)
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Unless:
    """The news in an event is that this was not so before: the event goes out unless the order book has it already.

    what: `status` compares with the stored status, and an older body is no news either; `refund` and `shipment` look
        among the stored ids.
    known_only: when the book does not know the order at all, it is no news either.
    """

    what: Literal["status", "refund", "shipment"]
    value: str
    known_only: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """An order event as far as its body goes.

    joins: whether this kind of body never carries phone, locale or order number in full: the order book's word then
        goes over the body's, and the event waits for its order when the book does not know it yet. False: what is
        absent is absent.
    unless: for platforms that tell states, not changes.
    """

    event: OrderEvent
    joins: bool = False
    unless: Unless | None = None


@dataclass(frozen=True, slots=True)
class LookUp:
    """A thin body: the platform names an order and must be asked for the rest.

    hint: the topic or event type that named it. kind: what the id is of, where it is not the order's own.
    event: what to tell about it, where the hint says it and the order's own state does not.
    """

    order_id: str
    hint: str
    kind: Literal["order", "fulfillment_order", "shipment", "refund"] = "order"
    event: str | None = None


@dataclass(frozen=True, slots=True)
class ConsentSaid:
    """A customer's word about messages that came without an order. at: the platform's time, aware UTC."""

    phone: str = field(repr=False)
    granted: bool
    channel: Channel | None
    purpose: Literal["order_updates", "marketing"]
    source: str
    at: datetime | None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class Redact:
    """The platform demands that personal data be forgotten.

    whole_shop: everything of the shop; else these orders and this phone (either may be missing).
    """

    order_ids: tuple[str, ...] = ()
    phone: str | None = field(default=None, repr=False)
    whole_shop: bool = False


@dataclass(frozen=True, slots=True)
class DataRequest:
    """A customer asks what is stored about them; the operator answers the shop within 30 days."""

    order_ids: tuple[str, ...] = ()
    phone: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What one body came to. ignored: why nothing came of it, where nothing did."""

    events: tuple[Draft, ...] = ()
    orders: tuple[OrderFacts, ...] = ()
    needs_order: tuple[LookUp, ...] = ()
    consents: tuple[ConsentSaid, ...] = ()
    demands: tuple[Redact | DataRequest, ...] = ()
    ignored: str | None = None


@dataclass(frozen=True, slots=True)
class Knock:
    """A call before its signature is looked at, for handshakes."""

    method: str
    query: Mapping[str, str]
    headers: Headers
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ping:
    """The platform only tests the address: answer exactly this, and keep nothing of the call."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def no_greeting(knock: Knock) -> Ping | None:
    """For platforms without a handshake."""
    return None


def no_keys(headers: Headers) -> tuple[str, ...]:
    """For platforms whose signatures need nothing but the secrets of the configuration."""
    return ()


@dataclass(frozen=True, slots=True)
class Source:
    """One platform.

    verify: (raw body, headers, all valid secrets, now) -> whether one of them signed it, in constant time; without a
        secret nobody did.
    parse: (raw body, headers, shop) -> Parsed. Raises Malformed, and nothing else whatever comes.
    keeps: beginnings of the header names that `parse` reads; the others (credentials!) are not stored.
    success: what the platform takes as a yes.
    methods: the HTTP methods it calls with. greet: answers a handshake, before any signature.
    key_urls: addresses of public keys that this call's signature needs, on the source's own pinned host only; the
        gateway fetches and keeps them, and hands their text to `verify` after the secrets.
    """

    kind: str
    verify: Callable[[bytes, Headers, Sequence[str], datetime], bool]
    parse: Callable[[bytes, Headers, SourceShop], Parsed]
    options: type[SourceOptions] = SourceOptions
    keeps: tuple[str, ...] = ()
    success: int = 200
    methods: tuple[str, ...] = ("POST",)
    greet: Callable[[Knock], Ping | None] = no_greeting
    key_urls: Callable[[Headers], tuple[str, ...]] = no_keys
    largest: int = 4 * 1024 * 1024  # bytes of a body


_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", int: "a number", float: "a number"}


def kind_of(value: object) -> str:
    """What kind of thing a JSON value is, in words."""
    return "nothing" if value is None else _KINDS.get(type(value), "something else")
