"""What a notification and a delivery can be, and every legal step between: data, no SQL.

`steps.py` builds its guards from STEPS, `schema.py` its checks, `docs/architecture.md` its diagram (`mermaid`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class NotificationState(StrEnum):
    """What became of the intent to tell one recipient of one order event."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> NotificationState:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    PLANNED = "planned", "Decided, and no delivery yet; the first delivery moves it on, in intake's own transaction."
    ACTIVE = "active", "A delivery is alive or was made; receipts, fallback or sweeps end it by its expiry."
    TOLD = "told", "The message reached the customer, or went as far as its channel reports. Final."
    UNREACHED = "unreached", "Every channel failed or time ran out; an operator may reopen it, a late receipt tells it."
    SUPPRESSED = "suppressed", "Silence by decision, with its reason; final unless an operator reopens it."


class DeliveryState(StrEnum):
    """What became of one try to carry a notification over one channel."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> DeliveryState:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    QUEUED = "queued", "Waits for its due time; a drain claims it, a sweep expires it at its expiry."
    CLAIMED = "claimed", "A drain holds it under a lease; the drain records the answer, a sweep after the lease ends."
    UNKNOWN = "unknown", "The request may have left and no answer came; a receipt decides, a sweep after its wait."
    ACCEPTED = "accepted", "The provider took it; receipts move it on, a sweep when its time for silence is over."
    SENT = "sent", "The provider sent it towards the phone; receipts move it on, a sweep as for accepted."
    DELIVERED = "delivered", "It is on the customer's phone; only `read` comes after."
    READ = "read", "The customer opened it. Nothing comes after."
    FAILED = "failed", "Definitely not delivered, with outcome and code; only a receipt that says otherwise moves it."
    EXPIRED = "expired", "Its time ran out; only a late receipt moves it."
    CANCELLED = "cancelled", "Taken back before it left; only a receipt of an earlier, lost try moves it."


_D = DeliveryState
_N = NotificationState

ALIVE = frozenset({_D.QUEUED, _D.CLAIMED, _D.UNKNOWN, _D.ACCEPTED, _D.SENT})
"""A notification never has two deliveries in these states (a unique partial index says so)."""

FINAL = frozenset(DeliveryState) - ALIVE

CARRIES = frozenset({_D.CLAIMED, _D.UNKNOWN, _D.ACCEPTED, _D.SENT, _D.DELIVERED, _D.READ})
"""The message may be, or is, with the customer: too late to take the notification back."""

RECEIPT_RANK = {_D.ACCEPTED: 0, _D.SENT: 1, _D.DELIVERED: 2, _D.READ: 3}
"""Receipts only move up this ladder."""


@dataclass(frozen=True, slots=True)
class Step:
    """One legal move of one table. `why`: must the caller give a reason? `told`: does it leave a line in history?

    The happy steps leave none: their time stands on the row, and what can be derived is not stored twice.
    """

    of: Literal["delivery", "notification"]
    sources: frozenset[str]
    target: str
    why: bool
    told: bool


def _delivery(sources: set[_D], target: _D, *, why: bool = False, told: bool = False) -> Step:
    return Step("delivery", frozenset(sources), target, why, told)


def _notification(sources: set[_N], target: _N, *, why: bool = False, told: bool = False) -> Step:
    return Step("notification", frozenset(sources), target, why, told)


# A receipt for a queued delivery proves that an earlier try left after all: its retry would be a double.
# One for a failed, expired or cancelled delivery counts only when it says that the customer has the message.
_LEFT = {_D.QUEUED, _D.CLAIMED, _D.UNKNOWN, _D.ACCEPTED}
_ENDED_WITHOUT = {_D.FAILED, _D.EXPIRED, _D.CANCELLED}

STEPS: dict[str, Step] = {
    "claim": _delivery({_D.QUEUED}, _D.CLAIMED),
    "accept": _delivery({_D.CLAIMED, _D.UNKNOWN}, _D.ACCEPTED),
    "requeue": _delivery({_D.CLAIMED}, _D.QUEUED, why=True, told=True),
    "resend": _delivery({_D.UNKNOWN}, _D.QUEUED, why=True, told=True),
    "lose_track": _delivery({_D.CLAIMED}, _D.UNKNOWN, why=True, told=True),
    "fail": _delivery({_D.CLAIMED, _D.UNKNOWN, _D.ACCEPTED, _D.SENT}, _D.FAILED, why=True, told=True),
    "expire": _delivery({_D.QUEUED, _D.UNKNOWN, _D.ACCEPTED, _D.SENT}, _D.EXPIRED, why=True, told=True),
    "cancel": _delivery({_D.QUEUED}, _D.CANCELLED, why=True, told=True),
    # The drain's own: before the first byte it finds the message stale or no longer allowed. Apart from `cancel`,
    # so that nobody else can take back what may be on the wire at this moment.
    "withdraw": _delivery({_D.CLAIMED}, _D.CANCELLED, why=True, told=True),
    "note_sent": _delivery(_LEFT, _D.SENT),
    "note_delivered": _delivery(_LEFT | _ENDED_WITHOUT | {_D.SENT}, _D.DELIVERED),
    "note_read": _delivery(_LEFT | _ENDED_WITHOUT | {_D.SENT, _D.DELIVERED}, _D.READ),
    "activate": _notification({_N.PLANNED}, _N.ACTIVE),
    "tell": _notification({_N.ACTIVE, _N.UNREACHED, _N.SUPPRESSED}, _N.TOLD),
    "give_up": _notification({_N.ACTIVE}, _N.UNREACHED, why=True, told=True),
    "suppress": _notification({_N.PLANNED, _N.ACTIVE}, _N.SUPPRESSED, why=True, told=True),
    "reopen": _notification({_N.UNREACHED, _N.SUPPRESSED}, _N.ACTIVE, why=True, told=True),
}

LATE = frozenset({_D.QUEUED}) | _ENDED_WITHOUT
"""States that a receipt overwrites: unlike the happy steps, such a receipt leaves a line in history."""


def mermaid() -> str:
    """Both lifecycles as a Mermaid state diagram, generated from STEPS: the picture in docs/architecture.md."""
    lines = ["stateDiagram-v2"]
    for table, start in (("notification", _N.PLANNED), ("delivery", _D.QUEUED)):
        lines += [f"  state {table} {{", f"    [*] --> {table[0]}_{start}"]
        lines += [f"    {table[0]}_{state} : {state}" for state in (_N if table == "notification" else _D)]
        lines += [
            f"    {table[0]}_{source} --> {table[0]}_{step.target} : {name}"
            for name, step in STEPS.items()
            if step.of == table
            for source in sorted(step.sources)
        ]
        lines.append("  }")
    return "\n".join(lines) + "\n"
