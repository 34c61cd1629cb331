"""The story of an order as plain values: what `notifier why --json` gives. Pure; phones are masked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from notifier.ledger.stories import HistoryLine, Story, StoryDelivery, StoryEvent, StoryNotification, StoryReceipt
from notifier.policy.reasons import Reason
from notifier.telling.words import masked, plain, stamp

# Why a delivery moved, where that is no reason of policy: the drain's and the operators' own words.
_OTHER_WORDS: Mapping[str, str] = {
    "released": "The drain ended before it sent this one.",
    "lease_ended": "The drain that held it fell silent; its request may have left.",
    "held": "The provider took it and keeps it back for now.",
    "replayed": "Somebody had it tried again by hand.",
}

# The happy steps stand on the row as instants, in this order; all others are lines of history.
_LADDER = (
    ("queued", "created_at", "queued"),
    ("claim", "claimed_at", "taken by a drain"),
    ("accept", "accepted_at", "the provider took it"),
    ("note_sent", "sent_at", "on its way to the phone"),
    ("note_delivered", "delivered_at", "on the customer's phone"),
    ("note_read", "read_at", "the customer opened it"),
)
_SAYS: Mapping[str, str] = {
    "open_delivery": "opened",
    "requeue": "back in the queue",
    "resend": "to be sent once more",
    "lose_track": "the answer was lost",
    "fail": "failed",
    "expire": "its time ran out",
    "cancel": "taken back",
    "withdraw": "taken back before its first byte",
    "note_sent": "a late receipt: it had left after all",
    "note_delivered": "a late receipt: it is on the customer's phone after all",
    "note_read": "a late receipt: the customer opened it after all",
    "tell": "told after all",
    "give_up": "given up",
    "suppress": "silenced",
    "reopen": "opened again by hand",
    "double": "the customer got it a second time",
}


def sentence(reason: str | None) -> str:
    """The reason as a sentence for people; empty when there is none or the word is not ours."""
    if reason is None:
        return ""
    known = Reason.__members__.values()
    return next((one.sentence for one in known if one == reason), _OTHER_WORDS.get(reason, ""))


def as_told(story: Story, now: datetime) -> list[dict[str, Any]]:
    """One object an order (several shops may use one number), each with its answer and its events, oldest first."""
    orders: dict[tuple[str, str], list[StoryEvent]] = {}
    for event in story.events:
        orders.setdefault((event.shop, event.order_id), []).append(event)
    return [_order(events, story, now) for events in orders.values()]


def _order(events: Sequence[StoryEvent], story: Story, now: datetime) -> dict[str, Any]:
    told = [_event(event, story, now) for event in events]
    return {
        "shop": events[0].shop,
        "order_id": events[0].order_id,
        "order_number": next((event.order_number for event in events if event.order_number), None),
        "answer": _answer_of_all(told),
        "events": told,
    }


def _answer_of_all(events: Sequence[Mapping[str, Any]]) -> str:
    if len(events) == 1:
        return f"{events[0]['event']}: {events[0]['answer']}"
    meant = [one for one in events if one["notification"]]
    told = [one["event"] for one in meant if one["notification"]["state"] == "told"]
    rest = [f"{one['event']}: {one['answer']}" for one in meant if one["notification"]["state"] != "told"]
    first = f"Told of {len(told)} of {len(meant)}" + (f": {', '.join(told)}." if told else ".")
    return " ".join([first, *rest])


def _event(event: StoryEvent, story: Story, now: datetime) -> dict[str, Any]:
    note = next((one for one in story.notifications if one.event_id == event.id), None)
    deliveries = [one for one in story.deliveries if note and one.notification_id == note.id]
    return {
        "event": event.event,
        "id": event.id,
        "shipment_id": event.shipment_id,
        "revision": event.revision,
        "occurred_at": plain(event.occurred_at),
        "received_at": plain(event.received_at),
        "door": event.door,
        "copies": event.copies - 1,
        "last_copy_at": plain(event.last_copy_at),
        "answer": _answer(note, deliveries, now),
        "notification": _notification(note, deliveries, story, forgotten=event.body == "{}") if note else None,
    }


def _answer(note: StoryNotification | None, deliveries: Sequence[StoryDelivery], now: datetime) -> str:
    if note is None:
        return "Not told: customers are not told of such events; it is kept."
    if note.state == "told":
        twice = "" if not note.doubles else f", and {note.doubles} more time{'s' if note.doubles > 1 else ''}"
        return f"Told over {note.told_by} at {stamp(note.told_at)}{twice}."
    if note.state in ("suppressed", "unreached"):
        detail = f" ({note.detail.rstrip('. ')})" if note.detail and note.detail.strip(":") else ""
        return f"Not told: {sentence(note.reason) or note.reason}{detail}"
    alive = next((one for one in deliveries if one.state in _ALIVE), None)
    return _ALIVE[alive.state](alive, now) if alive else "Not told yet: nothing is under way."


def _queued(one: StoryDelivery, now: datetime) -> str:
    why = f" {sentence(one.reason)}" if one.reason else ""
    since = f"due since {stamp(one.due_at)}" if one.due_at <= now else f"due {stamp(one.due_at)}"
    return f"Not told yet: waits on {one.lane}, {since}.{why}"


def _unknown(one: StoryDelivery, _: datetime) -> str:
    until = f" until {stamp(one.fallback_at)}" if one.fallback_at else ""
    return f"Perhaps told: the provider's answer was lost; a receipt may decide{until}."


def _under_way(one: StoryDelivery, _: datetime) -> str:
    until = f"; silence counts from {stamp(one.fallback_at)}" if one.fallback_at else ""
    return f"On its way over {one.channel} since {stamp(one.accepted_at)}, and no word of arrival yet{until}."


_ALIVE = {
    "queued": _queued,
    "claimed": lambda one, now: f"Being sent right now over {one.channel} through {one.lane}.",
    "unknown": _unknown,
    "accepted": _under_way,
    "sent": _under_way,
}


def _notification(
    note: StoryNotification, deliveries: Sequence[StoryDelivery], story: Story, *, forgotten: bool
) -> dict[str, Any]:
    return {
        "id": note.id,
        "state": note.state,
        "reason": note.reason,
        "sentence": sentence(note.reason),
        "detail": note.detail or None,
        "phone": "forgotten" if forgotten and not note.phone else masked(note.phone),
        **{
            name: plain(getattr(note, name))
            for name in ("country", "timezone", "locale", "template", "channels", "due_at", "expires_at", "created_at")
        },
        **{name: plain(getattr(note, name)) for name in ("finished_at", "told_by", "told_at", "doubles")},
        "decisions": json.loads(note.decisions or "[]"),
        "steps": [plain(_from_history(line)) for line in story.history if _is_about(line, note)],
        "deliveries": [_delivery(one, story) for one in deliveries],
    }


def _is_about(line: HistoryLine, note: StoryNotification) -> bool:
    return line.notification_id == note.id and line.delivery_id is None


def _delivery(one: StoryDelivery, story: Story) -> dict[str, Any]:
    names = ("id", "channel", "lane", "state", "reason", "outcome", "code", "detail", "attempts", "throttles")
    times = ("due_at", "first_due_at", "expires_at", "fallback_at", "lease_until", "provider_id")
    return {
        **{name: plain(getattr(one, name)) for name in names},
        "sentence": sentence(one.reason),
        **{name: plain(getattr(one, name)) for name in times},
        "steps": [plain(step) for step in _steps(one, story.history)],
        "parked": [_receipt(receipt) for receipt in story.parked if _names(receipt, one)],
    }


def _names(receipt: StoryReceipt, one: StoryDelivery) -> bool:
    return receipt.ref == one.id or (receipt.provider_id is not None and receipt.provider_id == one.provider_id)


def _receipt(receipt: StoryReceipt) -> dict[str, Any]:
    names = ("status", "at", "received_at", "code", "outcome", "detail")
    return {name: plain(getattr(receipt, name)) for name in names}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened. `was`: the state that it left, where it overwrote one."""

    at: datetime
    step: str
    says: str
    was: str | None = None
    reason: str | None = None
    sentence: str = ""
    code: str | None = None
    detail: str | None = None
    by: str | None = None


