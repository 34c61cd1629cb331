"""The inbox script and its answers, on a server in this process. What only a real server does is in integration."""

from __future__ import annotations

import time
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from fakeredis import FakeRedis
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from notifier.inbox import Entry, Inbox, InboxFull, RoadUnavailable, Ticket, read_entry


def entry(number: int, key: str | None = None) -> Entry:
    return Entry(f"id{number}", key or f"key{number}", b'{"n":%d}' % number, "python")


def stored(redis: Redis) -> list[Entry]:
    found: Any = redis.xrange("n:inbox")
    return [read_entry(fields) for _, fields in found]


def test_entries_come_out_as_they_went_in() -> None:
    redis = FakeRedis()
    entries = [Entry("id1", "shop|1|order.shipped||", '{"name":"هدى"}'.encode(), "http:shopify"), entry(2)]
    assert Inbox(redis, prefix="n:").append(entries) == [Ticket("id1", "queued"), Ticket("id2", "queued")]
    assert stored(redis) == entries


def test_a_second_copy_is_answered_with_the_id_of_the_first_and_not_stored() -> None:
    redis = FakeRedis()
    inbox = Inbox(redis, prefix="n:")
    inbox.append([entry(1, "same")])
    assert inbox.append([entry(2, "same"), entry(3)]) == [Ticket("id1", "duplicate"), Ticket("id3", "queued")]
    assert stored(redis) == [entry(1, "same"), entry(3)]


def test_copies_within_one_call_are_recognised() -> None:
    redis = FakeRedis()
    tickets = Inbox(redis, prefix="n:").append([entry(1, "same"), entry(2, "same")])
    assert tickets == [Ticket("id1", "queued"), Ticket("id1", "duplicate")]
    assert stored(redis) == [entry(1, "same")]


def test_the_same_entries_again_are_queued_and_stored_once() -> None:
    """The reply was lost; the caller repeats."""
    redis = FakeRedis()
    inbox = Inbox(redis, prefix="n:")
    entries = [entry(1), entry(2)]
    inbox.append(entries)
    assert inbox.append(entries) == [Ticket("id1", "queued"), Ticket("id2", "queued")]
    assert stored(redis) == entries


def test_a_full_inbox_refuses_the_call_before_writing_anything() -> None:
    redis = FakeRedis()
    inbox = Inbox(redis, prefix="n:", max_length=2)
    inbox.append([entry(1), entry(2)])
    before = redis.keys()
    with pytest.raises(InboxFull, match="inbox is full: 2 entries, at most 2") as refused:
        inbox.append([entry(3), entry(4)])
    assert refused.value.retry_after == timedelta(seconds=5)
    assert redis.keys() == before


def test_an_inbox_whose_first_entry_has_waited_too_long_takes_nothing_more() -> None:
    redis = FakeRedis()
    inbox = Inbox(redis, prefix="n:", max_age=timedelta(hours=1))
    hour_ago = int(time.time() * 1000) - 3_600_000
    redis.xadd("n:inbox", {"id": "id0", "key": "k0", "door": "python", "body": "{}"}, id=f"{hour_ago}-0")
    before = redis.keys()
    with pytest.raises(InboxFull, match="first entry has waited 1:00:0") as refused:
        inbox.append([entry(1)])
    assert (refused.value.retry_after, redis.keys()) == (timedelta(seconds=5), before)
    redis.xdel("n:inbox", f"{hour_ago}-0")
    assert inbox.append([entry(1)]) == [Ticket("id1", "queued")]


def test_a_first_entry_that_is_young_is_looked_at_again_when_it_can_be_too_old() -> None:
    redis = FakeRedis()
    half_an_hour_ago = int(time.time() * 1000) - 1_800_000
    redis.xadd("n:inbox", {"id": "id0", "key": "k0", "door": "python", "body": "{}"}, id=f"{half_an_hour_ago}-0")
    Inbox(redis, prefix="n:", max_age=timedelta(hours=1)).append([entry(1)])
    assert 1_700_000 < redis.pttl("n:inbox:young") <= 1_800_000
    with pytest.raises(InboxFull, match="first entry has waited 0:30:0"):
        Inbox(redis, prefix="n:", max_age=timedelta(minutes=10)).append([entry(2)])


def test_an_inbox_whose_first_entry_was_young_takes_nothing_more_once_it_is_old() -> None:
    inbox = Inbox(FakeRedis(), prefix="n:", max_age=timedelta(milliseconds=300))
    with pytest.raises(InboxFull, match="the inbox stands still"):
        for number in count():
            inbox.append([entry(number)])


def test_more_than_a_chunk_goes_in_order() -> None:
    redis = FakeRedis()
    entries = [entry(number) for number in range(1_201)]
    tickets = Inbox(redis, prefix="n:").append(entries)
    assert [ticket.event_id for ticket in tickets] == [one.event_id for one in entries]
    assert stored(redis) == entries


def test_nothing_appended_means_no_call() -> None:
    assert Inbox(Redis(port=1), prefix="n:").append([]) == []


def test_a_forgotten_key_may_be_fed_again() -> None:
    redis = FakeRedis()
    inbox = Inbox(redis, prefix="n:")
    inbox.append([entry(1, "same"), entry(2, "other")])
    inbox.forget(["same", "never seen"])
    assert inbox.append([entry(3, "same"), entry(4, "other")]) == [Ticket("id3", "queued"), Ticket("id2", "duplicate")]


def test_a_key_is_remembered_for_as_long_as_configured_and_is_not_readable_in_redis() -> None:
    redis = FakeRedis()
    Inbox(redis, prefix="n:", remember=timedelta(hours=1)).append([entry(1, "shop|+971500000001")])
    (mark,) = redis.keys("n:seen:*")
    assert b"971500000001" not in mark
    assert 3_590 < redis.ttl(mark) <= 3_600


def test_stats_tell_length_and_bound() -> None:
    redis = FakeRedis()
    inbox = Inbox(redis, prefix="n:", max_length=10, max_age=timedelta(days=365 * 200))
    assert (inbox.stats().length, inbox.stats().oldest_age) == (0, None)
    redis.xadd("n:inbox", {"id": "old"}, id="1-0")  # at the first millisecond of 1970
    inbox.append([entry(1)])
    stats = inbox.stats()
    assert (stats.length, stats.max_length) == (2, 10)
    assert stats.oldest_age is not None
    assert stats.oldest_age > timedelta(days=365 * 50)


def test_without_redis_appending_says_what_to_do_and_shows_no_body() -> None:
    inbox = Inbox(Redis(port=1, retry=Retry(NoBackoff(), 0)), prefix="n:")
    with pytest.raises(
        RoadUnavailable, match=r"appending to the inbox: Redis does not answer\. Is it running"
    ) as error:
        inbox.append([Entry("id1", "key1", b"secret body", "python")])
    assert "secret" not in str(error.value)
    assert "secret" not in repr(Entry("id1", "key1", b"secret body", "python"))
