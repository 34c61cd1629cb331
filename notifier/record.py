"""From what came back to what the ledger holds: answers, refusals, lost answers, requests that never left.

One transaction for a batch. What a refusal means for its own row is policy (`policy/retry.py`); what it means for
others is in `effects.py`; what comes after an ended delivery is in `follow.py`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from notifier import telemetry
from notifier.carry import Carried, Denial
from notifier.channels.contract import Accepted, Answer, OutcomeClass, Refused
from notifier.effects import Seen, note_outcomes
from notifier.events import NotifierError
from notifier.follow import carry_on
from notifier.handles import Exchange, NotAllowed
from notifier.ledger import Connection, steps
from notifier.ledger.claims import Claimed
from notifier.policy.reasons import Reason
from notifier.policy.retry import (
    Decision,
    FallBack,
    GiveUp,
    Hold,
    Refusal,
    RetryAt,
    RetryRules,
    after_answer,
    after_denial,
)
from notifier.runtime import Runtime

# The request never left this machine: safe to try again.
NOT_SENT = "not_sent"

# What a message that our own limits held back for good is recorded as, when its time is over before it may go.
_DENIED_AS = {
    Reason.THROTTLE_PAIR: OutcomeClass.THROTTLE_PAIR,
    Reason.PORTFOLIO_FULL: OutcomeClass.THROTTLE_SENDER,
}


class Result(NamedTuple):
    """What became of one message. answer None: it was never started, and goes back as it was."""

    claimed: Claimed
    answer: Answer | Denial | None

    @classmethod
    def released(cls, claimed: Claimed) -> Result:
        return cls(claimed, None)


@dataclass(slots=True)
class Recorded:
    """What was written: counts by outcome, and the lanes that have new work. slowed: the sender was too fast."""

    counts: Counter[str] = field(default_factory=Counter)
    lanes: set[str] = field(default_factory=set)
    slowed: bool = False


@dataclass(slots=True)
class Batch:
    """Results by the step that each takes. probing: a breaker of the lane is half open, so good news is seen as well.

    dropped: deliveries whose result is such that we fail on it; they stay claimed until their lease ends.
    """

    probing: bool
    accept: list[steps.Accept] = field(default_factory=list)
    requeue: list[steps.Requeue] = field(default_factory=list)
    lose: list[steps.Lose] = field(default_factory=list)
    fail: list[steps.Fail] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    dropped: set[str] = field(default_factory=set)


def result_of(exchange: Exchange, read_answer: Callable[[int, bytes], Answer]) -> Result:
    """What an exchange says. Never connected is safe to retry; sent, then silence, is UNKNOWN and never sent again."""
    carried = exchange.token
    if not isinstance(carried, Carried):
        raise TypeError("the transport gave back a token that is not ours")
    if exchange.status is not None:
        return Result(carried.claimed, _read(exchange.status, exchange.body, read_answer))
    if exchange.failure == NOT_SENT:
        return Result(carried.claimed, Refused(OutcomeClass.RETRY, NOT_SENT, exchange.detail))
    return Result(carried.claimed, Refused(OutcomeClass.UNKNOWN, "no_answer", exchange.detail))


def _read(status: int, body: bytes, read_answer: Callable[[int, bytes], Answer]) -> Answer:
    try:
        return read_answer(status, body)
    except Exception as error:  # a fault of ours: the other answers are worth more than its trace
        return Refused(OutcomeClass.UNKNOWN, "unreadable", telemetry.place_of(error))


def not_started(carried: Carried, error: Exception) -> Result:
    """A request that could not be built, or that the transport would not take. Nothing of it left.

    What the transport refuses (its host, a token that no header can carry) it refuses for every message of the sender.
    """
    if not isinstance(error, NotifierError):
        place = telemetry.place_of(error)
        telemetry.note("delivery.poison", delivery_id=carried.claimed.delivery_id, place=place)
        return Result(carried.claimed, Refused(OutcomeClass.DEAD, "poison", place))
    outcome = OutcomeClass.SENDER_STOP if isinstance(error, NotAllowed) else OutcomeClass.DEAD
    return Result(carried.claimed, Refused(outcome, "not_started", str(error)[:300]))


def sort_results(runtime: Runtime, lane: str, results: Sequence[Result], now: datetime, *, probing: bool) -> Batch:
    """What each result means for its own row. Touches no store, so it need not hold up a transaction."""
    batch = Batch(probing)
    for result in results:
        try:
            _sort(runtime, lane, result, now, batch)
        except Exception as error:  # a fault of ours: a receipt decides, and the batch goes on without it
            delivery_id = result.claimed.delivery_id
            batch.dropped.add(delivery_id)
            telemetry.note("delivery.poison", delivery_id=delivery_id, place=telemetry.place_of(error))
    return batch


def record(conn: Connection, runtime: Runtime, batch: Batch, now: datetime, owner: str | None = None) -> Recorded:
    """Writes a batch. owner: the drain whose claims these are; what another has claimed since is not taken from it."""
    after = Recorded()
    _count(after, "accepted", steps.accept(conn, batch.accept, now, "drain") if batch.accept else None)
    _count(after, "requeued", steps.requeue(conn, batch.requeue, now, "drain", owner) if batch.requeue else None)
    _count(after, "unknown", steps.lose_track(conn, batch.lose, now, "drain", owner) if batch.lose else None)
    if batch.fail:
        failed = steps.fail(conn, batch.fail, now, "drain")
        _count(after, "failed", failed)
        after.lanes |= carry_on(conn, runtime, sorted(failed.moved), now, "drain")
    after.slowed = any(one.outcome is OutcomeClass.THROTTLE_SENDER for one in batch.seen)
    if batch.probing or any(one.outcome for one in batch.seen):
        note_outcomes(conn, runtime, batch.seen, now, "drain")
    return after


def _count(after: Recorded, name: str, moved: steps.Moved | None) -> None:
    if moved is not None:
        after.counts[name] += len(moved.moved)
        after.counts["lost"] += len(moved.lost)


def _sort(runtime: Runtime, lane: str, result: Result, now: datetime, batch: Batch) -> None:
    one, answer = result
    match answer:
        case None:
            batch.requeue.append(steps.Requeue(one.delivery_id, one.due_at, "released", "", "", attempt=False))
        case Accepted(provider_id, held):
            silence = runtime.silence_at(lane, one.template, now)
            batch.accept.append(steps.Accept(one.delivery_id, provider_id, now, silence, held))
            if batch.probing:
                batch.seen.append(_seen(one, lane, None, ""))
            telemetry.note("delivery.latency", channel=one.channel, seconds=(now - one.due_at).total_seconds())
        case Denial(reason, wait):
            denied = Refused(_DENIED_AS[reason], reason)
            decision = after_denial(_refusal(runtime, lane, one, denied, now), _rules(runtime), reason, wait)
            _put(batch, one, denied, decision, now)
        case Refused(outcome, code):
            batch.seen.append(_seen(one, lane, outcome, code))
            _put(batch, one, answer, after_answer(_refusal(runtime, lane, one, answer, now), _rules(runtime)), now)


def _put(batch: Batch, one: Claimed, answer: Refused, decision: Decision, now: datetime) -> None:
    match decision:
        case RetryAt(due_at, reason, attempt):
            row = steps.Requeue(one.delivery_id, due_at, reason, answer.code, answer.detail, attempt=attempt)
            batch.requeue.append(row)
        case Hold(until):
            batch.lose.append(steps.Lose(one.delivery_id, Reason.UNKNOWN_OUTCOME, answer.detail, until))
        case FallBack(reason) | GiveUp(reason):
            batch.fail.append(steps.Fail(one.delivery_id, answer.outcome, answer.code, answer.detail, reason, now))


def _refusal(runtime: Runtime, lane: str, one: Claimed, answer: Refused, now: datetime) -> Refusal:
    return Refusal(
        outcome=answer.outcome,
        now=now,
        expires_at=one.expires_at,
        silence_at=runtime.unknown_until(lane, one.template, now),
        attempts=one.attempts + 1,
        throttles=one.throttles,
        more_channels=one.channel != one.channels[-1],
        random_fraction=random.random(),  # noqa: S311 - spreads retries, guards nothing
        retry_after=answer.retry_after,
    )


def _rules(runtime: Runtime) -> RetryRules:
    settings = runtime.settings
    return RetryRules(settings.retry.base, settings.retry.cap, settings.fallback.margin)


def _seen(one: Claimed, lane: str, outcome: OutcomeClass | None, code: str) -> Seen:
    return Seen(lane, one.channel, one.shop, one.event, one.phone, one.template, one.locale, outcome, code)
