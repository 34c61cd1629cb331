"""The values that planning takes and gives: what is known, and what is to be written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from notifier.policy.consent import ConsentLike, ConsentRecord
from notifier.policy.reasons import Reason
from notifier.policy.shop import ShopRules
from notifier.policy.staleness import PriorLike

PickLocale = Callable[[str, str | None, str], str | None]
"""(template, the locale wanted, the shop's default) -> the locale of the template to use, or None."""


@dataclass(frozen=True, slots=True)
class PlanContext:
    """What is known when an event is planned.

    consents: all records of this shop and the event's phone. priors: the notifications of the same order.
    """

    shop: ShopRules
    pick_locale: PickLocale
    consents: Sequence[ConsentLike] = ()
    priors: Sequence[PriorLike] = ()


class Decision(NamedTuple):
    """A line of the story. result: `go`, `later`, or `no`; detail never holds personal data."""

    step: str
    result: Literal["go", "later", "no"]
    detail: str


@dataclass(frozen=True, slots=True)
class PlannedNotification:
    """The notification's values, without ids. reason is set iff suppressed; unknown values are None.

    channels: those that may be used, in order. times: aware UTC.
    """

    shop: str
    order_id: str
    event: str
    rank: int | None
    always: bool
    shipment_id: str | None
    phone: str | None = field(repr=False)
    country: str | None
    timezone: str | None
    locale: str | None
    template: str | None
    channels: tuple[str, ...]
    priority: int
    state: Literal["active", "suppressed"]
    reason: Reason | None
    detail: str
    expires_at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True)
class PlannedDelivery:
    """The first delivery's values, without ids. lane: the sender's name."""

    shop: str
    lane: str
    channel: str
    position: int
    priority: int
    due_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write. notification None: an event that we store and do not notify. delivery None: nothing to send.

    phone: whom `consent_record` is about. supersedes: notification ids. decisions: the whole walk, in its order.
    """

    notification: PlannedNotification | None
    delivery: PlannedDelivery | None
    supersedes: tuple[str, ...]
    consent_record: ConsentRecord | None
    phone: str | None = field(repr=False)
    decisions: tuple[Decision, ...]
