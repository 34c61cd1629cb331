"""The one place that asks platforms: within its time, at its address, and not twice for the same."""

from __future__ import annotations

from datetime import timedelta

import pytest
from redis import Redis

from notifier.door import open_road
from notifier.lookups.contract import Answer, Ask, Conversation, LookUpFailed
from notifier.lookups.fetch import KEEP, Fetcher, Place
from notifier.sources.contract import Parsed
from tests.integration.lookups.platform import FakePlatform, Reply

ASK = Ask("/orders/1", (("a[b]", "c d"),))


class Time:
    """A clock that only pauses move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


def fetcher(redis: Redis | None = None, box: float = 5.0) -> tuple[Fetcher, Time]:
    time = Time()
    return Fetcher(redis, "t:", timedelta(seconds=box), time, time.pause), time


def place(platform: FakePlatform, token: str = "t-1") -> Place:
    return Place(platform.url, {"Authorization": f"Bearer {token}"})


def twice() -> Conversation:
    """Asks the same thing two times."""
    first = yield ASK
    second = yield ASK
    return Parsed(ignored=f"{first.body} {second.body}")


def hold(one: Fetcher, where: Place) -> str | None:
    return one.hold(twice(), where, one.deadline()).ignored


def test_an_ask_is_a_get_with_credentials_below_the_address(platform: FakePlatform) -> None:
    platform.replies["/shop/orders/1"] = [
        Reply(body={"id": 1}, headers={"Link": '<https://x.example/?p=2>; rel="next"'})
    ]
    answer = fetcher()[0].ask(ASK, Place(platform.url + "/shop/", {"Authorization": "Bearer t-1"}))
    assert answer == Answer({"id": 1}, {"next": "https://x.example/?p=2"})
    [(path, headers)] = platform.asked
    assert path == "/shop/orders/1?a%5Bb%5D=c+d"
    assert (headers["authorization"], headers["accept-encoding"]) == ("Bearer t-1", "identity")


def test_an_answer_is_kept_for_a_minute_and_for_its_own_credentials(
    platform: FakePlatform, redis_client: Redis
) -> None:
    platform.replies["/orders/1"] = [Reply(body=1), Reply(body=2), Reply(body=3)]
    one, _ = fetcher(redis_client)
    assert hold(one, place(platform)) == "1 1"
    assert hold(one, place(platform)) == "1 1"
    assert hold(one, place(platform, "another shop's")) == "2 2"
    [*keys] = redis_client.scan_iter("t:lookup:*")
    assert len(keys) == 2
    assert all(0 < redis_client.pttl(key) <= KEEP.total_seconds() * 1000 for key in keys)
    assert not any(b"orders" in key for key in keys)


def test_without_redis_every_ask_is_a_request(platform: FakePlatform) -> None:
    platform.replies["/orders/1"] = [Reply(body=1), Reply(body=2)]
    assert hold(fetcher()[0], place(platform)) == "1 2"
    away = Fetcher(open_road("redis://127.0.0.1:1"), "t:")
    assert hold(away, place(platform)) == "2 2"


def test_a_platform_that_is_busy_is_asked_again(platform: FakePlatform) -> None:
    platform.replies["/orders/1"] = [Reply(429, {}), Reply(503, {}), Reply(body="here")]
    assert fetcher()[0].ask(ASK, place(platform)).body == "here"
    assert len(platform.asked) == 3


def test_a_platform_that_stays_busy_ends_with_the_time_box(platform: FakePlatform) -> None:
    platform.replies["/orders/1"] = [Reply(503, {})]
    one, time = fetcher()
    with pytest.raises(LookUpFailed, match="answers 503; ask later") as caught:
        one.ask(ASK, place(platform))
    assert caught.value.again and time.now < 5.0


def test_the_time_box_is_for_the_whole_conversation(platform: FakePlatform) -> None:
    platform.replies["/orders/1"] = [Reply(503, {}), Reply(503, {}), Reply(body=1), Reply(503, {})]
    one, time = fetcher()
    with pytest.raises(LookUpFailed):
        hold(one, place(platform))
    assert time.now < 5.0


@pytest.mark.parametrize(
    ("reply", "says", "again"),
    [
        (Reply(401, {}), "answers 401: the credentials are wrong: mend NOTIFIER_LOOKUP_*", False),
        (Reply(403, {}), "answers 403: the credentials may not read orders", False),
        (Reply(404, {}), "answers 404: the platform has no such order", False),
        (Reply(301, {}, {"Location": "http://127.0.0.1:9/"}), "answers 301: look at the address", False),
        (Reply(raw=b"<html>log in</html>"), "answered no JSON", False),
        (Reply(raw=b"[" + b" " * (8 * 1024 * 1024) + b"]"), "an answer of more than", False),
        (Reply(raw=b'{"id": 1', cut=True), "does not answer (ConnectionError)", True),
    ],
    ids=["401", "403", "404", "redirect", "html", "too large", "cut"],
)
def test_what_is_no_order_says_why_and_whether_to_ask_again(
    platform: FakePlatform, reply: Reply, says: str, again: bool
) -> None:
    platform.replies["/orders/1"] = [reply]
    with pytest.raises(LookUpFailed) as caught:
        fetcher()[0].ask(ASK, place(platform))
    assert says in str(caught.value)
    assert (caught.value.again, "t-1" in str(caught.value)) == (again, False)


def test_nobody_there_is_worth_asking_again() -> None:
    with pytest.raises(LookUpFailed, match="does not answer") as caught:
        fetcher(box=0.5)[0].ask(ASK, Place("http://127.0.0.1:1", {}))
    assert caught.value.again


def test_credentials_do_not_show(platform: FakePlatform) -> None:
    assert "t-1" not in repr(place(platform))
