"""What backends publish through Celery, from the broker's list to the inbox: on a real Redis, in kombu's bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from celery import Celery
from redis import Redis
from redis.exceptions import ResponseError

from notifier import loops
from notifier.inbox import Inbox, InboxFull, RoadUnavailable
from notifier.runtime import Runtime
from notifier.streams import Item, StreamReader
from tests.fixtures.runtime import World
from tests.integration.movements.incoming import an_order, quarantined
from workers.ingest import MessageReader, NotUnderstood, events_of, take_messages

NOW = timedelta(0)
Publish = Callable[..., None]


@pytest.fixture
def publish(redis_url: str) -> Iterator[Publish]:
    """A backend with a Celery app of its own, which knows the broker and the queue."""
    with Celery("shop", broker=redis_url, set_as_current=False) as app:

        def send(*args: Any, task: str = "notifier.ingest", **more: Any) -> None:
            app.send_task(task, args=args, queue="intake", retry=False, **more)

        yield send


def reader(redis: Redis, consumer: str = "one", reclaim_after: timedelta = NOW) -> MessageReader:
    return MessageReader(redis, "notifier:", consumer, reclaim_after=reclaim_after)


def taken(redis: Redis, items: list[Item]) -> list[Any]:
    return [event for item in items for event in events_of(item.fields[b"message"])]


def test_events_come_in_the_order_of_their_publishing_and_the_urgent_ones_first(
    publish: Publish, redis_client: Redis
) -> None:
    publish(an_order("1"))
    publish([an_order("2"), an_order("3")], priority=6)
    publish(kwargs={"events": an_order("4")})

    found = reader(redis_client).read(10, None)
    assert [event["order_id"] for event in taken(redis_client, found)] == ["1", "4", "2", "3"]
    assert redis_client.llen("intake") == 0


def test_a_message_is_there_for_the_next_reader_until_it_is_done(publish: Publish, redis_client: Redis) -> None:
    publish(an_order("1"))
    dying, next_one = reader(redis_client), reader(redis_client, "two")

    (held,) = dying.read(10, None)
    (again,) = next_one.read(10, None)
    assert (again.id, again.deliveries) == (held.id, 2)

    next_one.done([again.id])
    assert reader(redis_client, "three").read(10, None) == []
    assert redis_client.xlen("notifier:ingest") == 0


def test_no_more_is_moved_than_asked_for_and_what_stays_keeps_its_place(publish: Publish, redis_client: Redis) -> None:
    for number in range(5):
        publish(an_order(str(number)))
    first = reader(redis_client, reclaim_after=timedelta(minutes=1))
    assert [event["order_id"] for event in taken(redis_client, first.read(2, None))] == ["0", "1"]
    assert redis_client.llen("intake") == 3
    assert [event["order_id"] for event in taken(redis_client, first.read(9, None))] == ["2", "3", "4"]


def test_waiting_for_a_message_takes_none(publish: Publish, redis_client: Redis) -> None:
    waiting = reader(redis_client)
    assert waiting.read(10, timedelta(milliseconds=1)) == []
    publish(an_order("1"))
    publish(an_order("2"))
    assert waiting._wait(timedelta(seconds=1))
    assert [json.loads(one)["headers"]["task"] for one in redis_client.lrange("intake", 0, -1)] == [
        "notifier.ingest",
        "notifier.ingest",
    ]
    found = waiting.read(10, timedelta(seconds=1))
    assert [event["order_id"] for event in taken(redis_client, found)] == ["1", "2"]


def test_a_server_out_of_memory_keeps_the_message_where_it_was(publish: Publish, redis_client: Redis) -> None:
    publish(an_order("1"))
    redis_client.config_set("maxmemory", 1)
    try:
        with pytest.raises(RoadUnavailable):
            reader(redis_client).read(10, None)
        assert redis_client.llen("intake") == 1
    finally:
        redis_client.config_set("maxmemory", 0)
    assert len(reader(redis_client).read(10, None)) == 1


def test_what_is_read_goes_into_the_inbox_and_is_then_done(world: World, publish: Publish, redis_client: Redis) -> None:
    publish(an_order("1"))
    publish([an_order("2"), an_order("1")])
    source = reader(redis_client)
    take_messages(world.runtime, source, source.read(10, None))
    assert world.runtime.inbox.stats().length == 2
    assert redis_client.xlen("notifier:ingest") == 0


def test_while_the_inbox_is_full_the_message_stays(world: World, publish: Publish, redis_client: Redis) -> None:
    full = replace(world.runtime, inbox=Inbox(world.runtime.redis, max_length=0))
    publish(an_order("1"))
    source = reader(redis_client)
    with pytest.raises(InboxFull):
        take_messages(full, source, source.read(10, None))
    take_messages(world.runtime, source, reader(redis_client, "two").read(10, None))
    assert world.runtime.inbox.stats().length == 1


def test_however_long_the_inbox_is_full_no_message_is_taken_for_poison(
    world: World, publish: Publish, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "FIRST_PAUSE", timedelta(milliseconds=1))
    monkeypatch.setattr(loops, "LAST_PAUSE", timedelta(milliseconds=1))
    full, stop, tries = Inbox(world.runtime.redis, max_length=0), Event(), []

    def move(runtime: Runtime, source: StreamReader, items: Sequence[Item]) -> None:
        tries.append(items[0].deliveries)
        roomy = len(tries) > 9
        take_messages(runtime if roomy else replace(runtime, inbox=full), source, items)
        stop.set()

    publish(an_order("1"))
    loops.pump(world.runtime, reader(redis_client), move, 10, "ingest", stop)
    assert tries == [1] * 10
    assert (world.runtime.inbox.stats().length, quarantined(world.runtime)) == (1, [])


def test_a_message_that_holds_no_event_is_set_aside_and_holds_up_nobody(
    world: World, publish: Publish, redis_client: Redis
) -> None:
    redis_client.lpush("intake", b"\xff\xfe")
    publish(an_order("1"), serializer="pickle")
    publish(an_order("2"), task="shop.refund")
    publish()
    publish(7)
    publish(an_order("4"), an_order("5"))
    publish(an_order("3"), compression="gzip")
    source = reader(redis_client)
    take_messages(world.runtime, source, source.read(10, None))

    wrong = "only notifier.ingest with an order event, or a list of them, belongs into this queue"
    assert quarantined(world.runtime) == [
        ("invalid", "no message of Celery in JSON: JSONDecodeError"),
        ("invalid", "no message of Celery in JSON: ContentDisallowed"),
        *[("invalid", wrong)] * 4,
    ]
    assert world.runtime.inbox.stats().length == 1


def test_a_message_that_nobody_gets_done_is_set_aside(world: World, publish: Publish, redis_client: Redis) -> None:
    publish(an_order("1"))
    for number in range(world.runtime.settings.inbox.poison_after):
        reader(redis_client, str(number)).read(10, None)
    source = reader(redis_client, "last")
    take_messages(world.runtime, source, source.read(10, None))
    assert quarantined(world.runtime) == [("invalid", "handed out 4 times without an end")]


def test_our_own_ticks_and_the_older_message_protocol_are_understood() -> None:
    tick = {"body": "[[], {}, {}]", "content-type": "application/json", "content-encoding": "utf-8"}
    assert events_of(json.dumps({**tick, "headers": {"task": "notifier.intake"}}).encode()) == []
    older = {"task": "notifier.ingest", "id": "1", "args": [{"shop": "nile"}], "kwargs": {}}
    assert events_of(json.dumps({**tick, "body": json.dumps(older)}).encode()) == [{"shop": "nile"}]


@pytest.mark.parametrize("message", [b"", b"null", b"[]", b"{}", b'{"body": 7}', b'{"body": "[]", "headers": 5}'])
def test_any_other_bytes_are_not_understood(message: bytes) -> None:
    with pytest.raises(NotUnderstood):
        events_of(message)


def test_a_queue_that_is_no_list_is_an_error_with_a_name(redis_client: Redis) -> None:
    redis_client.set("intake", "x")
    with pytest.raises(RoadUnavailable) as raised:
        reader(redis_client).read(10, None)
    assert isinstance(raised.value.__cause__, ResponseError)
