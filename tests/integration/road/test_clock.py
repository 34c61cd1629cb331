"""The house's time is the road's, whatever the machine's own clock shows."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis

from notifier.cli.checks_stores import machines_agree
from notifier.cli.checkup import Patient
from notifier.clock import EVERY, HouseClock, clocks
from notifier.door import open_road
from notifier.embedded import start_server
from notifier.ledger import Ledger
from tests.fixtures.ledger import NOW
from tests.fixtures.runtime import make_settings

HOUR = timedelta(hours=1)


@dataclass
class Machine:
    """A machine whose own clock is wrong by `off`, and whose steady clock the test moves."""

    off: timedelta = timedelta(0)
    at: float = 1000.0
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    def own(self) -> datetime:
        return datetime.now(UTC) + self.off

    def steady(self) -> float:
        return self.at

    def clock(self, redis: Redis, host: str = "here") -> HouseClock:
        return HouseClock(redis, "n:", own=self.own, steady=self.steady, host=host)


def server_now(redis: Redis) -> datetime:
    seconds, micros = redis.time()
    return datetime.fromtimestamp(int(seconds) + int(micros) / 1e6, UTC)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port at which nobody answers, held so that nobody else takes it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize("off", [HOUR, -HOUR, timedelta(0)])
def test_a_machine_whose_clock_is_wrong_tells_the_time_of_the_road(redis_client: Redis, off: timedelta) -> None:
    before = server_now(redis_client)
    told = Machine(off).clock(redis_client)()
    assert before <= told <= server_now(redis_client)


def test_between_two_looks_it_runs_on_the_steady_clock(redis_client: Redis) -> None:
    machine = Machine()
    clock = machine.clock(redis_client)
    first = clock()
    machine.at += 3
    machine.off = HOUR
    assert abs(clock() - first - timedelta(seconds=3)) < timedelta(microseconds=10)


def test_a_new_look_that_says_the_same_moves_nothing(redis_client: Redis) -> None:
    clock = HouseClock(redis_client, "n:")
    clock.look()
    offset = clock._offset
    clock._note(offset + 0.0004, 0.0005)  # type: ignore[operator]
    assert clock._offset == offset
    clock._note(offset + 0.0006, 0.0005)  # type: ignore[operator]
    assert clock._offset == offset + 0.0006  # type: ignore[operator]


def test_half_of_the_round_trip_is_taken_off() -> None:
    class Far:
        """A server that is a second away, each way."""

        def time(self) -> tuple[int, int]:
            machine.at += 1
            told = (int(NOW.timestamp()), 0)
            machine.at += 1
            return told

        def hset(self, *_: object) -> None:
            return None

    machine = Machine()
    clock = HouseClock(Far(), "n:", own=machine.own, steady=machine.steady)  # type: ignore[arg-type]
    assert clock() == NOW + timedelta(seconds=1)


def test_while_the_road_is_away_the_last_answer_counts_on(tmp_path: Path) -> None:
    machine = Machine(HOUR)
    with start_server(tmp_path) as server:
        redis = open_road(server.url)
        clock = machine.clock(redis)
        first = clock()
    machine.at += 60
    clock.look()
    assert abs(clock() - first - timedelta(minutes=1)) < timedelta(microseconds=10)


def test_a_machine_that_never_reached_the_road_has_its_own_clock_and_takes_the_road_when_it_can(
    closed_port: int, redis_client: Redis
) -> None:
    machine = Machine(HOUR)
    clock = machine.clock(open_road(f"redis://127.0.0.1:{closed_port}/0"))
    assert clock() - datetime.now(UTC) > HOUR / 2
    clock._redis = redis_client
    machine.at += EVERY.total_seconds()
    assert clock() - datetime.now(UTC) < HOUR / 2


def test_a_server_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    machine = Machine()
    with start_server(tmp_path) as server:
        clock = machine.clock(open_road(server.url))
        first = clock()
        machine.at += EVERY.total_seconds()
        os.kill(server.pid, signal.SIGSTOP)
        try:
            later = clock()
            looking = [one for one in threading.enumerate() if one.name == "house clock"]
        finally:
            os.kill(server.pid, signal.SIGCONT)
        for one in looking:
            one.join()
    assert (abs(later - first - EVERY) < timedelta(microseconds=10), len(looking)) == (True, 1)


def test_at_the_first_look_every_thread_waits_for_the_answer(tmp_path: Path) -> None:
    with start_server(tmp_path) as server:
        clock = Machine(-HOUR).clock(open_road(server.url))
        os.kill(server.pid, signal.SIGSTOP)
        told: list[datetime] = []
        threads = [threading.Thread(target=lambda: told.append(clock())) for _ in range(4)]
        for one in threads:
            one.start()
        os.kill(server.pid, signal.SIGCONT)
        for one in threads:
            one.join()
    assert [abs(one - datetime.now(UTC)) < HOUR / 2 for one in told] == [True] * 4


def test_each_machine_at_work_says_by_how_much_its_own_clock_is_wrong(redis_client: Redis) -> None:
    Machine(HOUR).clock(redis_client, "ahead")()
    Machine(-HOUR).clock(redis_client, "behind")()
    now = server_now(redis_client)
    found = clocks(redis_client, "n:", now)
    assert {host: round(off / HOUR) for host, off in found.items()} == {"ahead": 1, "behind": -1}
    assert clocks(redis_client, "n:", now + timedelta(minutes=3)) == {}
    assert redis_client.hlen("n:clocks") == 2
    assert clocks(redis_client, "n:", now + timedelta(days=2)) == {}
    assert redis_client.hlen("n:clocks") == 0


def test_doctor_warns_of_a_machine_that_is_off_by_more_than_a_second(redis_url: str, sqlite_ledger: Ledger) -> None:
    redis = open_road(redis_url)
    for host, off in (("good", timedelta(seconds=0.5)), ("late", timedelta(seconds=-90))):
        HouseClock(redis, "notifier:", own=Machine(off).own, host=host)()
    found = list(machines_agree(Patient(make_settings(), redis, sqlite_ledger, lambda: NOW)))
    redis.close()
    assert [(one.level, one.what) for one in found] == [
        ("ok", "the clock of good shows the house's time"),
        ("warn", "the clock of late is -90.0 s off the house's time"),
    ]
