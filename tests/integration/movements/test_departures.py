"""Who of a dead drain's messages has left: what had no permit goes back to the queue, what had one is unknown."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis

from notifier.drain import Drain
from notifier.embedded import RunningServer, start_server
from notifier.ids import new_id
from notifier.ledger import Ledger
from notifier.limits import Limiter
from notifier.sweeps import SweepReport, sweep
from tests.fixtures.drains import (
    Scripted,
    all_deliveries,
    claim,
    deliveries_of,
    delivery_row,
    drain_of,
    due,
    run,
    states,
    steps_of,
)
from tests.fixtures.redis_server import connect
from tests.fixtures.runtime import Clock, World, make_runtime

OWNER = new_id()
IDS = [new_id() for _ in range(6)]


def fence(world: World) -> SweepReport:
    """The sweep that finds the leases over."""
    world.clock.move(world.runtime.settings.drain.lease)
    return sweep(world.runtime, "release_expired_leases")


def leased(world: World, transport: Scripted, number: int, permits: int) -> Drain:
    """A drain that has claimed so many, of which so many have their permits."""
    work = drain_of(world, transport)
    claim(work, number)
    work._admit()
    ready = list(work._waiting.ready)
    while len(work._waiting.ripening) < permits:
        work._waiting.ready.clear()
        work._waiting.ready.extend(ready[len(work._waiting.ripening) : permits])
        work._waiting.lease()
    work._waiting.ready.extend(ready[permits:])
    return work


class TestKilled:
    def test_before_any_permit_everybody_goes_back_as_they_were_and_is_sent_once(self, world: World) -> None:
        made = due(world, 3)
        claim(drain_of(world, Scripted()), 3)
        report = fence(world)
        assert (report.moved, report.lanes) == ({"requeue": 3, "fail": 0, "lose_track": 0}, {"nile-wa"})
        for one in made:
            row = delivery_row(world, one.delivery.id)
            assert (row["state"], row["attempts"], row["due_at"]) == ("queued", 0, row["first_due_at"])
            assert steps_of(world, row["id"]) == [("requeue", "released")]
        transport = Scripted()
        run(drain_of(world, transport))
        assert sorted(transport.refs) == sorted(one.delivery.id for one in made)

    @pytest.mark.parametrize("permits", [1, 2, 3])
    def test_between_two_leases_only_those_with_a_permit_are_unknown(self, world: World, permits: int) -> None:
        due(world, 4)
        work = leased(world, Scripted(), 4, permits)
        with_permit = {ripe.carried.claimed.delivery_id for ripe in work._waiting.ripening}
        assert fence(world).moved == {"requeue": 4 - permits, "fail": 0, "lose_track": permits}
        assert {row["id"] for row in all_deliveries(world) if row["state"] == "unknown"} == with_permit

    def test_a_sweep_that_died_before_its_commit_is_repeated_with_the_same_answer(self, world: World) -> None:
        due(world, 4)
        work = leased(world, Scripted(), 4, 1)
        first = world.runtime.limiter.departures.fence(work.owner)
        assert first is not None and len(first) == 1
        assert fence(world).moved == {"requeue": 3, "fail": 0, "lose_track": 1}

    def test_what_three_drains_died_with_is_set_aside_and_the_next_channel_goes(self, world: World) -> None:
        [one] = due(world)
        for _ in range(2):
            claim(drain_of(world, Scripted()), 1)
            assert fence(world).moved == {"requeue": 1, "fail": 0, "lose_track": 0}
        claim(drain_of(world, Scripted()), 1)
        report = fence(world)
        assert (report.moved, report.lanes) == ({"requeue": 0, "fail": 1, "lose_track": 0}, {"nile-sms"})
        row = delivery_row(world, one.delivery.id)
        assert (row["state"], row["code"], row["detail"]) == ("failed", "poison", "3 drains died while they held it")
        assert [each["channel"] for each in deliveries_of(world, one.notification.id)] == ["whatsapp", "sms"]

    def test_two_lanes_have_a_list_each(self, world: World) -> None:
        due(world, 2)
        due(world, 2, lane="nile-sms", channel="sms", channels=("sms",))
        leased(world, Scripted(), 2, 2)
        claim(drain_of(world, Scripted(), "nile-sms"), 2)
        assert fence(world).moved == {"requeue": 2, "fail": 0, "lose_track": 2}
        assert {row["lane"] for row in all_deliveries(world) if row["state"] == "unknown"} == {"nile-wa"}

    def test_a_drain_that_recorded_everything_leaves_no_list(self, world: World) -> None:
        due(world, 2)
        work = run(drain_of(world, Scripted()))
        key = world.runtime.limiter.departures.key(work.owner)
        assert world.runtime.redis.llen(key) >= 2
        work.forget()
        assert world.runtime.redis.exists(key) == 0


class TestFence:
    def test_a_drain_that_wakes_up_afterwards_gets_no_permit_hands_back_and_ends(self, world: World) -> None:
        made = due(world, 4)
        transport = Scripted()
        asleep = leased(world, transport, 4, 1)
        assert fence(world).moved == {"requeue": 3, "fail": 0, "lose_track": 1}
        other = Scripted()
        run(drain_of(world, other))
        asleep._waiting.void()  # its permit has grown old as well
        run(asleep)
        assert (transport.sent, asleep.closing, asleep.report.outcomes["lost"]) == ([], True, 4)
        assert (len(other.sent), states(world)) == (3, {"accepted": 3, "unknown": 1})
        assert len(made) == 4

    def test_even_with_a_clock_that_stands_it_sends_nothing(self, world: World) -> None:
        due(world, 3)
        transport = Scripted()
        slow_clock = Clock(world.clock())
        runtime = make_runtime(world.ledger, world.runtime.redis, clock=slow_clock)
        asleep = drain_of(World(runtime, slow_clock, []), transport)
        claim(asleep, 3)
        assert fence(world).moved == {"requeue": 3, "fail": 0, "lose_track": 0}
        run(asleep)
        assert (transport.sent, states(world)) == ([], {"queued": 3})

    def test_a_fenced_drain_asks_for_no_more_permits_than_none(self, redis_client: Redis) -> None:
        limiter = Limiter(redis_client, "n:", {"wa": 1000.0})
        limiter.departures.begin(OWNER)
        assert limiter.lease("wa", 1, OWNER, IDS[0]).fenced is False
        assert limiter.departures.fence(OWNER) == frozenset(IDS[:1])
        lease = limiter.lease("wa", 2, OWNER, "".join(IDS[1:3]))
        assert (lease.fenced, lease.starts) == (True, ())
        assert limiter.departures.fence(OWNER) == frozenset(IDS[:1])
        assert limiter.lease("wa", 1).fenced is False

    def test_only_those_that_got_a_permit_are_noted_in_order(self, redis_client: Redis) -> None:
        limiter = Limiter(redis_client, "n:", {"slow": 1.0})
        limiter.departures.begin(OWNER)
        limiter.lease("slow", 6, OWNER, "".join(IDS))
        assert limiter.departures.fence(OWNER) == frozenset(IDS[:1])

    def test_of_a_drain_that_never_began_nobody_can_say(self, redis_client: Redis) -> None:
        assert Limiter(redis_client, "n:", {}).departures.fence(OWNER) is None

    def test_a_list_is_kept_for_a_day_from_its_last_lease(self, redis_client: Redis) -> None:
        departures = Limiter(redis_client, "n:", {}).departures
        departures.begin(OWNER)
        assert timedelta(hours=23) < timedelta(seconds=redis_client.ttl(departures.key(OWNER)))


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RunningServer]:
    with start_server(tmp_path) as server:
        yield server


class TestRedisInBetween:
    def test_emptied_everything_is_unknown_and_the_living_drain_ends(self, world: World) -> None:
        due(world, 4)
        transport = Scripted()
        work = leased(world, transport, 4, 1)
        world.runtime.redis.flushdb()
        work._waiting.void()
        for _ in range(3):
            work.turn()
        assert (transport.sent, work.closing, states(world)) == ([], True, {"queued": 4})

    def test_emptied_under_a_dead_drain_everything_is_unknown(self, world: World) -> None:
        due(world, 4)
        leased(world, Scripted(), 4, 1)
        world.runtime.redis.flushdb()
        assert fence(world).moved == {"requeue": 0, "fail": 0, "lose_track": 4}

    def test_restarted_from_its_file_the_list_is_not_believed(
        self, ledger: Ledger, clock: Clock, tmp_path: Path
    ) -> None:
        """`appendfsync everysec`: the last second of the list may be gone, and its messages would go twice."""
        with start_server(tmp_path) as server:
            world = World(make_runtime(ledger, connect(server.url), clock=clock), clock, [])
            due(world, 4)
            leased(world, Scripted(), 4, 1)
        with start_server(tmp_path) as server:
            redis = connect(server.url)
            assert redis.keys("notifier:departed:*")
            again = World(make_runtime(ledger, redis, clock=clock), clock, [])
            assert fence(again).moved == {"requeue": 0, "fail": 0, "lose_track": 4}

    def test_away_the_sweep_waits_and_what_never_left_goes_back_afterwards(
        self, ledger: Ledger, clock: Clock, own_server: RunningServer
    ) -> None:
        redis = Redis.from_url(own_server.url, socket_timeout=0.2)
        world = World(make_runtime(ledger, redis, clock=clock), clock, [])
        due(world, 4)
        leased(world, Scripted(), 4, 1)
        os.kill(own_server.pid, signal.SIGSTOP)
        try:
            report = fence(world)
        finally:
            os.kill(own_server.pid, signal.SIGCONT)
        assert (report.finished, report.moved, states(world)) == (False, {}, {"claimed": 4})
        assert fence(world).moved == {"requeue": 3, "fail": 0, "lose_track": 1}
