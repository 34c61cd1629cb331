from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.channels.contract import OutcomeClass
from notifier.policy.reasons import REQUEUED, Reason
from notifier.policy.retry import (
    FallBack,
    GiveUp,
    Hold,
    Refusal,
    RetryAt,
    RetryRules,
    after_answer,
    after_denial,
    backoff,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
RULES = RetryRules(base=2 * SECOND, cap=10 * MINUTE, margin=10 * MINUTE, park=MINUTE)


def refusal(outcome: str, **changes: object) -> Refusal:
    plain = Refusal(
        outcome=OutcomeClass(outcome),
        now=NOW,
        expires_at=NOW + timedelta(hours=4),
        silence_at=NOW + timedelta(hours=1),
        attempts=1,
        throttles=0,
        more_channels=True,
        random_fraction=0.5,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 2), (2, 4), (3, 8), (9, 512), (10, 600), (11, 600), (10_000, 600), (0, 2)]
)
def test_the_backoff_doubles_up_to_its_cap(attempt: int, seconds: int) -> None:
    assert backoff(attempt, 2 * SECOND, 10 * MINUTE, 0.5) == timedelta(seconds=seconds / 2)


def test_full_jitter_begins_at_nothing() -> None:
    assert backoff(5, 2 * SECOND, 10 * MINUTE, 0.0) == timedelta(0)


@given(st.integers(1, 100_000), st.integers(1, 60), st.integers(1, 86_400), st.floats(0, 1, exclude_max=True))
def test_the_backoff_never_exceeds_cap_or_step(attempt: int, base: int, cap: int, fraction: float) -> None:
    pause = backoff(attempt, base * SECOND, cap * SECOND, fraction)
    assert timedelta(0) <= pause <= min(cap * SECOND, base * SECOND * 2 ** min(attempt - 1, 40))


@given(st.integers(1, 60), st.floats(0, 1, exclude_max=True))
def test_a_later_try_never_has_a_shorter_ceiling(attempt: int, fraction: float) -> None:
    assert backoff(attempt, SECOND, MINUTE, fraction) <= backoff(attempt + 1, SECOND, MINUTE, fraction)


@pytest.mark.parametrize(
    ("label", "answer", "decision"),
    [
        ("a passing fault", refusal("RETRY"), RetryAt(NOW + SECOND, Reason.RETRY, attempt=True)),
        ("the third in a row", refusal("RETRY", attempts=3), RetryAt(NOW + 4 * SECOND, Reason.RETRY, attempt=True)),
        ("with a time to come back", refusal("RETRY", retry_after=MINUTE),
         RetryAt(NOW + MINUTE, Reason.RETRY, attempt=True)),
        ("which is no reason to hurry", refusal("RETRY", attempts=3, retry_after=SECOND),
         RetryAt(NOW + 4 * SECOND, Reason.RETRY, attempt=True)),
        ("the sender is too fast", refusal("THROTTLE_SENDER"),
         RetryAt(NOW + 1.5 * SECOND, Reason.THROTTLE_SENDER, attempt=False)),
        ("again and again", refusal("THROTTLE_SENDER", throttles=4),
         RetryAt(NOW + 9 * SECOND, Reason.THROTTLE_SENDER, attempt=False)),
        ("with a time to come back", refusal("THROTTLE_SENDER", retry_after=MINUTE),
         RetryAt(NOW + 60.5 * SECOND, Reason.THROTTLE_SENDER, attempt=False)),
        ("the pair, x = 0", refusal("THROTTLE_PAIR"), RetryAt(NOW + SECOND, Reason.THROTTLE_PAIR, attempt=False)),
        ("the pair, x = 1", refusal("THROTTLE_PAIR", throttles=1),
         RetryAt(NOW + 4 * SECOND, Reason.THROTTLE_PAIR, attempt=False)),
        ("the pair, x = 3", refusal("THROTTLE_PAIR", throttles=3),
         RetryAt(NOW + 64 * SECOND, Reason.THROTTLE_PAIR, attempt=False)),
        ("the pair, no longer than this", refusal("THROTTLE_PAIR", throttles=99),
         RetryAt(NOW + 1024 * SECOND, Reason.THROTTLE_PAIR, attempt=False)),
        ("the sender is stopped", refusal("SENDER_STOP"),
         RetryAt(NOW + MINUTE, Reason.SENDER_STOPPED, attempt=False)),
        ("not on this channel", refusal("FALLBACK"), FallBack(Reason.UNDELIVERABLE)),
        ("the template is stopped", refusal("TEMPLATE_STOP"), FallBack(Reason.TEMPLATE_STOPPED)),
        ("our message is wrong", refusal("DEAD"), FallBack(Reason.BAD_MESSAGE)),
        ("consent or policy", refusal("SUPPRESS"), GiveUp(Reason.REFUSED)),
        ("the answer is lost", refusal("UNKNOWN"), Hold(NOW + timedelta(hours=1))),
    ],
)  # fmt: skip
def test_every_outcome_class_has_one_consequence(label: str, answer: Refusal, decision: object) -> None:
    assert after_answer(answer, RULES) == decision


