"""From an order event to a notification, or to a reason for silence. Pure: the caller brings what is known, and `now`.

A plan is a walk through `_STEPS`: each looks at the draft, adds what it found, and says go, later or no. The walk ends
at the first no, and every word of it is kept: `notifier explain` and `notifier why` print the same lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final, Literal, NamedTuple

from notifier.events import EventKind, OrderEvent
from notifier.policy import consent, quiet, staleness
from notifier.policy.fallback import NextChannel, next_channel
from notifier.policy.planned import Decision, Plan, PlanContext, PlannedDelivery, PlannedNotification
from notifier.policy.reasons import Reason
from notifier.policy.recipient import NoRecipient, Recipient, find_recipient
from notifier.policy.shop import ShopRules, find_route, lane_for

__all__ = [
    "Decision",
    "Plan",
    "PlanContext",
    "PlannedDelivery",
    "PlannedNotification",
    "ShopRules",
    "lane_for",
    "plan",
    "recipient_of",
    "remember",
]


def recipient_of(event: OrderEvent, shop: ShopRules) -> Recipient | NoRecipient:
    """The event's recipient: the address's country first, then the shop's. Cheap to ask again for the same phone."""
    found = find_recipient(event.customer.phone, event.customer.country, shop.default_country)
    if shop.timezone and isinstance(found, Recipient):
        return replace(found, timezone=shop.timezone)
    return found


def plan(event: OrderEvent, context: PlanContext, now: datetime) -> Plan:
    """What becomes of an event. An absent `occurred_at` is now; one in the future counts as now."""
    recipient = recipient_of(event, context.shop)
    happened_at = min(event.occurred_at or now, now)
    carried = _carried(event, recipient, happened_at)
    record = carried if carried and consent.is_news(carried, context.consents) else None
    phone = recipient.phone if isinstance(recipient, Recipient) else None
    if event.kind is None:
        unknown = Decision("event", "no", f"{event.event} is no event that customers are told of; it is stored")
        return Plan(None, None, (), record, phone, (unknown,))
    draft = _draft(event, event.kind, context, recipient, carried, happened_at, now)
    for name, step in _STEPS:
        answer = step(draft)
        draft.decisions.append(Decision(name, answer.result, answer.detail))
        if answer.result == "no":
            return _silent(draft, answer, record)
    return _telling(draft, record)


def remember(context: PlanContext, made: Plan, notification_id: str) -> PlanContext:
    """The context for the next event of the same order and phone in the same batch."""
    priors = [_after(prior, made.supersedes) for prior in context.priors]
    if note := made.notification:
        unsent = made.delivery is not None
        priors.append(
            staleness.Prior(notification_id, note.event, note.rank, note.always, note.shipment_id, note.state, unsent)
        )
    consents = [*context.consents, made.consent_record] if made.consent_record else context.consents
    return replace(context, priors=priors, consents=consents)


def _after(prior: staleness.PriorLike, superseded: Sequence[str]) -> staleness.PriorLike:
    if prior.notification_id not in superseded:
        return prior
    return staleness.Prior(
        prior.notification_id, prior.event, prior.rank, prior.always, prior.shipment_id, "suppressed", unsent=False
    )


class _Answer(NamedTuple):
    result: Literal["go", "later", "no"]
    detail: str
    reason: Reason | None = None


_go: Final = partial(_Answer, "go")
_later: Final = partial(_Answer, "later")


def _no(reason: Reason, detail: str) -> _Answer:
    return _Answer("no", detail, reason)


@dataclass(slots=True)
class _Draft:
    event: OrderEvent
    kind: EventKind
    context: PlanContext
    now: datetime
    recipient: Recipient | NoRecipient
    carried: consent.ConsentRecord | None
    happened_at: datetime
    expires_at: datetime
    due_at: datetime
    priority: int
    template: str | None = None
    locale: str | None = None
    channels: tuple[str, ...] = ()
    lane: str = ""
    decisions: list[Decision] = field(default_factory=list)

    @property
    def known(self) -> Recipient:
        """The recipient, once the step of that name has passed."""
        if isinstance(self.recipient, NoRecipient):
            raise TypeError("the recipient step comes first")
        return self.recipient


def _draft(
    event: OrderEvent,
    kind: EventKind,
    context: PlanContext,
    recipient: Recipient | NoRecipient,
    carried: consent.ConsentRecord | None,
    happened_at: datetime,
    now: datetime,
) -> _Draft:
    shop = context.shop
    return _Draft(
        event=event,
        kind=kind,
        context=context,
        now=now,
        recipient=recipient,
        carried=carried,
        happened_at=happened_at,
        expires_at=happened_at + shop.shelf_lives.get(event.event, kind.shelf_life),
        due_at=now,
        priority=int(shop.priorities.get(event.event, kind.priority)),
    )


def _carried(
    event: OrderEvent, recipient: Recipient | NoRecipient, happened_at: datetime
) -> consent.ConsentRecord | None:
    said = event.customer.consent
    if said is None or isinstance(recipient, NoRecipient):
        return None
    return consent.carried_record(said, happened_at)


def _event(draft: _Draft) -> _Answer:
    name = draft.event.event
    if name in draft.context.shop.disabled:
        return _no(Reason.DISABLED, f"{name} is switched off for this shop")
    return _go(f"{name}, {draft.kind.purpose}")


def _recipient(draft: _Draft) -> _Answer:
    if isinstance(draft.recipient, NoRecipient):
        return _no(Reason.NO_RECIPIENT, draft.recipient.fault.value)
    return _go(f"a mobile of {draft.recipient.country}, time zone {draft.recipient.timezone}")


