"""What becomes of a delivery after the provider's answer: a value, from one table of outcome classes.

The table is about the delivery; breakers (policy/breaker.py) and the limiter learn of the same answer by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from notifier.channels.contract import OutcomeClass
from notifier.policy.reasons import Reason


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Back to the queue. attempt False: the provider did not look at the message, so it does not count as a try."""

    due_at: datetime
    reason: Reason
    attempt: bool


@dataclass(frozen=True, slots=True)
class FallBack:
    """This delivery failed; the next channel takes over."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class GiveUp:
    """This delivery failed and no other channel follows: the notification is unreached, for this reason."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Hold:
    """The bytes may have left. Nothing is sent again; the receipt decides, or `until` comes."""

    until: datetime


Decision = RetryAt | FallBack | GiveUp | Hold


@dataclass(frozen=True, slots=True)
class RetryRules:
    """base, cap: of the backoff. margin: what the next channel needs before the event expires. park: how long a
    stopped sender's message sleeps between looks; the breaker decides when the lane goes on, so it costs little."""

    base: timedelta = timedelta(seconds=2)
    cap: timedelta = timedelta(minutes=10)
    margin: timedelta = timedelta(minutes=10)
    park: timedelta = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that was not a yes, and what is needed to decide.

    attempts: tries so far, with this one (1, 2…). throttles: throttle answers before this one (0, 1…).
    silence_at: when silence after this try would count (policy/fallback.py). more_channels: another one may follow.
    random_fraction: 0 <= x < 1, from the caller, so that a decision can be repeated.
    """

    outcome: OutcomeClass
    now: datetime
    expires_at: datetime
    silence_at: datetime
    attempts: int
    throttles: int
    more_channels: bool
    random_fraction: float
    retry_after: timedelta | None = None


_PAIR_BASE: Final = 4  # seconds to the power of x: the only backoff Meta publishes (whatsapp-cloud-api §2.1)
_PAIR_STEPS: Final = 5  # 4^5 s is 17 minutes; the whole borrowed burst of 45 is paid back after 270 s
_SENDER_BASE: Final = timedelta(seconds=1)  # throughput windows are a second long
_SENDER_CAP: Final = timedelta(minutes=1)  # the limiter halves the rate meanwhile; longer would leave the lane idle
_DOUBLINGS: Final = 32  # beyond any cap; keeps 2^attempts from overflowing a timedelta


def backoff(attempt: int, base: timedelta, cap: timedelta, random_fraction: float) -> timedelta:
    """A pause before the next try: full jitter, so anything from nothing up to min(cap, base * 2^(attempt - 1)).

    attempt: 1 after the first failure. random_fraction: 0 <= x < 1.
    """
    doublings = min(max(attempt, 1) - 1, _DOUBLINGS)
    seconds = min(cap.total_seconds(), base.total_seconds() * 2**doublings)
    return timedelta(seconds=seconds * random_fraction)


def after_answer(refusal: Refusal, rules: RetryRules) -> Decision:
    """What becomes of a delivery after an answer (or the lack of one) to its request."""
    return _only_if_possible(_AFTER_ANSWER[refusal.outcome](refusal, rules), refusal.more_channels)


def after_denial(refusal: Refusal, rules: RetryRules, reason: Reason, wait: timedelta) -> Decision:
    """What becomes of a delivery that our own limits held back: later, while that is soon enough. Never an attempt."""
    again = RetryAt(refusal.now + wait, reason, attempt=False)
    return _only_if_possible(_while_it_lasts(refusal, rules, again), refusal.more_channels)


def _only_if_possible(decision: Decision, more_channels: bool) -> Decision:
    if isinstance(decision, FallBack) and not more_channels:
        return GiveUp(Reason.ALL_CHANNELS_FAILED)
    return decision


def _retry(refusal: Refusal, rules: RetryRules) -> Decision:
    pause = backoff(refusal.attempts, rules.base, rules.cap, refusal.random_fraction)
    pause = max(pause, refusal.retry_after or pause)
    return _while_it_lasts(refusal, rules, RetryAt(refusal.now + pause, Reason.RETRY, attempt=True))


def _throttled_sender(refusal: Refusal, rules: RetryRules) -> Decision:
    spread = backoff(refusal.throttles + 1, _SENDER_BASE, _SENDER_CAP, refusal.random_fraction)
    pause = (refusal.retry_after or _SENDER_BASE) + spread
    return _while_it_lasts(refusal, rules, RetryAt(refusal.now + pause, Reason.THROTTLE_SENDER, attempt=False))


def _throttled_pair(refusal: Refusal, rules: RetryRules) -> Decision:
    pause = refusal.retry_after or timedelta(seconds=_PAIR_BASE ** min(refusal.throttles, _PAIR_STEPS))
    return _while_it_lasts(refusal, rules, RetryAt(refusal.now + pause, Reason.THROTTLE_PAIR, attempt=False))


def _park(refusal: Refusal, rules: RetryRules) -> Decision:
    return _while_it_lasts(refusal, rules, RetryAt(refusal.now + rules.park, Reason.SENDER_STOPPED, attempt=False))


def _while_it_lasts(refusal: Refusal, rules: RetryRules, again: RetryAt) -> Decision:
    """Again while there is time. The next channel needs `margin` of it; where there is none, the last second counts."""
    if refusal.more_channels and again.due_at + rules.margin > refusal.expires_at:
        stopped = again.reason is Reason.SENDER_STOPPED
        return FallBack(Reason.SENDER_STOPPED if stopped else Reason.OUT_OF_TIME)
    if again.due_at >= refusal.expires_at:
        return GiveUp(Reason.EXPIRED)
    return again


def _fall_back(refusal: Refusal, rules: RetryRules) -> Decision:
    return FallBack(_REASONS[refusal.outcome])


def _refused(refusal: Refusal, rules: RetryRules) -> Decision:
    return GiveUp(Reason.REFUSED)


def _hold(refusal: Refusal, rules: RetryRules) -> Decision:
    return Hold(refusal.silence_at)


_REASONS: Final[Mapping[OutcomeClass, Reason]] = {
    OutcomeClass.FALLBACK: Reason.UNDELIVERABLE,
    OutcomeClass.TEMPLATE_STOP: Reason.TEMPLATE_STOPPED,
    OutcomeClass.DEAD: Reason.BAD_MESSAGE,
}

_AFTER_ANSWER: Final[Mapping[OutcomeClass, Callable[[Refusal, RetryRules], Decision]]] = {
    OutcomeClass.RETRY: _retry,
    OutcomeClass.THROTTLE_SENDER: _throttled_sender,
    OutcomeClass.THROTTLE_PAIR: _throttled_pair,
    OutcomeClass.FALLBACK: _fall_back,
    OutcomeClass.TEMPLATE_STOP: _fall_back,
    OutcomeClass.SENDER_STOP: _park,
    OutcomeClass.SUPPRESS: _refused,
    OutcomeClass.DEAD: _fall_back,
    OutcomeClass.UNKNOWN: _hold,
}
