"""The order event: what a shop says happened, in one JSON shape for every door.

Nothing here knows Redis, the ledger, Celery or the web: every other room may import this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError


class NotifierError(Exception):
    """The root of every error that notifier raises on purpose. Its message says what, where and how to mend it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one input. `pointer` is a JSON pointer (RFC 6901); the offending value is never repeated."""

    pointer: str
    problem: str

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: {self.problem}"


class InvalidEvent(NotifierError):
    """The input is not an order event. `faults` says where and why, all of them at once."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        super().__init__("not an order event: " + "; ".join(map(str, faults)))


class Priority(IntEnum):
    """Who goes first inside a lane. Smaller is sooner; ageing (policy/fairness.py) keeps the larger from starving."""

    URGENT = 0
    NORMAL = 1
    BULK = 2


@dataclass(frozen=True, slots=True)
class EventKind:
    """What an event name means for us.

    rank: the place on the order's way; an event below what the customer was already told is stale. None: not on the
        way at all (a refund neither hides a delivery nor is hidden by one).
    always: goes out whatever the customer was told before (cancelled, refunded).
    urgent: may be sent in quiet hours.
    shelf_life: how long after `occurred_at` the message is still worth sending.
    """

    name: str
    rank: int | None
    shelf_life: timedelta
    priority: Priority = Priority.NORMAL
    always: bool = False
    urgent: bool = False
    purpose: Literal["order_updates", "marketing"] = "order_updates"


_H = timedelta(hours=1)
_D = timedelta(days=1)

# Names: reference A5, the consensus of the order plugins. Ranks leave room between neighbours for later names.
# out_for_delivery and attempt_failed share a rank: a second try follows a failed one; neither makes the other stale.
EVENT_KINDS: dict[str, EventKind] = {
    kind.name: kind
    for kind in (
        EventKind("order.created", 10, 24 * _H),
        EventKind("order.confirmed", 15, 24 * _H),
        EventKind("order.cod_confirmation", 20, 24 * _H, Priority.URGENT),
        EventKind("payment.pending", 30, 24 * _H),
        EventKind("payment.failed", 35, 12 * _H, Priority.URGENT),
        EventKind("payment.received", 40, 24 * _H),
        EventKind("order.on_hold", 45, 24 * _H),
        EventKind("order.processing", 50, 24 * _H),
        EventKind("order.packed", 55, 24 * _H),
        EventKind("order.partially_shipped", 60, 24 * _H),
        EventKind("order.shipped", 70, 24 * _H),
        EventKind("shipment.in_transit", 80, 12 * _H, Priority.BULK),
        EventKind("shipment.delayed", 85, 24 * _H),
        EventKind("shipment.out_for_delivery", 90, 4 * _H, Priority.URGENT, urgent=True),
        EventKind("shipment.attempt_failed", 90, 8 * _H, Priority.URGENT, urgent=True),
        EventKind("order.ready_for_pickup", 90, 24 * _H, Priority.URGENT),
        EventKind("order.picked_up", 110, 12 * _H),
        EventKind("order.delivered", 110, 12 * _H),
        EventKind("order.cancelled", 120, 48 * _H, Priority.URGENT, always=True),
        EventKind("return.requested", 130, 48 * _H),
        EventKind("return.approved", 140, 48 * _H),
        EventKind("return.declined", 140, 48 * _H),
        EventKind("order.refunded", None, 72 * _H, always=True),
        EventKind("order.partially_refunded", None, 72 * _H, always=True),
        EventKind("order.review_request", 150, 7 * _D, Priority.BULK, purpose="marketing"),
        EventKind("cart.abandoned", None, 24 * _H, Priority.BULK, purpose="marketing"),
        EventKind("product.back_in_stock", None, 24 * _H, Priority.BULK, purpose="marketing"),
        EventKind("order.reorder", None, 7 * _D, Priority.BULK, purpose="marketing"),
    )
}


