from __future__ import annotations

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from notifier import wake
from notifier.lane_hold import HOLD, LaneHold
from notifier.road import RoadUnavailable

KEY = "n:drain:wa"


def test_one_holds_a_lane_until_it_lets_go(redis_client: Redis) -> None:
    first, second = LaneHold(redis_client, "n:", "wa", "one"), LaneHold(redis_client, "n:", "wa", "two")
    assert (first.take(), second.take(), first.take()) == (True, False, False)
    first.let_go()
    assert second.take() is True


def test_another_lane_is_not_held(redis_client: Redis) -> None:
    assert LaneHold(redis_client, "n:", "wa", "one").take() is True
    assert LaneHold(redis_client, "n:", "sms", "two").take() is True


def test_keeping_prolongs_it(redis_client: Redis) -> None:
    hold = LaneHold(redis_client, "n:", "wa", "one")
    hold.take()
    redis_client.pexpire(KEY, 1000)
    assert hold.keep() is True
    assert redis_client.pttl(KEY) > 1000
    assert redis_client.pttl(KEY) <= HOLD.total_seconds() * 1000


def test_a_hold_that_was_lost_is_neither_kept_nor_given_away(redis_client: Redis) -> None:
    hold = LaneHold(redis_client, "n:", "wa", "one")
    hold.take()
    redis_client.set(KEY, "two")
    assert hold.keep() is False
    hold.let_go()
    assert redis_client.get(KEY) == b"two"


def test_who_lets_go_hears_whether_somebody_asked_meanwhile(redis_client: Redis) -> None:
    hold = LaneHold(redis_client, "n:", "wa", "one")
    hold.take()
    wake.ask(redis_client, "n:", "wa")
    assert hold.let_go() is True
    wake.answered(redis_client, "n:", "wa")
    hold.take()
    assert hold.let_go() is False


@pytest.mark.parametrize("call", ["take", "keep", "let_go"])
def test_without_redis_the_drain_hears_it_in_our_words(call: str) -> None:
    nowhere = Redis(port=9, retry=Retry(NoBackoff(), 0))
    with pytest.raises(RoadUnavailable, match="holding a lane"):
        getattr(LaneHold(nowhere, "n:", "wa", "one"), call)()
