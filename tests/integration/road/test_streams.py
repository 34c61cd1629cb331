"""Readers, quarantine and receipts on a real server."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from notifier.embedded import start_server
from notifier.ids import new_id
from notifier.inbox import Entry, Inbox, InboxFull, RoadUnavailable
from notifier.streams import Backlog, Item, Quarantine, Receipts, StreamReader
from notifier.webhook_stream import Webhook, Webhooks
from tests.fixtures.redis_server import connect, needs_waitaof

LONG = timedelta(minutes=5)
AT_ONCE = timedelta(0)  # reclaims everything that another holds


def reader(redis: Redis, consumer: str = "a", reclaim_after: timedelta = LONG) -> StreamReader:
    return StreamReader(redis, "s", "g", consumer, reclaim_after=reclaim_after)


def fill(redis: Redis, number: int) -> list[bytes]:
    return [redis.xadd("s", {"n": i}) for i in range(number)]  # type: ignore[misc]


def values(items: list[Item]) -> list[int]:
    return [int(item.fields[b"n"]) for item in items]


def test_a_reader_gets_what_was_appended_before_its_group_existed(redis_client: Redis) -> None:
    ids = fill(redis_client, 3)
    assert reader(redis_client).read(2, None) == [
        Item(ids[0], {b"n": b"0"}, 1),
        Item(ids[1], {b"n": b"1"}, 1),
    ]


@pytest.mark.parametrize("protocol", [2, 3])
def test_either_protocol_is_understood(redis_client: Redis, redis_url: str, protocol: int) -> None:
    fill(redis_client, 2)
    client = Redis.from_url(redis_url, protocol=protocol)
    assert values(reader(client).read(10, None)) == [0, 1]
    assert reader(client, "b").read(10, None) == []
    client.close()


def test_who_asked_is_told_before_a_lost_group_is_made_again(redis_client: Redis) -> None:
    told: list[object] = []

    def tell() -> None:
        told.append(redis_client.exists("s"))
        if len(told) == 2:
            raise RuntimeError("the ledger is away")

    a = StreamReader(redis_client, "s", "g", "a", reclaim_after=LONG, when_lost=tell)
    assert (a.read(1, None), told) == ([], [0])
    fill(redis_client, 1)
    redis_client.flushdb()
    with pytest.raises(RuntimeError):
        a.read(1, None)
    fill(redis_client, 1)
    assert (values(a.read(1, None)), told) == ([0], [0, 0, 1])


def test_who_asked_is_told_when_the_server_has_forgotten_what_was_done(redis_client: Redis) -> None:
    """A server that lost its last second, or a replica that was behind: what came meanwhile has its 200."""
    told: list[int] = []

    def tell() -> None:
        told.append(1)
        if len(told) == 2:
            raise RuntimeError("the ledger is away")

    a, b = (StreamReader(redis_client, "s", "g", name, reclaim_after=LONG, when_lost=tell) for name in "ab")
    a.read(1, None)
    assert told == [1]  # the very first start
    for _ in range(3):
        for one in (a, b):
            fill(redis_client, 1)
            one.done([item.id for item in one.read(1, None)])
    assert (told, redis_client.get("s:done")) == ([1], b"6")

    redis_client.set("s:done", 2)
    fill(redis_client, 2)
    a.done([item.id for item in a.read(1, None)])
    with pytest.raises(RuntimeError):
        a.read(1, None)
    assert (values(a.read(1, None)), told) == ([1], [1, 1, 1])
    a.done([b"0-1"])
    assert (a.read(1, None), told) == ([], [1, 1, 1])


def test_a_lost_answer_to_done_is_no_loss(redis_client: Redis) -> None:
    told: list[int] = []
    a = StreamReader(redis_client, "s", "g", "a", reclaim_after=LONG, when_lost=lambda: told.append(1))
    for _ in range(2):
        fill(redis_client, 1)
        a.done([item.id for item in a.read(1, None)])
        redis_client.incr("s:done")  # done, and nobody heard that it was
    assert (a.read(1, None), told) == ([], [1])


def test_a_server_without_memory_lets_go_of_what_is_done(tmp_path: Path) -> None:
    """XACK and XDEL are allowed then, and nothing else would ever make room again; counting is not."""
    told: list[int] = []
    with start_server(tmp_path) as server, connect(server.url) as redis:
        a = StreamReader(redis, "s", "g", "a", reclaim_after=LONG, when_lost=lambda: told.append(1))
        a.read(1, None)
        for maxmemory in ("0", "1", "0"):
            fill(redis, 1)
            items = a.read(1, None)
            redis.config_set("maxmemory", maxmemory)
            a.done([item.id for item in items])
            redis.config_set("maxmemory", "0")
        assert (a.read(1, None), redis.xlen("s"), told) == ([], 0, [1])


def test_consumers_share_the_work(redis_client: Redis) -> None:
    fill(redis_client, 4)
    a, b = reader(redis_client, "a"), reader(redis_client, "b")
    assert (values(a.read(2, None)), values(b.read(9, None)), a.read(1, None)) == ([0, 1], [2, 3], [])


def test_done_removes_for_good(redis_client: Redis) -> None:
    fill(redis_client, 2)
    a = reader(redis_client)
    ids = [item.id for item in a.read(2, None)]
    a.done(ids)
    a.done(ids)
    assert (redis_client.xlen("s"), a.backlog()) == (0, Backlog(0, 0, None))


def test_a_batch_of_a_dead_consumer_goes_to_another_before_anything_new(redis_client: Redis) -> None:
    fill(redis_client, 3)
    reader(redis_client, "dead").read(2, None)
    heir = reader(redis_client, "heir", AT_ONCE)
    first = heir.read(2, None)
    assert (values(first), [item.deliveries for item in first]) == ([0, 1], [2, 2])
    heir.done([item.id for item in first])
    assert values(heir.read(2, None)) == [2]


def test_a_batch_of_a_living_consumer_is_left_alone(redis_client: Redis) -> None:
    fill(redis_client, 2)
    reader(redis_client, "alive").read(2, None)
    assert reader(redis_client, "other").read(2, None) == []


def test_of_two_heirs_each_entry_goes_to_one(redis_client: Redis) -> None:
    fill(redis_client, 4)
    reader(redis_client, "dead").read(4, None)
    idle = timedelta(milliseconds=30)
    _until(lambda: min(p["time_since_delivered"] for p in _pending(redis_client)) > 30)
    a, b = reader(redis_client, "a", idle), reader(redis_client, "b", idle)
    assert (values(a.read(3, None)), values(b.read(4, None))) == ([0, 1, 2], [3])


def test_a_consumer_that_starts_again_under_its_name_gets_its_own_back_at_once(redis_client: Redis) -> None:
    fill(redis_client, 5)
    reader(redis_client, "a").read(3, None)
    again = reader(redis_client, "a")
    assert [values(again.read(2, None)) for _ in range(3)] == [[0, 1], [2], [3, 4]]


def test_a_poison_entry_is_counted_at_every_handing_out(redis_client: Redis) -> None:
    fill(redis_client, 1)
    counts = [reader(redis_client, "a").read(1, None)[0].deliveries for _ in range(4)]
    assert counts == [1, 2, 3, 4]


def test_what_is_given_back_counts_as_never_handed_out_and_comes_again_first(redis_client: Redis) -> None:
    fill(redis_client, 3)
    a = reader(redis_client)
    for _ in range(5):
        items = a.read(2, None)
        assert [(values([item]), item.deliveries) for item in items] == [([0], 1), ([1], 1)]
        a.give_back(items)
    assert (values(a.read(9, None)), values(a.read(9, None))) == ([0, 1], [2])


def test_giving_back_leaves_the_earlier_count_of_each(redis_client: Redis) -> None:
    fill(redis_client, 2)
    a = reader(redis_client)
    (first,) = a.read(1, None)
    a.again()
    (first,) = a.read(1, None)
    (second,) = a.read(1, None)
    a.give_back([first, second])
    assert [entry["times_delivered"] for entry in _pending(redis_client)] == [1, 0]


def test_entries_deleted_while_they_were_held_are_dropped(redis_client: Redis) -> None:
    ids = fill(redis_client, 3)
    reader(redis_client, "dead").read(3, None)
    redis_client.xdel("s", ids[0], ids[1])
    heir = reader(redis_client, "heir", AT_ONCE)
    assert values(heir.read(9, None)) == [2]
    assert heir.backlog().pending == 1


def test_own_entries_deleted_meanwhile_do_not_hide_the_rest(redis_client: Redis) -> None:
    ids = fill(redis_client, 4)
    reader(redis_client, "a").read(4, None)
    redis_client.xdel("s", ids[0], ids[1])
    assert values(reader(redis_client, "a").read(2, None)) == [2, 3]


def test_a_reader_goes_on_when_the_server_was_emptied(redis_client: Redis) -> None:
    fill(redis_client, 2)
    a = reader(redis_client)
    a.read(1, None)
    redis_client.flushdb()
    assert (a.backlog(), a.read(1, None)) == (Backlog(0, 0, None), [])
    fill(redis_client, 1)
    assert values(a.read(1, None)) == [0]


def test_waiting_ends_when_something_comes(redis_client: Redis, redis_url: str) -> None:
    a = reader(redis_client)
    a.read(1, None)
    with connect(redis_url) as other:
        other.xadd("s", {"n": 7})
    assert values(a.read(1, timedelta(seconds=30))) == [7]


def test_waiting_for_less_than_a_millisecond_is_not_waiting_for_ever(redis_client: Redis) -> None:
    assert reader(redis_client).read(1, timedelta(microseconds=1)) == []


def test_the_backlog_tells_length_pending_and_age(redis_client: Redis) -> None:
    redis_client.xadd("s", {"n": 0}, id="1-0")  # in 1970
    fill(redis_client, 2)
    a = reader(redis_client)
    a.read(1, None)
    backlog = a.backlog()
    assert (backlog.length, backlog.pending) == (3, 1)
    assert backlog.oldest_age is not None
    assert backlog.oldest_age > timedelta(days=365 * 50)


def test_without_redis_a_reader_says_so() -> None:
    away = Redis(port=1, retry=Retry(NoBackoff(), 0))
    with pytest.raises(RoadUnavailable, match="reading s: Redis does not answer"):
        reader(away).read(1, None)


def test_a_stream_that_is_something_else_is_an_error_and_not_a_loop(redis_client: Redis) -> None:
    redis_client.set("s", "text")
    with pytest.raises(RoadUnavailable, match="reading s: Redis failed"):
        reader(redis_client).read(1, None)


def test_quarantine_keeps_an_item_with_its_reason(redis_client: Redis) -> None:
    quarantine = Quarantine(redis_client, "n:")
    quarantine.put({b"id": b"e1", b"body": b"{}"}, "unknown_shop", "x" * 2_000)
    (kept,) = quarantine.list(10)
    assert (kept.fields, kept.reason, kept.detail) == ({b"id": b"e1", b"body": b"{}"}, "unknown_shop", "x" * 1_000)
    assert abs(kept.at - datetime.now(UTC)) < timedelta(minutes=1)
    assert quarantine.length() == 1


def test_taken_items_are_gone_and_belong_to_one_caller(redis_client: Redis) -> None:
    quarantine = Quarantine(redis_client, "n:")
    for number in range(3):
        quarantine.put({b"n": b"%d" % number}, "poison")
    first, second, _ = quarantine.list(3)
    assert [item.fields for item in quarantine.take([first.id, second.id])] == [{b"n": b"0"}, {b"n": b"1"}]
    assert (quarantine.take([first.id]), quarantine.take([]), quarantine.length()) == ([], [], 1)


def test_a_receipt_is_kept_with_provider_and_query(redis_client: Redis) -> None:
    Receipts(redis_client, "n:").append("meta", b'{"entry":[]}', "a=1&b=2")
    (item,) = StreamReader(redis_client, "n:receipts", "receipts", "a", reclaim_after=LONG).read(1, None)
    assert item.fields == {b"provider": b"meta", b"body": b'{"entry":[]}', b"query": b"a=1&b=2"}


def test_a_body_of_three_megabytes_is_kept(redis_client: Redis) -> None:
    Receipts(redis_client, "n:").append("meta", b"x" * 3_145_728)
    (item,) = StreamReader(redis_client, "n:receipts", "receipts", "a", reclaim_after=LONG).read(1, None)
    assert len(item.fields[b"body"]) == 3_145_728


def test_a_full_stream_of_receipts_refuses_before_writing(redis_client: Redis) -> None:
    receipts = Receipts(redis_client, "n:", max_length=1)
    receipts.append("meta", b"1")
    with pytest.raises(InboxFull, match="stream of receipts is full: 1 entries, at most 1"):
        receipts.append("meta", b"2")
    assert redis_client.xlen("n:receipts") == 1


def _pending(redis: Redis) -> list[dict[str, int]]:
    return redis.xpending_range("s", "g", min="-", max="+", count=10)  # type: ignore[return-value]


def _until(condition: Callable[[], bool]) -> None:
    """Waits for the server's clock to have moved, a look at a time."""
    for _ in range(1_000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("the condition never came true")


def suspects(redis: Redis, number: int) -> list[bytes]:
    """So many entries that two processes have died with, silent for a minute."""
    ids = fill(redis, number)
    reader(redis, "dead").read(number, None)
    redis.xclaim("s", "g", "dead", 0, ids, idle=60_000, retrycount=2)  # type: ignore[arg-type]
    return ids


def test_of_two_suspects_one_is_out_at_a_time_in_the_whole_group(redis_client: Redis) -> None:
    ids = suspects(redis_client, 2)
    first, second = (reader(redis_client, name, timedelta(seconds=50)) for name in ("a", "b"))
    assert values(first.read(9, None)) == [0]
    assert values(second.read(9, None)) == []

    first.done(ids[:1])
    assert values(second.read(9, None)) == [1]


def test_who_died_with_a_suspect_gets_it_back_under_its_name(redis_client: Redis) -> None:
    suspects(redis_client, 1)
    assert [values(reader(redis_client, "a", timedelta(seconds=50)).read(9, None)) for _ in range(2)] == [[0], [0]]


def test_suspects_do_not_hold_up_the_others(redis_client: Redis) -> None:
    ids = suspects(redis_client, 2)
    redis_client.xclaim("s", "g", "dead", 0, ids[1:], idle=60_000, retrycount=1)  # type: ignore[arg-type]
    new = fill(redis_client, 1)
    heir = reader(redis_client, "a", timedelta(seconds=50))
    assert values(heir.read(9, None)) == [1]
    heir.done(ids[1:])
    assert values(heir.read(9, None)) == [0]
    assert [item.id for item in reader(redis_client, "b", timedelta(seconds=50)).read(9, None)] == new


def test_after_a_batch_that_could_not_be_moved_its_suspects_come_last_and_singly(redis_client: Redis) -> None:
    fill(redis_client, 3)
    a = reader(redis_client)
    ids = [item.id for item in a.read(3, None)]
    redis_client.xclaim("s", "g", "a", 0, ids[:2], retrycount=2)  # type: ignore[arg-type]
    a.again()
    assert values(a.read(9, None)) == [2]
    a.done(ids[2:])
    for number in range(2):
        assert values(a.read(9, None)) == [number]
        a.done([ids[number]])


@pytest.mark.parametrize(
    "append",
    [
        lambda redis: Inbox(redis, prefix="n:", durable=True).append([Entry(new_id(), "key", b"{}", "python")]),
        lambda redis: Receipts(redis, "n:", durable=True).append("meta", b"{}"),
        lambda redis: Webhooks(redis, "n:", durable=True).append(Webhook("nile", "shopify", {}, b"{}")),
    ],
    ids=["inbox", "receipts", "webhooks"],
)
def test_the_wait_for_the_disk_is_on_the_connection_that_wrote(
    tmp_path_factory: pytest.TempPathFactory, append: Callable[[Redis], object]
) -> None:
    with start_server(tmp_path_factory.mktemp("watched")) as server, connect(server.url) as redis:
        needs_waitaof(redis)
        with connect(server.url) as other, other.monitor() as monitor:
            append(redis)
            seen = {}
            while "WAITAOF" not in seen:
                said = monitor.next_command()
                seen[said["command"].split()[0].upper()] = said["client_port"]
    assert (seen.get("EVAL") or seen["EVALSHA"]) == seen["WAITAOF"]


def test_durable_receipts_survive_a_killed_server(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("durable")
    with start_server(place) as server, connect(server.url) as redis:
        door = Receipts(redis, "n:", durable=True)
        assert door.append_many([("meta", b"{}", "")] * 20) == [True] * 20
        door.append("meta", b"{}")
        server.kill()
    with start_server(place) as server, connect(server.url) as redis:
        assert redis.xlen("n:receipts") == 21


def test_durable_receipts_without_an_append_only_file_are_not_taken(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with start_server(tmp_path_factory.mktemp("no-file")) as server, connect(server.url) as redis:
        needs_waitaof(redis)
        redis.config_set("appendonly", "no")
        with pytest.raises(RoadUnavailable, match="Set `appendonly yes`, or durable off"):
            Receipts(redis, "n:", durable=True).append("meta", b"{}")