def _consent(draft: _Draft) -> _Answer:
    context = draft.context
    verdicts = {
        channel: consent.decide(context.consents, draft.carried, channel, draft.kind.purpose, draft.now)
        for channel in context.shop.channels
    }
    draft.channels = tuple(name for name, verdict in verdicts.items() if isinstance(verdict, consent.Allowed))
    detail = "; ".join(f"{name}: {_spoken(verdict)}" for name, verdict in verdicts.items())
    if draft.channels:
        return _go(detail)
    reasons = [verdict.reason for verdict in verdicts.values() if isinstance(verdict, consent.Denied)]
    return _no(Reason.OPTED_OUT if Reason.OPTED_OUT in reasons else Reason.NO_CONSENT, detail)


def _spoken(verdict: consent.Allowed | consent.Denied) -> str:
    if verdict.by is None:
        return "nothing recorded"
    word = "allowed" if isinstance(verdict, consent.Allowed) else "stopped"
    dated = "undated" if verdict.by.at == consent.UNDATED else _stamp(verdict.by.at)
    return f"{word} by {verdict.by.source}, {dated}"


def _template(draft: _Draft) -> _Answer:
    draft.template = draft.context.shop.templates.get(draft.event.event)
    if draft.template is None:
        return _no(Reason.NO_TEMPLATE, f"no template for {draft.event.event}")
    return _go(draft.template)


def _locale(draft: _Draft) -> _Answer:
    wanted, default = draft.event.customer.locale, draft.context.shop.default_locale
    draft.locale = draft.context.pick_locale(draft.template or "", wanted, default)
    asked = f"wanted {wanted}" if wanted else f"none named, the shop's is {default}"
    return _go(f"{draft.locale} ({asked})") if draft.locale else _no(Reason.NO_LOCALE, asked)


def _route(draft: _Draft) -> _Answer:
    country, event = draft.known.country, draft.event.event
    route = find_route(draft.context.shop.routes, country, event)
    lanes = route.lanes if route else {}
    allowed = ", ".join(draft.channels)
    first = next_channel(draft.channels, -1, lambda channel: None if channel in lanes else Reason.NO_ROUTE)
    if not isinstance(first, NextChannel):
        draft.channels = ()
        return _no(Reason.NO_ROUTE, f"no sender for {event} to {country} over {allowed}")
    draft.channels = tuple(channel for channel in draft.channels if channel in lanes)
    draft.lane = lanes[first.channel]
    return _go(", then ".join(f"{channel} through {lanes[channel]}" for channel in draft.channels))


def _staleness(draft: _Draft) -> _Answer:
    kind, shipment = draft.kind, draft.event.shipment_id
    found = staleness.obsolete(kind.rank, kind.always, shipment, draft.context.priors)
    return _no(found.reason, found.by_event) if found else _go("nothing later was told or is on its way")


def _shelf_life(draft: _Draft) -> _Answer:
    until = f"worth telling until {_stamp(draft.expires_at)}"
    return _go(until) if draft.now < draft.expires_at else _no(Reason.EXPIRED, until)


def _quiet_hours(draft: _Draft) -> _Answer:
    window = draft.context.shop.quiet_hours
    if window is None:
        return _go("none")
    draft.due_at = quiet.next_allowed(draft.now, draft.known.timezone, window, urgent=draft.kind.urgent)
    detail = f"{window} in {draft.known.timezone}"
    if draft.due_at == draft.now:
        return _go(f"{detail}, urgent" if draft.kind.urgent else f"{detail}, not now")
    if draft.due_at >= draft.expires_at:
        return _no(Reason.EXPIRED, f"quiet hours {detail} end after it is worth telling")
    return _later(detail)


def _due(draft: _Draft) -> _Answer:
    answer = _go if draft.due_at == draft.now else _later
    return answer(_stamp(draft.due_at))


def _stamp(at: datetime) -> str:
    """2026-11-20T12:00:00Z. strftime would be a third of the whole plan."""
    return at.astimezone(UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"


_STEPS: Final[tuple[tuple[str, Callable[[_Draft], _Answer]], ...]] = (
    ("event", _event),
    ("recipient", _recipient),
    ("consent", _consent),
    ("template", _template),
    ("locale", _locale),
    ("route", _route),
    ("staleness", _staleness),
    ("shelf life", _shelf_life),
    ("quiet hours", _quiet_hours),
    ("due", _due),
)


def _silent(draft: _Draft, answer: _Answer, record: consent.ConsentRecord | None) -> Plan:
    note = _notification(draft, answer.reason, answer.detail)
    return Plan(note, None, (), record, note.phone, tuple(draft.decisions))


def _telling(draft: _Draft, record: consent.ConsentRecord | None) -> Plan:
    note = _notification(draft, None, "")
    delivery = PlannedDelivery(note.shop, draft.lane, note.channels[0], 0, note.priority, note.due_at, note.expires_at)
    older = staleness.supersedes(note.rank, note.shipment_id, draft.context.priors)
    return Plan(note, delivery, older, record, note.phone, tuple(draft.decisions))


def _notification(draft: _Draft, reason: Reason | None, detail: str) -> PlannedNotification:
    recipient = draft.recipient if isinstance(draft.recipient, Recipient) else None
    return PlannedNotification(
        shop=draft.event.shop,
        order_id=draft.event.order_id,
        event=draft.event.event,
        rank=draft.kind.rank,
        always=draft.kind.always,
        shipment_id=draft.event.shipment_id,
        phone=recipient.phone if recipient else None,
        country=recipient.country if recipient else None,
        timezone=recipient.timezone if recipient else None,
        locale=draft.locale,
        template=draft.template,
        channels=draft.channels,
        priority=draft.priority,
        state="suppressed" if reason else "active",
        reason=reason,
        detail=detail,
        expires_at=draft.expires_at,
        due_at=draft.due_at,
    )