def _text(value: object) -> object:
    """Shop platforms send ids as JSON numbers; here they are opaque strings (2^53 and leading zeros are real)."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


def _money(value: object) -> object:
    """A float has already lost the cents it was meant to carry; its shortest repr is the best that can be saved."""
    return repr(value) if isinstance(value, float) else value


# Bounds stand before the function: behind it pydantic looks at them in Python, and an event costs a third more to read.
Id = Annotated[str, Field(min_length=1, max_length=128), BeforeValidator(_text)]
Word = Annotated[str, Field(max_length=2048), BeforeValidator(_text)]
Amount = Annotated[Decimal, Field(allow_inf_nan=False, max_digits=18), BeforeValidator(_money)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Country = Annotated[str, Field(pattern=r"^[A-Za-z]{2}$")]
Channel = Literal["whatsapp", "sms", "email"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", str_strip_whitespace=True)


class Consent(_Part):
    """What the customer allowed, or stopped. `channel` absent: all channels."""

    granted: bool
    channel: Channel | None = None
    purpose: Literal["order_updates", "marketing"] = "order_updates"
    source: Word = "event"
    at: AwareDatetime | None = None


class Customer(_Part):
    phone: Word | None = None
    country: Country | None = None
    locale: Word | None = None
    name: Word | None = None
    consent: Consent | None = None


class Item(_Part):
    name: Word | None = None
    quantity: Annotated[int, Field(ge=0)] | None = None
    price: Amount | None = None
    sku: Word | None = None


class Order(_Part):
    total: Amount | None = None
    currency: Currency | None = None
    items: list[Item] = Field(default_factory=list)
    payment_method: Word | None = None


class Shipment(_Part):
    id: Id | None = None
    carrier: Word | None = None
    tracking_number: Word | None = None
    tracking_url: Word | None = None
    eta: AwareDatetime | None = None


class Refund(_Part):
    amount: Amount | None = None
    currency: Currency | None = None


class Links(_Part):
    order_status: Word | None = None
    tracking: Word | None = None
    payment: Word | None = None
    invoice: Word | None = None
    review: Word | None = None


class OrderEvent(_Part):
    """One order event. Unknown fields are kept; times are aware; money is Decimal with its currency beside it.

    id: the sender's own id for this event; made by the door when absent.
    occurred_at: when it happened; the door's clock when absent.
    revision: tells apart repeats that are news (the second refund, a corrected tracking number); part of the key.
    """

    id: Id | None = None
    shop: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    event: Annotated[str, Field(pattern=r"^[a-z_]+\.[a-z_]+$", max_length=64)]
    order_id: Id
    order_number: Word | None = None
    occurred_at: AwareDatetime | None = None
    revision: Id | None = None
    customer: Customer = Field(default_factory=Customer)
    order: Order = Field(default_factory=Order)
    shipment: Shipment | None = None
    refund: Refund | None = None
    links: Links = Field(default_factory=Links)
    vars: dict[str, Any] = Field(default_factory=dict)

    @property
    def kind(self) -> EventKind | None:
        """The meaning of the name; None for an event that we store and do not notify."""
        return EVENT_KINDS.get(self.event)

    @property
    def shipment_id(self) -> str | None:
        return self.shipment.id if self.shipment else None

    @property
    def key(self) -> str:
        """The business key: the same happening, through whatever door, has the same key."""
        return business_key(self.shop, self.order_id, self.event, self.shipment_id, self.revision)


def business_key(shop: str, order_id: str, event: str, shipment_id: str | None, revision: str | None) -> str:
    """shop + order + event + shipment + revision; a `|` inside a part is escaped, so that no two events share a key."""
    parts = (shop, order_id, event, shipment_id or "", revision or "")
    key = "|".join(parts)
    # Hardly ever; to escape each part all the same took 2 us of a `notify`.
    if "\\" in key or key.count("|") >= len(parts):
        key = "|".join(part.replace("\\", "\\\\").replace("|", "\\p") for part in parts)
    return key


def parse_event(body: bytes | str | dict[str, Any]) -> OrderEvent:
    """An order event from JSON text or a mapping.

    Raises InvalidEvent with every fault at once; values are never repeated in it (they may be personal data).
    """
    try:
        event = OrderEvent.model_validate(body) if isinstance(body, dict) else OrderEvent.model_validate_json(body)
    except ValidationError as error:
        raise InvalidEvent(_faults(error)) from None
    if event.occurred_at is not None:
        try:
            event.occurred_at = _utc(event.occurred_at)
        except OverflowError:  # year 1 east of Greenwich: a default of somebody's database
            raise InvalidEvent((Fault("/occurred_at", "lies outside the calendar"),)) from None
    return event


def _faults(error: ValidationError) -> tuple[Fault, ...]:
    return tuple(
        Fault(
            pointer="".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in item["loc"]),
            problem=item["msg"],
        )
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    )
