"""Pair limits, on a driven clock."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.road.driven import Driven

S = timedelta(seconds=1)
NOW = timedelta(0)


def test_a_recipient_may_get_45_messages_at_once_then_one_in_six_seconds() -> None:
    waits = Driven().limiter().admit_pairs("wa", ["+971500000001"] * 48)
    assert waits == [NOW] * 45 + [6 * S, 12 * S, 18 * S]


def test_a_denied_message_takes_no_token() -> None:
    driven = Driven()
    limiter = driven.limiter()
    limiter.admit_pairs("wa", ["+971500000001"] * 60)
    driven.real += 6
    assert limiter.admit_pairs("wa", ["+971500000001"] * 2) == [NOW, 6 * S]


def test_recipients_and_senders_have_buckets_of_their_own() -> None:
    limiter = Driven().limiter()
    limiter.admit_pairs("wa", ["+971500000001"] * 45)
    assert limiter.admit_pairs("wa", ["+971500000002", "+971500000001"]) == [NOW, 6 * S]
    assert limiter.admit_pairs("fast", ["+971500000001"]) == [NOW]


def test_tokens_of_messages_not_sent_come_back() -> None:
    limiter = Driven().limiter()
    limiter.admit_pairs("wa", ["+971500000001"] * 45)
    limiter.back_pairs("wa", ["+971500000001"] * 2)
    assert limiter.admit_pairs("wa", ["+971500000001"] * 3) == [NOW, NOW, 6 * S]


def test_tokens_given_back_never_overfill_a_bucket() -> None:
    limiter = Driven().limiter()
    limiter.back_pairs("wa", ["+971500000001"] * 9)
    assert limiter.admit_pairs("wa", ["+971500000001"] * 46) == [NOW] * 45 + [6 * S]


def test_a_blocked_pair_waits_for_the_pause_and_starts_from_an_empty_bucket() -> None:
    driven = Driven()
    limiter = driven.limiter()
    limiter.block_pair("wa", "+971500000001", 60 * S)
    assert limiter.admit_pairs("wa", ["+971500000001"]) == [60 * S]
    driven.real += 60
    assert limiter.admit_pairs("wa", ["+971500000001"] * 2) == [NOW, 6 * S]


def test_tokens_given_back_do_not_shorten_a_block() -> None:
    limiter = Driven().limiter()
    limiter.admit_pairs("wa", ["+971500000001"] * 10)
    limiter.block_pair("wa", "+971500000001", 60 * S)
    limiter.back_pairs("wa", ["+971500000001"] * 9)
    assert limiter.admit_pairs("wa", ["+971500000001"]) == [60 * S]


def test_a_block_without_a_pause_lasts_one_refill() -> None:
    limiter = Driven().limiter()
    limiter.block_pair("wa", "+971500000001")
    assert limiter.admit_pairs("wa", ["+971500000001"]) == [6 * S]


def test_a_clock_that_is_set_back_owes_no_more_than_an_empty_bucket() -> None:
    driven = Driven()
    limiter = driven.limiter()
    limiter.admit_pairs("wa", ["+971500000001"])
    driven.skew -= 7_200
    assert limiter.admit_pairs("wa", ["+971500000001"]) == [6 * S]


def test_no_batch_means_no_call() -> None:
    assert Driven().limiter().admit_pairs("wa", []) == []


def test_no_phone_is_in_redis_and_every_key_expires() -> None:
    driven = Driven()
    driven.limiter().admit_pairs("wa", ["+971500000001"])
    (key,) = driven.redis().keys()
    assert b"971500000001" not in key
    assert 0 < driven.redis().pttl(key) <= 6_000  # when the bucket is full again there is nothing to remember


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 40)), min_size=1, max_size=30))
def test_no_stretch_of_time_admits_more_than_a_full_bucket_and_its_refill(turns: list[tuple[int, int]]) -> None:
    driven = Driven()
    limiter = driven.limiter()
    admitted: list[float] = []
    for number, rest in turns:
        waits = limiter.admit_pairs("wa", ["+971500000001"] * number)
        admitted += [driven.real] * waits.count(NOW)
        driven.real += rest
    for i, begin in enumerate(admitted):
        for j in range(i, len(admitted)):
            assert j - i + 1 <= 45 + int((admitted[j] - begin) / 6)