LAST = timedelta(minutes=10)  # of margin


@pytest.mark.parametrize(
    ("label", "answer", "decision"),
    [
        ("just enough time for the next channel", refusal("RETRY", expires_at=NOW + SECOND + LAST),
         RetryAt(NOW + SECOND, Reason.RETRY, attempt=True)),
        ("one microsecond too little", refusal("RETRY", expires_at=NOW + SECOND + LAST - timedelta(microseconds=1)),
         FallBack(Reason.OUT_OF_TIME)),
        ("a throttle at the end", refusal("THROTTLE_SENDER", expires_at=NOW + LAST), FallBack(Reason.OUT_OF_TIME)),
        ("a pair throttle at the end", refusal("THROTTLE_PAIR", expires_at=NOW + LAST), FallBack(Reason.OUT_OF_TIME)),
        ("a stopped sender at the end", refusal("SENDER_STOP", expires_at=NOW + LAST),
         FallBack(Reason.SENDER_STOPPED)),
        ("no other channel: to the last second", refusal("RETRY", expires_at=NOW + 2 * SECOND, more_channels=False),
         RetryAt(NOW + SECOND, Reason.RETRY, attempt=True)),
        ("and not beyond", refusal("RETRY", expires_at=NOW + SECOND, more_channels=False), GiveUp(Reason.EXPIRED)),
        ("a stopped sender and no other", refusal("SENDER_STOP", expires_at=NOW + SECOND, more_channels=False),
         GiveUp(Reason.EXPIRED)),
        ("an unreachable recipient and no other channel", refusal("FALLBACK", more_channels=False),
         GiveUp(Reason.ALL_CHANNELS_FAILED)),
        ("a stopped template and no other channel", refusal("TEMPLATE_STOP", more_channels=False),
         GiveUp(Reason.ALL_CHANNELS_FAILED)),
        ("a refusal goes round nothing", refusal("SUPPRESS", more_channels=True), GiveUp(Reason.REFUSED)),
        ("a lost answer is held whatever follows", refusal("UNKNOWN", more_channels=False, expires_at=NOW),
         Hold(NOW + timedelta(hours=1))),
    ],
)  # fmt: skip
def test_time_and_the_channels_that_are_left_decide(label: str, answer: Refusal, decision: object) -> None:
    assert after_answer(answer, RULES) == decision


ANY_REFUSAL = st.builds(
    Refusal,
    outcome=st.sampled_from(OutcomeClass),
    now=st.just(NOW),
    expires_at=st.integers(-60, 86_400).map(lambda seconds: NOW + seconds * SECOND),
    silence_at=st.just(NOW + MINUTE),
    attempts=st.integers(1, 1000),
    throttles=st.integers(0, 1000),
    more_channels=st.booleans(),
    random_fraction=st.floats(0, 1, exclude_max=True),
    retry_after=st.none() | st.integers(0, 100_000).map(lambda seconds: seconds * SECOND),
)


@given(ANY_REFUSAL)
def test_no_retry_is_due_before_now_or_after_the_event_expired(answer: Refusal) -> None:
    decision = after_answer(answer, RULES)
    if isinstance(decision, RetryAt):
        assert NOW <= decision.due_at < answer.expires_at
        assert decision.reason in REQUEUED
        assert decision.attempt is (answer.outcome is OutcomeClass.RETRY)
    if isinstance(decision, FallBack):
        assert answer.more_channels


@pytest.mark.parametrize(
    ("label", "left", "more_channels", "decision"),
    [
        ("in time", HOUR + 10 * MINUTE, True, RetryAt(NOW + HOUR, Reason.PORTFOLIO_FULL, attempt=False)),
        ("too late for the next channel", HOUR + 10 * MINUTE - SECOND, True, FallBack(Reason.OUT_OF_TIME)),
        ("on the last channel", HOUR + SECOND, False, RetryAt(NOW + HOUR, Reason.PORTFOLIO_FULL, attempt=False)),
        ("on the last channel, too late", HOUR, False, GiveUp(Reason.EXPIRED)),
    ],
)
def test_what_our_own_limits_hold_back_waits_while_that_is_soon_enough(
    label: str, left: timedelta, more_channels: bool, decision: object
) -> None:
    held = refusal("THROTTLE_SENDER", expires_at=NOW + left, more_channels=more_channels)
    assert after_denial(held, RULES, Reason.PORTFOLIO_FULL, HOUR) == decision
