"""The inbox on a real server: out of memory, durable, many at once."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Connection, ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from notifier.door import open_road
from notifier.embedded import RunningServer, find_binary, start_server
from notifier.ids import new_id
from notifier.inbox import IDLE, Entry, Inbox, RoadUnavailable, Ticket
from notifier.road import call
from notifier.streams import Receipts
from tests.fixtures.redis_server import connect, needs_waitaof


@pytest.fixture
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that this test may break."""
    with start_server(tmp_path_factory.mktemp("own")) as server:
        yield server


def entries(number: int, size: int = 100) -> list[Entry]:
    return [Entry(new_id(), f"key{i}", b"x" * size, "python") for i in range(number)]


def test_out_of_memory_is_said_by_name_and_nothing_is_half_written(own_server: RunningServer) -> None:
    with connect(own_server.url) as redis:
        inbox = Inbox(redis, prefix="n:")
        inbox.append(entries(1))
        before = (redis.xlen("n:inbox"), sorted(redis.keys()))
        redis.config_set("maxmemory", "1")
        with pytest.raises(RoadUnavailable, match=r"appending to the inbox: Redis is out of memory \(OOM"):
            inbox.append([Entry(new_id(), f"new{i}", b"{}", "python") for i in range(50)])
        with pytest.raises(RoadUnavailable, match=r"keeping receipts: Redis is out of memory"):
            Receipts(redis, "n:").append("meta", b"{}")
        assert (redis.xlen("n:inbox"), sorted(redis.keys())) == before
        redis.config_set("maxmemory", "0")
        assert len(inbox.append([Entry(new_id(), "new1", b"{}", "python")])) == 1


def test_durable_entries_survive_a_killed_server(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("durable")
    written = entries(50)
    with start_server(place) as server, connect(server.url) as redis:
        Inbox(redis, prefix="n:", durable=True).append(written)
        server.kill()
    with start_server(place) as server, connect(server.url) as redis:
        again = Inbox(redis, prefix="n:").append(written)
        assert redis.xlen("n:inbox") == 50
    assert again == [Ticket(entry.event_id, "queued") for entry in written]


def test_durable_without_an_append_only_file_is_refused_with_advice(own_server: RunningServer) -> None:
    with connect(own_server.url) as redis:
        needs_waitaof(redis)
        redis.config_set("appendonly", "no")
        with pytest.raises(RoadUnavailable, match="Set `appendonly yes`, or durable off"):
            Inbox(redis, prefix="n:", durable=True).append(entries(1))


def test_of_many_doors_with_the_same_events_each_event_enters_once(redis_client: Redis, redis_url: str) -> None:
    def door(_: int) -> list[Ticket]:
        with connect(redis_url) as redis:
            return Inbox(redis, prefix="n:").append(entries(600))

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(door, range(4)))
    assert redis_client.xlen("n:inbox") == 600
    for copies in zip(*answers, strict=True):
        assert len({ticket.event_id for ticket in copies}) == 1
        assert [ticket.status for ticket in copies].count("queued") == 1


def test_scripts_are_loaded_again_after_the_server_forgot_them(redis_client: Redis) -> None:
    inbox = Inbox(redis_client, prefix="n:")
    inbox.append(entries(1))
    redis_client.script_flush()
    assert inbox.append([Entry("id2", "other", b"{}", "python")]) == [Ticket("id2", "queued")]


def test_a_connection_that_the_server_closed_while_it_rested_is_not_used(redis_client: Redis, redis_url: str) -> None:
    with connect(redis_url) as redis:
        inbox = Inbox(redis, prefix="n:")
        inbox.append(entries(1))
        redis_client.client_kill_filter(_type="normal", skipme=True)
        assert [ticket.status for ticket in inbox.append(entries(1))] == ["duplicate"]


def test_parent_and_child_of_a_fork_do_not_share_a_connection(redis_url: str) -> None:
    with connect(redis_url) as redis:
        inbox = Inbox(redis, prefix="n:")
        inbox.append(entries(1))
        child = os.fork()
        own = [Entry(new_id(), f"{child}-{number}", b"{}", "python") for number in range(300)]
        answers = [inbox.append([entry]) for entry in own]
        right = answers == [[Ticket(entry.event_id, "queued")] for entry in own]
        if child == 0:
            os._exit(0 if right else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert right


def test_an_inbox_leaves_connections_to_the_others_after_a_rush(redis_url: str) -> None:
    with connect(redis_url) as redis:
        inbox = Inbox(redis, prefix="n:")
        start = threading.Barrier(20)

        def hand_in(number: int) -> None:
            start.wait(30)
            inbox.append([Entry(new_id(), f"rush-{number}", b"{}", "python")])

        with ThreadPoolExecutor(20) as pool:
            list(pool.map(hand_in, range(20)))
        assert len(inbox._idle) <= IDLE
        assert len(redis.connection_pool._in_use_connections) <= IDLE


class Lenient(Connection):
    """Leaves it to its caller to close it after an error, as redis-py's connections to a primary of Sentinel do."""

    def read_response(self, *args: Any, disconnect_on_error: bool = False, **options: Any) -> Any:
        return super().read_response(*args, disconnect_on_error=disconnect_on_error, **options)


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one(redis_client: Redis, redis_url: str) -> None:
    options: Any = {"socket_timeout": 0.05, "retry": Retry(NoBackoff(), 0), "connection_class": Lenient}
    with Redis(connection_pool=ConnectionPool.from_url(redis_url, **options)) as impatient:
        script = impatient.register_script("return ARGV[1]")
        assert call(script, (), ("first",)) == b"first"
        redis_client.client_pause(300)
        with pytest.raises(RedisTimeoutError):
            call(script, (), ("too late",))
        answers: list[Any] = []
        while not answers:
            with suppress(RedisTimeoutError):
                answers.append(call(script, (), ("last",)))
        assert answers == [b"last"]


def test_a_server_may_be_reached_by_a_socket_of_the_file_system(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("s")
    address = place / "s"
    server = subprocess.Popen(
        [find_binary(), "--port", "0", "--dir", str(place), "--unixsocket", str(address), "--save", ""],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(address)
        with open_road(f"unix://{address}") as redis:
            assert [ticket.status for ticket in Inbox(redis).append(entries(1))] == ["queued"]
    finally:
        server.kill()
        server.wait()


def wait_for(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not come"
        time.sleep(0.01)
