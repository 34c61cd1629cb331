"""What a stop, a kill, a ledger or a Redis that goes away leaves behind: nothing sent twice, nothing lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal, cast

import pytest

import notifier.booking as booking_module
import notifier.drain as drain_module
from notifier.drain import Drain, drain
from notifier.ledger import Connection, Ledger, LedgerUnavailable, claims
from notifier.record import Result
from notifier.road import RoadUnavailable
from notifier.sweeps import SWEEPS, sweep
from notifier.transport import Transport
from tests.fixtures.drains import (
    PHONE,
    Scripted,
    all_deliveries,
    claim,
    deliveries_of,
    delivery_row,
    drain_of,
    due,
    notification_row,
    refused,
    run,
    states,
    steps_of,
)
from tests.fixtures.ledger import HOUR
from tests.fixtures.runtime import World, make_runtime

Fault = Literal["away", "reply lost"] | None


class Flaky:
    """A ledger whose transactions fail as the plan says: before they begin, or after they were committed."""

    def __init__(self, ledger: Ledger, *plan: Fault) -> None:
        self._ledger, self.plan = ledger, list(plan)
        self.read = ledger.read

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        fault = self.plan.pop(0) if self.plan else None
        if fault == "away":
            raise LedgerUnavailable("away")
        with self._ledger.begin() as conn:
            yield conn
        if fault == "reply lost":
            raise LedgerUnavailable("reply lost")


def with_ledger(world: World, *plan: Fault) -> World:
    """The same world, whose next transactions fail so."""
    return World(
        replace(world.runtime, ledger=cast("Ledger", Flaky(world.ledger, *plan))), world.clock, world.published
    )


def go(world: World, transport: Scripted, stop: threading.Event | None = None) -> drain_module.DrainReport:
    return drain(world.runtime, "nile-wa", cast("Transport", transport), stop or threading.Event())


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain_module, "LEDGER_PAUSE", timedelta(milliseconds=1))


class TestLedgerAway:
    def test_answers_in_hand_are_recorded_when_it_is_back(self, world: World) -> None:
        due(world, 3)
        transport = Scripted(before_poll=lambda: plan.append("away"))
        flaky = with_ledger(world)
        plan = cast("Flaky", flaky.runtime.ledger).plan
        with pytest.raises(LedgerUnavailable):
            go(flaky, transport)
        counted = states(world)
        assert counted.pop("accepted") == len(transport.sent) > 0
        assert sum(counted.values()) == counted.get("queued", 0) == 3 - len(transport.sent)

    def test_answers_that_come_while_it_is_away_are_read_and_kept(self, world: World) -> None:
        due(world, 2)
        transport = Scripted(hold=True)
        flaky = with_ledger(world)
        work = drain_of(flaky, transport)
        while transport.in_flight < 2:
            work.turn()
        plan = cast("Flaky", flaky.runtime.ledger).plan
        work._results.append(
            Result.released(transport.sent[0].claimed._replace(delivery_id="nobody's"))
        )  # something to record, and no ledger
        plan.extend(["away", "away", "away"])
        transport.hold = False
        drain_module._finish(work)
        assert (plan, transport.in_flight, states(world)) == ([], 0, {"accepted": 2})

    def test_away_from_the_start_nothing_is_sent(self, world: World) -> None:
        due(world)
        transport = Scripted()
        with pytest.raises(LedgerUnavailable):
            go(with_ledger(world, "away"), transport)
        assert (transport.sent, states(world)) == ([], {"queued": 1})

    def test_claims_whose_commit_lost_its_reply_are_handed_back_at_once(self, world: World) -> None:
        made = due(world, 3)
        transport = Scripted()
        with pytest.raises(LedgerUnavailable):
            go(with_ledger(world, "reply lost"), transport)
        assert (transport.sent, states(world)) == ([], {"queued": 3})
        row = delivery_row(world, made[0].delivery.id)
        assert (row["attempts"], row["reason"]) == (0, "released")
        go(world, transport)
        assert sorted(transport.refs) == sorted(one.delivery.id for one in made)

    def test_claims_of_another_drain_are_not_handed_back(self, world: World) -> None:
        [theirs] = due(world)
        other = drain_of(world, Scripted())
        claim(other, 1)
        due(world)
        with pytest.raises(LedgerUnavailable):
            go(with_ledger(world, "reply lost"), Scripted())
        assert delivery_row(world, theirs.delivery.id)["state"] == "claimed"
        assert states(world) == {"claimed": 1, "queued": 1}

    def test_a_record_whose_commit_lost_its_reply_counts_once(self, world: World) -> None:
        [one] = due(world)
        transport = Scripted()
        with pytest.raises(LedgerUnavailable):
            go(with_ledger(world, None, "reply lost"), transport)
        row = delivery_row(world, one.delivery.id)
        assert (row["state"], row["attempts"], len(transport.sent)) == ("accepted", 1, 1)

    def test_what_was_handed_back_and_claimed_anew_is_not_pulled_from_under_the_other(self, world: World) -> None:
        [one] = due(world)
        mine = drain_of(with_ledger(world, None, "reply lost"), Scripted())
        claim(mine, 1)
        mine.release()
        with pytest.raises(LedgerUnavailable):
            mine.settle()
        theirs = drain_of(world, Scripted(hold=True))
        while not theirs.transport.in_flight:
            theirs.turn()
        mine.settle()
        row = delivery_row(world, one.delivery.id)
        assert (row["state"], row["owner"], mine.report.outcomes["lost"]) == ("claimed", theirs.owner, 1)

    def test_longer_than_a_lease_is_longer_than_it_waits(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        due(world)
        runtime = make_runtime(
            world.ledger,
            world.runtime.redis,
            clock=world.clock,
            drain={"lease": "10ms", "slice": "1ms", "request_timeout": "1ms", "connect_timeout": "1ms"},
        )
        aways: list[Fault] = ["away"] * 5000
        short = with_ledger(World(runtime, world.clock, []), None, *aways)
        with pytest.raises(LedgerUnavailable):
            go(short, Scripted())
        assert states(world) == {"claimed": 1}
        world.clock.move(HOUR)
        assert sweep(world.runtime, "release_expired_leases").moved == {"requeue": 0, "fail": 0, "lose_track": 1}


def away(*_: Any, **__: Any) -> Any:
    raise RoadUnavailable("away")


class TestRoadAway:
    @pytest.mark.parametrize("call", ["admit_pairs", "lease"])
    def test_without_redis_nothing_is_sent_and_all_of_it_waits(
        self, world: World, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        made = due(world, 3)
        transport = Scripted()
        monkeypatch.setattr(world.runtime.limiter, call, away)
        with pytest.raises(RoadUnavailable):
            go(world, transport)
        assert (transport.sent, states(world)) == ([], {"queued": 3})
        assert {delivery_row(world, one.delivery.id)["attempts"] for one in made} == {0}

    def test_what_is_in_flight_when_redis_goes_is_still_recorded(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        due(world, 4)
        for call in ("give_back", "back_pairs", "throttled", "block_pair", "admit_pairs"):
            monkeypatch.setattr(world.runtime.limiter, call, away)
        monkeypatch.setattr(world.runtime.limiter, "admit_pairs", lambda _, to: [timedelta(0)] * len(to))
        real, calls = world.runtime.limiter.lease, []

        def once(lane: str, wanted: int, *noted: str) -> Any:
            calls.append(wanted)
            return real(lane, 1, *noted) if len(calls) == 1 else away()

        monkeypatch.setattr(world.runtime.limiter, "lease", once)
        transport = Scripted(rest=lambda: refused(130429))
        with pytest.raises(RoadUnavailable):
            go(world, transport)
        assert len(transport.sent) == 1
        row = delivery_row(world, transport.refs[0])
        assert (row["state"], row["reason"], row["throttles"]) == ("queued", "throttle_sender", 1)
        assert states(world) == {"queued": 4}


# Where a drain can be hit: the call, on what it is made, and whether it has happened when the fault strikes.
POINTS = [
    ("claim", "before"),
    ("claim", "after"),
    ("guard", "after"),
    ("admit", "before"),
    ("admit", "after"),
    ("lease", "before"),
    ("lease", "after"),
    ("submit", "before"),
    ("submit", "after"),
    ("poll", "before"),
    ("record", "before"),
    ("record", "after"),
]


class Hit(Exception):
    """A fault that nobody expects."""


def strike(world: World, transport: Scripted, monkeypatch: pytest.MonkeyPatch, point: str, when: str) -> None:
    """The second call at this point fails; the first goes well, so that something is under way."""
    homes: dict[str, tuple[Any, str]] = {
        "claim": (claims, "claim"),
        "guard": (booking_module, "guard"),
        "admit": (drain_module, "admit"),
        "lease": (world.runtime.limiter, "lease"),
        "submit": (transport, "submit"),
        "poll": (transport, "poll"),
        "record": (booking_module, "record"),
    }
    home, name = homes[point]
    real: Callable[..., Any] = getattr(home, name)
    calls: list[int] = []

    def struck(*args: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 2 and when == "before":
            raise Hit
        answer = real(*args, **named)
        if len(calls) == 2:
            raise Hit
        return answer

    monkeypatch.setattr(home, name, struck)


@pytest.mark.parametrize(("point", "when"), POINTS)
def test_a_fault_at_any_boundary_sends_nothing_twice_and_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, point: str, when: str
) -> None:
    made = due(world, 6)
    slow = make_runtime(
        world.ledger,
        world.runtime.redis,
        clock=world.clock,
        published=world.published,
        senders={"nile-wa": {"in_flight": 2}},
    )
    small, transport = World(slow, world.clock, world.published), Scripted()
    strike(small, transport, monkeypatch, point, when)
    with pytest.raises(Hit):
        go(small, transport)
    ended = states(world)
    assert ended.get("claimed", 0) <= (1 if point in ("submit", "record") else 0) * 2
    monkeypatch.undo()
    world.clock.move(timedelta(minutes=2))
    for name in SWEEPS:
        sweep(world.runtime, name)
    go(world, transport)
    assert len(set(transport.refs)) == len(transport.refs)
    counted = states(world)
    assert sum(counted.values()) == 6
    assert set(counted) <= {"accepted", "unknown"}
    not_sent = {one.delivery.id for one in made} - set(transport.refs)
    assert {delivery_row(world, one)["state"] for one in not_sent} <= {"unknown"}


def killed_after(world: World, transport: Scripted, point: str) -> Drain:
    """A drain that is gone in the middle: nobody finishes it."""
    work = drain_of(world, transport)
    claim(work, 2)
    if point == "claim":
        return work
    work._admit()
    while work._waiting.ready:
        work._waiting.lease()
    if point == "permits":
        return work
    while work._waiting.ripening:
        work._start()
    if point == "poll":
        work.listen(timedelta(0))
    return work


@pytest.mark.parametrize("point", ["permits", "submit", "poll"])
def test_a_kill_after_the_permits_leaves_what_a_sweep_makes_unknown_and_nobody_sends_again(
    world: World, point: str
) -> None:
    made = due(world, 2)
    transport = Scripted()
    killed_after(world, transport, point)
    assert len(transport.sent) == (2 if point in ("submit", "poll") else 0)
    world.clock.move(world.runtime.settings.drain.lease - timedelta(microseconds=1))
    assert sweep(world.runtime, "release_expired_leases").seen == 0
    world.clock.move(timedelta(microseconds=1))
    assert sweep(world.runtime, "release_expired_leases").moved == {"requeue": 0, "fail": 0, "lose_track": 2}
    after = Scripted()
    run(drain_of(world, after))
    assert (after.sent, states(world)) == ([], {"unknown": 2})
    world.clock.move(7 * HOUR)
    assert sweep(world.runtime, "decide_unknown").moved == {"expire": 2}
    for one in made:
        row = notification_row(world, one.notification.id)
        assert (row["state"], row["reason"]) == ("unreached", "unknown_outcome")
        assert len(deliveries_of(world, one.notification.id)) == 1


def test_an_answer_that_comes_after_the_sweep_has_decided_is_still_right(world: World) -> None:
    [one] = due(world)
    transport = Scripted()
    work = killed_after(world, transport, "poll")
    world.clock.move(HOUR)
    sweep(world.runtime, "release_expired_leases")
    work.settle()
    row = delivery_row(world, one.delivery.id)
    assert (row["state"], row["attempts"]) == ("accepted", 1)


class TestStop:
    def slow(self, world: World) -> World:
        """Three permits at hand, 50 ms apart."""
        runtime = make_runtime(
            world.ledger,
            world.runtime.redis,
            clock=world.clock,
            published=world.published,
            senders={"nile-wa": {"rate": 20}},
        )
        return World(runtime, world.clock, world.published)

    def test_what_was_not_started_goes_back_as_it_was(self, world: World) -> None:
        made = due(world, 4, phone=PHONE)
        stop = threading.Event()
        transport = Scripted(before_poll=stop.set)
        report = go(self.slow(world), transport, stop)
        assert (len(transport.sent), states(world)) == (1, {"accepted": 1, "queued": 3})
        assert report.outcomes["requeued"] == 3
        assert (report.more, world.published) == (False, [])
        for row in all_deliveries(world):
            if row["state"] == "queued":
                assert (row["attempts"], row["throttles"], row["due_at"]) == (0, 0, row["first_due_at"])
                assert steps_of(world, row["id"]) == [("requeue", "released")]
        assert len(made) == 4

    def test_their_tokens_and_permits_go_back_too(self, world: World) -> None:
        due(world, 4, phone=PHONE)
        stop = threading.Event()
        slow = self.slow(world)
        go(slow, Scripted(before_poll=stop.set), stop)
        waits = slow.runtime.limiter.admit_pairs("nile-wa", [PHONE] * 45)
        assert len([wait for wait in waits if wait]) == 1
        lease = slow.runtime.limiter.lease("nile-wa", 1)
        assert lease.starts[0] <= 0.055  # the second permit of the lease, not the fourth

    def test_a_drain_that_starts_during_a_stop_claims_nothing(self, world: World) -> None:
        due(world)
        stop = threading.Event()
        stop.set()
        report = go(world, Scripted(), stop)
        assert (report.claimed, report.turns, states(world)) == (0, 0, {"queued": 1})

    def test_answers_to_what_was_started_are_waited_for(self, world: World) -> None:
        due(world, 2)
        stop = threading.Event()
        polls: list[int] = []
        transport = Scripted(hold=True)

        def later() -> None:
            polls.append(1)
            stop.set()
            transport.hold = len(polls) < 5

        transport.before_poll = later
        go(world, transport, stop)
        assert (len(transport.sent), states(world)["accepted"]) == (len(transport.refs), len(transport.refs))
        assert "claimed" not in states(world)


class TestSlowSenders:
    def test_a_sender_of_one_in_two_seconds_sends_what_has_a_permit(self, world: World) -> None:
        due(world, 2)
        runtime = make_runtime(world.ledger, world.runtime.redis, clock=world.clock, senders={"nile-wa": {"rate": 0.5}})
        transport = Scripted()
        for _ in range(30):  # a machine that sleeps through the 10 ms of a permit needs the next one
            work = drain_of(World(runtime, world.clock, []), transport)
            for _ in range(3):
                work.turn()
            if transport.sent:
                break
        assert (len(transport.sent), states(world)) == (1, {"accepted": 1, "queued": 1})

    def test_a_permit_that_grew_old_is_not_used(self, world: World) -> None:
        due(world)
        transport = Scripted()
        work = drain_of(world, transport)
        claim(work, 1)
        work._admit()
        while not work._waiting.ripening:
            work._waiting.lease()
        [ripe] = work._waiting.ripening
        work._waiting.ripening[:] = [ripe._replace(at=ripe.at - ripe.lease.late.total_seconds() - 1)]
        assert (list(work._waiting.started()), list(work._waiting.ready)) == ([], [ripe.carried])
        run(work)
        assert (len(transport.sent), states(world)) == (1, {"accepted": 1})

    def test_after_too_fast_nothing_goes_on_permits_from_before(self, world: World) -> None:
        due(world, 4)
        runtime = make_runtime(world.ledger, world.runtime.redis, clock=world.clock, senders={"nile-wa": {"rate": 20}})
        transport = Scripted(rest=lambda: refused(130429))
        work = drain_of(World(runtime, world.clock, []), transport)
        while not work.report.outcomes["requeued"]:
            work.turn()
        assert (len(transport.sent), work._waiting.ripening, len(work._waiting.ready)) == (1, [], 3)
        work.release()
        work.settle()
        assert states(world) == {"queued": 4}

    def test_requests_that_hang_do_not_keep_the_free_places_empty(self, world: World) -> None:
        due(world, 8)
        runtime = make_runtime(
            world.ledger, world.runtime.redis, clock=world.clock, senders={"nile-wa": {"in_flight": 4}}
        )
        transport = Scripted(hold=True)
        work = drain_of(World(runtime, world.clock, []), transport)
        while transport.in_flight < 4:
            work.turn()
        transport.lose_all_but(3)
        assert work._room(hungry=True) == 0
        work._claimed_at -= drain_module.CLAIM_WITHIN.total_seconds()
        assert work._room(hungry=True) == 1
