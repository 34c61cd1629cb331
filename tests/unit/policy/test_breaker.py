from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from notifier.channels.contract import OutcomeClass
from notifier.policy.breaker import Breaker, admits, closed, on_outcome, paused, probing
from notifier.policy.reasons import Reason

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LANE = Breaker("lane", "nile-wa")
TEMPLATE = Breaker("template", "order_shipped/ar@nile-wa")


def opened(breaker: Breaker = LANE, minutes_ago: float = 0) -> Breaker:
    outcome = OutcomeClass.SENDER_STOP if breaker.kind == "lane" else OutcomeClass.TEMPLATE_STOP
    return on_outcome(breaker, outcome, "190", NOW - minutes_ago * MINUTE)


def test_a_cool_down_above_the_longest_is_cut_to_it() -> None:
    assert on_outcome(LANE, OutcomeClass.SENDER_STOP, "", NOW, 9 * MINUTE, 6 * MINUTE).retry_at == NOW + 6 * MINUTE


def test_a_sender_stop_opens_the_lane_at_once() -> None:
    assert opened() == Breaker("lane", "nile-wa", "open", Reason.SENDER_STOPPED, "190", NOW, NOW + MINUTE)


def test_a_template_stop_opens_that_template_and_language_at_once() -> None:
    found = on_outcome(TEMPLATE, OutcomeClass.TEMPLATE_STOP, "132001", NOW)
    assert found == Breaker(
        "template", "order_shipped/ar@nile-wa", "open", Reason.TEMPLATE_STOPPED, "132001", NOW, NOW + MINUTE
    )


@pytest.mark.parametrize("breaker", [LANE, TEMPLATE], ids=["lane", "template"])
@pytest.mark.parametrize("outcome", [None, *OutcomeClass])
def test_nothing_else_opens_it(breaker: Breaker, outcome: OutcomeClass | None) -> None:
    opens = OutcomeClass.SENDER_STOP if breaker.kind == "lane" else OutcomeClass.TEMPLATE_STOP
    if outcome is not opens:
        assert on_outcome(breaker, outcome, "x", NOW) is breaker


@pytest.mark.parametrize("outcome", [None, *OutcomeClass])
def test_answers_to_requests_that_left_before_change_nothing_while_it_is_open(outcome: OutcomeClass | None) -> None:
    shut = opened()
    assert on_outcome(shut, outcome, "x", NOW + 5 * MINUTE) is shut


def test_one_message_may_try_after_the_cool_down() -> None:
    assert admits(LANE, NOW) == "all"
    assert admits(opened(), NOW) == "none"
    assert admits(opened(), NOW + MINUTE - timedelta(microseconds=1)) == "none"
    assert admits(opened(), NOW + MINUTE) == "probe"


def test_while_it_is_under_way_nobody_else_may_until_it_is_lost() -> None:
    trying = probing(opened(), NOW + MINUTE)
    assert trying.state == "half_open"
    assert trying.opened_at == NOW
    assert admits(trying, NOW + MINUTE) == "none"
    assert admits(trying, NOW + 2 * MINUTE) == "probe"


@pytest.mark.parametrize(
    ("breaker", "outcome", "closes"),
    [
        (LANE, None, True),
        (LANE, OutcomeClass.FALLBACK, True),
        (LANE, OutcomeClass.TEMPLATE_STOP, True),
        (LANE, OutcomeClass.SUPPRESS, True),
        (LANE, OutcomeClass.RETRY, False),
        (LANE, OutcomeClass.THROTTLE_SENDER, False),
        (LANE, OutcomeClass.DEAD, False),
        (LANE, OutcomeClass.UNKNOWN, False),
        (TEMPLATE, None, True),
        (TEMPLATE, OutcomeClass.FALLBACK, False),
        (TEMPLATE, OutcomeClass.SENDER_STOP, False),
    ],
)
def test_a_probe_closes_it_only_by_proving_it_well(
    breaker: Breaker, outcome: OutcomeClass | None, closes: bool
) -> None:
    trying = probing(opened(breaker), NOW + MINUTE)
    found = on_outcome(trying, outcome, "", NOW + MINUTE)
    assert found == (breaker if closes else trying)


def test_each_failed_probe_doubles_the_time_it_has_been_shut_up_to_half_an_hour() -> None:
    breaker, now, shut = opened(), NOW, []
    for _ in range(8):
        assert breaker.retry_at is not None
        now = breaker.retry_at
        breaker = on_outcome(probing(breaker, now), OutcomeClass.SENDER_STOP, "190", now)
        assert breaker.retry_at is not None
        assert breaker.opened_at == NOW
        shut.append((breaker.retry_at - now) / MINUTE)
    assert shut == [1, 2, 4, 8, 16, 30, 30, 30]


def test_the_operators_own_cool_downs_are_kept() -> None:
    assert on_outcome(LANE, OutcomeClass.SENDER_STOP, "", NOW, 5 * MINUTE, 6 * MINUTE).retry_at == NOW + 5 * MINUTE
    trying = probing(opened(minutes_ago=60), NOW, 5 * MINUTE)
    assert trying.retry_at == NOW + 5 * MINUTE
    assert on_outcome(trying, OutcomeClass.SENDER_STOP, "", NOW, 5 * MINUTE, 6 * MINUTE).retry_at == NOW + 6 * MINUTE


@pytest.mark.parametrize("outcome", [None, *OutcomeClass])
def test_one_that_was_opened_by_hand_never_moves_by_itself(outcome: OutcomeClass | None) -> None:
    stopped = paused(LANE, NOW)
    assert stopped == Breaker("lane", "nile-wa", "open", Reason.PAUSED, "", NOW, None)
    assert on_outcome(stopped, outcome, "x", NOW + 999 * MINUTE) is stopped
    assert admits(stopped, NOW + 999 * MINUTE) == "none"


def test_a_hand_closes_whatever_is_open_and_opens_whatever_is_probing() -> None:
    assert closed(paused(LANE, NOW)) == LANE
    assert paused(probing(opened(), NOW), NOW + MINUTE).retry_at is None
