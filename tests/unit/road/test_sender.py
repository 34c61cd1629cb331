"""The permits of a sender, on a driven clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from notifier.inbox import RoadUnavailable
from notifier.limits import Limiter, SenderState, UnknownSender, sender
from tests.unit.road.driven import RATES, Driven

MS = timedelta(milliseconds=1)


@pytest.fixture(autouse=True)
def twenty_ms(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers below are worked out for a jitter of 20 ms; test_sender_window.py holds what ours admits."""
    monkeypatch.setattr(sender, "JITTER", 20 * MS)


def test_permits_are_spaced_so_that_a_second_and_its_jitter_hold_no_more_than_the_rate() -> None:
    lease = Driven().limiter().lease("wa", 3)
    assert lease.starts == pytest.approx((0.0, 0.01275, 0.0255), abs=1e-6)
    assert lease.spacing_us == 12_750  # 1.02 s / 80


def test_no_permit_is_leased_further_ahead_than_150_ms() -> None:
    lease = Driven().limiter().lease("wa", 1_000)
    assert len(lease.starts) == 12
    assert lease.starts[-1] == pytest.approx(0.14025, abs=1e-6)
    assert lease.wait == 3 * MS  # the next one is due at 153 ms


def test_a_second_worker_gets_the_permits_after_those_of_the_first() -> None:
    driven = Driven()
    driven.limiter().lease("wa", 5)
    assert driven.limiter().lease("wa", 2).starts == pytest.approx((0.06375, 0.0765), abs=1e-6)


def test_a_lease_without_permits_says_how_long_to_wait() -> None:
    driven = Driven()
    driven.limiter().lease("slow", 1)
    lease = driven.limiter().lease("slow", 1)
    assert (lease.starts, lease.wait) == ((), 870 * MS)


def test_after_the_wait_there_is_a_permit() -> None:
    driven = Driven()
    limiter = driven.limiter()
    limiter.lease("slow", 1)
    driven.real += limiter.lease("slow", 1).wait.total_seconds()
    assert limiter.lease("slow", 1).starts == pytest.approx((0.15,), abs=1e-6)


def test_a_quiet_time_saves_up_no_permits() -> None:
    driven = Driven()
    limiter = driven.limiter()
    limiter.lease("wa", 1)
    driven.real += 3_600
    assert len(limiter.lease("wa", 1_000).starts) == 12


def test_a_busy_sender_is_used_to_all_but_the_jitter() -> None:
    driven = Driven()
    limiter = driven.limiter()
    used = 0
    for _ in range(100):
        used += len(limiter.lease("fast", 10_000).starts)
        driven.real += 0.1
    assert used == 9_853  # up to 10.05 s (the last 150 ms leased ahead) of 1,000 a second / 1.02


def test_senders_do_not_share_permits() -> None:
    limiter = Driven().limiter()
    limiter.lease("wa", 100)
    assert limiter.lease("seven", 1).starts == pytest.approx((0.0,), abs=1e-6)


def test_permits_given_back_are_leased_again() -> None:
    limiter = Driven().limiter()
    lease = limiter.lease("wa", 12)
    assert limiter.give_back("wa", lease, 7) is True
    assert limiter.lease("wa", 1).starts == pytest.approx((5 * 0.01275,), abs=1e-6)


def test_a_lease_is_given_back_once() -> None:
    limiter = Driven().limiter()
    lease = limiter.lease("wa", 12)
    assert [limiter.give_back("wa", lease, 2), limiter.give_back("wa", lease, 2)] == [True, False]
    assert limiter.lease("wa", 1).starts == pytest.approx((10 * 0.01275,), abs=1e-6)


def test_permits_are_void_when_somebody_leased_after_them() -> None:
    limiter = Driven().limiter()
    first = limiter.lease("wa", 2)
    limiter.lease("wa", 1)
    assert limiter.give_back("wa", first, 2) is False
    assert limiter.lease("wa", 1).starts == pytest.approx((3 * 0.01275,), abs=1e-6)


@pytest.mark.parametrize("k", [0, -1, 4])
def test_no_more_can_be_given_back_than_was_leased(k: int) -> None:
    limiter = Driven().limiter()
    lease = limiter.lease("wa", 3)
    assert limiter.give_back("wa", lease, k) is False
    assert limiter.lease("wa", 1).starts == pytest.approx((3 * 0.01275,), abs=1e-6)


def test_a_throttle_halves_the_rate_and_stops_for_a_second() -> None:
    driven = Driven()
    limiter = driven.limiter()
    state = limiter.throttled("wa")
    at = datetime.fromtimestamp(driven.real, UTC)
    assert state == SenderState(80.0, 40.0, timedelta(0), 1, at)
    assert (limiter.lease("wa", 1).starts, limiter.lease("wa", 1).wait) == ((), 850 * MS)
    driven.real += 1
    assert limiter.lease("wa", 2).spacing_us == 25_000  # 1.02 s / (40 + 1 % of 80)


def test_answers_to_what_left_before_the_pause_are_only_counted() -> None:
    driven = Driven()
    limiter = driven.limiter()
    limiter.throttled("wa")
    driven.real += 0.5
    state = limiter.throttled("wa")
    assert state.throttles == 2
    assert state.current_rate == pytest.approx(40.4)