def _steps(one: StoryDelivery, history: Sequence[HistoryLine]) -> list[Step]:
    """The instants on the row and the lines of history, in the order in which they happened.

    The provider's clock is coarse and not ours: a receipt is never shown before the acceptance that it follows.
    """
    lines = [line for line in history if line.delivery_id == one.id]
    opened = any(line.step == "open_delivery" for line in lines)
    found: list[tuple[datetime, int, Step]] = []
    reached = one.created_at
    for rank, (place, step) in enumerate(_on_the_row(one)):
        if place == "queued" and opened:
            continue
        reached = max(reached, step.at)
        found.append((reached, rank, step))
    found += [(line.at, 0 if line.step == "open_delivery" else len(_LADDER), _from_history(line)) for line in lines]
    return [step for _, _, step in sorted(found, key=lambda entry: entry[:2])]


def _on_the_row(one: StoryDelivery) -> Iterator[tuple[str, Step]]:
    for name, column, says in _LADDER:
        at: datetime | None = getattr(one, column)
        if at is not None:
            by = one.owner if name == "claim" else None
            yield name, Step(at, name, f"{says} on {one.lane}" if name == "queued" else says, by=by)


def _from_history(line: HistoryLine) -> Step:
    # `open_delivery` keeps its lane in the detail.
    says = f"opened on {line.detail}" if line.step == "open_delivery" else _SAYS.get(line.step, line.step)
    return Step(
        at=line.at,
        step=line.step,
        says=says,
        was=line.from_state,
        reason=line.reason,
        sentence=sentence(line.reason),
        code=line.code or None,
        detail=None if line.step == "open_delivery" else line.detail or None,
        by=line.by_whom,
    )
