"""Breakers of senders (lanes) and templates, as values: when they open, who may probe, what closes them.

They open on an outcome class and not on a count of errors: SENDER_STOP and TEMPLATE_STOP say that every message would
fare the same. A passing fault opens nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from notifier.channels.contract import OutcomeClass
from notifier.policy.reasons import Reason

Kind = Literal["lane", "template"]

COOL_DOWN: Final = timedelta(minutes=1)
"""The first pause, and how long a probe may stay without an answer before another goes."""

COOL_DOWN_MAX: Final = timedelta(minutes=30)
"""The longest pause: an account that is mended at the provider is found within it."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """kind `lane`: the sender's name; kind `template`: "order_shipped/ar@sender".

    opened_at: since when it is not closed; stays while probes fail. retry_at: when the next message may try; None:
    opened by hand, and only a hand closes it.
    """

    kind: Kind
    name: str
    state: Literal["closed", "open", "half_open"] = "closed"
    reason: Reason | None = None
    code: str = ""
    opened_at: datetime | None = None
    retry_at: datetime | None = None


_OPENS: Final[Mapping[Kind, tuple[OutcomeClass, Reason]]] = {
    "lane": (OutcomeClass.SENDER_STOP, Reason.SENDER_STOPPED),
    "template": (OutcomeClass.TEMPLATE_STOP, Reason.TEMPLATE_STOPPED),
}

# What a probe must bring home. None: accepted. An answer about the recipient or the template proves that the sender
# works; about a template only an accepted message proves anything. Other answers prove nothing, and another probe goes.
_PROVES_WELL: Final[Mapping[Kind, frozenset[OutcomeClass | None]]] = {
    "lane": frozenset({None, OutcomeClass.FALLBACK, OutcomeClass.TEMPLATE_STOP, OutcomeClass.SUPPRESS}),
    "template": frozenset({None}),
}


def on_outcome(
    breaker: Breaker,
    outcome: OutcomeClass | None,
    code: str,
    now: datetime,
    cool_down: timedelta = COOL_DOWN,
    cool_down_max: timedelta = COOL_DOWN_MAX,
) -> Breaker:
    """The breaker after an answer. outcome None: accepted; code: the provider's own.

    The same object comes back when nothing changes, so callers write only what differs. While it is open, answers
    to requests that left before change nothing: a batch of refusals opens it once, and one opened by hand stays as it
    is. After a failed probe it stays shut as long again as it has been: the time doubles, and nothing is counted.
    """
    opens_on, reason = _OPENS[breaker.kind]
    if breaker.state == "open":
        return breaker
    if outcome is opens_on:
        opened_at = breaker.opened_at or now
        retry_at = now + min(max(now - opened_at, cool_down), cool_down_max)
        return replace(breaker, state="open", reason=reason, code=code, opened_at=opened_at, retry_at=retry_at)
    if breaker.state == "half_open" and outcome in _PROVES_WELL[breaker.kind]:
        return closed(breaker)
    return breaker


def admits(breaker: Breaker, now: datetime) -> Literal["all", "probe", "none"]:
    """Who may pass now. `probe`: one message, and the caller stores `probing(...)` before it leaves."""
    if breaker.state == "closed":
        return "all"
    return "probe" if breaker.retry_at is not None and breaker.retry_at <= now else "none"


def probing(breaker: Breaker, now: datetime, cool_down: timedelta = COOL_DOWN) -> Breaker:
    """Half open: one message is under way. If its answer never comes, another may go after `cool_down`."""
    return replace(breaker, state="half_open", retry_at=now + cool_down)


def paused(breaker: Breaker, now: datetime) -> Breaker:
    """Opened by hand: it stays so until `closed`, whatever is answered."""
    return replace(breaker, state="open", reason=Reason.PAUSED, code="", opened_at=now, retry_at=None)


def closed(breaker: Breaker) -> Breaker:
    """Everything flows again."""
    return Breaker(breaker.kind, breaker.name)
