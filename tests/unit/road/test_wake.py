from __future__ import annotations

import pytest
from fakeredis import FakeRedis
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from notifier import wake
from notifier.inbox import RoadUnavailable


def test_only_the_first_who_asks_has_to_publish() -> None:
    redis = FakeRedis()
    assert [wake.ask(redis, "n:", "wa") for _ in range(3)] == [True, False, False]


def test_after_the_drain_has_answered_the_next_who_asks_publishes() -> None:
    redis = FakeRedis()
    wake.ask(redis, "n:", "wa")
    wake.answered(redis, "n:", "wa")
    assert wake.ask(redis, "n:", "wa") is True


def test_of_many_lanes_those_are_returned_that_nobody_has_asked_for() -> None:
    redis = FakeRedis()
    wake.ask(redis, "n:", "wa")
    assert wake.ask_many(redis, "n:", ["sms", "wa", "sms", "mail"]) == ["sms", "mail"]


def test_no_lanes_means_no_call() -> None:
    assert wake.ask_many(Redis(port=1), "n:", []) == []


def test_an_unanswered_wake_up_is_taken_for_lost_after_a_while() -> None:
    redis = FakeRedis()
    wake.ask(redis, "n:", "wa")
    assert 0 < redis.pttl("n:wake:wa") <= wake.UNANSWERED.total_seconds() * 1_000


def test_one_that_waits_behind_others_is_taken_for_lost_later() -> None:
    redis = FakeRedis()
    wake.ask_many(redis, "n:", [f"lane-{number}" for number in range(500)])
    assert redis.pttl("n:wake:lane-0") <= wake.UNANSWERED.total_seconds() * 1_000
    longest = wake.UNANSWERED + wake.MOST_QUEUED
    assert wake.MOST_QUEUED.total_seconds() * 1_000 < redis.pttl("n:wake:lane-499") <= longest.total_seconds() * 1_000


def test_lanes_whose_wake_up_could_not_be_published_may_be_asked_for_again() -> None:
    redis = FakeRedis()
    wake.ask_many(redis, "n:", ["wa", "sms", "mail"])
    wake.unasked(redis, "n:", ["wa", "mail"])
    wake.unasked(redis, "n:", [])
    assert wake.ask_many(redis, "n:", ["wa", "sms", "mail"]) == ["wa", "mail"]


def test_without_redis_asking_says_so() -> None:
    with pytest.raises(RoadUnavailable, match="asking for drains: Redis does not answer"):
        wake.ask(Redis(port=1, retry=Retry(NoBackoff(), 0)), "n:", "wa")