def test_the_rate_comes_back_by_five_percent_in_five_seconds_and_no_further_than_configured() -> None:
    driven = Driven()
    limiter = driven.limiter()
    limiter.throttled("wa")
    rates: list[float] = []
    for _ in range(4):
        driven.real += 5 if len(rates) < 2 else 3_600
        rates.append(limiter.state("wa").current_rate)
    assert rates == pytest.approx([44.0, 48.0, 80.0, 80.0])


@pytest.mark.parametrize(("sender", "floor"), [("wa", 4.0), ("seven", 1.0), ("slow", 1.0)])
def test_the_rate_never_falls_below_its_floor(sender: str, floor: float) -> None:
    driven = Driven()
    limiter = driven.limiter()
    for _ in range(12):
        state = limiter.throttled(sender)
        driven.real += 1
    assert state.current_rate == pytest.approx(floor, rel=0.25)
    assert state.current_rate >= floor


def test_waiting_is_counted_once_however_many_wait() -> None:
    driven = Driven()
    one, other = driven.limiter(), driven.limiter()
    one.lease("slow", 1)
    one.lease("slow", 1)
    other.lease("slow", 1)
    driven.real += 0.4
    other.lease("slow", 1)
    assert one.state("slow").waiting == 870 * MS


def test_a_sender_that_is_used_to_its_limit_waits_all_the_time() -> None:
    driven = Driven()
    one, other = driven.limiter(), driven.limiter()
    for turn in range(40):
        (one if turn % 2 else other).lease("wa", 8)
        driven.real += 0.05
    assert one.state("wa").waiting >= timedelta(seconds=2)
    assert one.state("wa").waiting <= timedelta(seconds=2) + 150 * MS  # what is leased ahead waits as well


def test_a_message_that_finds_its_permit_ready_did_not_wait() -> None:
    driven = Driven()
    limiter = driven.limiter()
    for _ in range(10):
        limiter.lease("wa", 1)
        driven.real += 0.2
    assert limiter.state("wa").waiting == timedelta(0)


def test_a_worker_that_dies_with_permits_takes_150_ms_of_them_along_and_no_more() -> None:
    driven = Driven()
    died = driven.real
    assert len(driven.limiter().lease("wa", 10_000).starts) == 12
    successor = driven.limiter()
    driven.real += successor.lease("wa", 1).wait.total_seconds()
    lease = successor.lease("wa", 1)
    assert lease.taken_at + lease.starts[0] - died == pytest.approx(12 * 0.01275, abs=1e-5)


def test_a_clock_that_is_set_back_does_not_lock_the_sender_out() -> None:
    driven = Driven()
    limiter = driven.limiter()
    limiter.lease("wa", 1_000)
    driven.skew -= 7_200
    driven.real += 0.2
    lease = limiter.lease("wa", 1)
    assert (lease.starts, lease.wait) == ((), 3 * MS)
    driven.real += 0.003
    assert lease.starts == ()
    assert limiter.lease("wa", 1).starts == pytest.approx((0.15,), abs=1e-6)


def test_a_pause_that_runs_while_the_clock_is_set_back_stays_a_second() -> None:
    driven = Driven()
    limiter = driven.limiter()
    limiter.throttled("wa")
    driven.skew -= 7_200
    assert limiter.lease("wa", 1).wait == 850 * MS


def test_permits_that_grew_old_on_the_way_are_void() -> None:
    driven = Driven()
    limiter = driven.limiter()
    limiter.lease("wa", 1)
    driven.real += 1
    driven.back = 0.1  # the process did not get its turn
    starts = limiter.lease("wa", 12).starts
    assert len(starts) == 4
    assert starts[0] == pytest.approx(8 * 0.01275 - 0.1, abs=0.001)


def test_a_first_reply_that_was_held_up_does_not_shift_the_permits() -> None:
    driven = Driven()
    begin = driven.real
    driven.limiter().lease("wa", 12)
    late = driven.limiter()
    slow_calls = iter([0.1, 0.001, 0.001])
    driven.slow_replies = slow_calls
    lease = late.lease("wa", 1)
    assert lease.taken_at + lease.starts[0] == pytest.approx(begin + 12 * 0.01275, abs=0.001)


def test_without_redis_nothing_is_granted() -> None:
    limiter = Limiter(Redis(port=1, retry=Retry(NoBackoff(), 0)), "n:", RATES)
    with pytest.raises(RoadUnavailable, match="permits of wa: Redis does not answer"):
        limiter.lease("wa", 1)


def test_a_sender_without_a_rate_gets_no_permits() -> None:
    with pytest.raises(UnknownSender, match="'other' has no rate"):
        Driven().limiter().lease("other", 1)


def test_after_a_loss_a_sender_pauses_and_comes_back_from_half_and_no_throttle_is_counted() -> None:
    driven = Driven()
    limiter = driven.limiter()
    assert limiter.start_low("wa").current_rate == 40.0
    assert (limiter.lease("wa", 1).starts, limiter.state("wa").throttles) == ((), 0)
    driven.real += 10
    assert limiter.state("wa").current_rate == pytest.approx(48.0)
    limiter.start_low("wa")
    limiter.start_low("wa")  # another worker noticed as well
    assert limiter.state("wa").current_rate == pytest.approx(24.0)
