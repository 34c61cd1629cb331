"""A lane and its drains: one at a time, woken once, never stranded; and two at once do no harm."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast
from unittest.mock import Mock

import pytest

import notifier.drain as drain_module
from notifier import telemetry, wake
from notifier.drain import DrainReport, drain
from notifier.events import Priority
from notifier.lane_hold import LaneHold
from notifier.ledger import claims, steps
from notifier.transport import Transport
from tests.fixtures.drains import (
    Scripted,
    all_deliveries,
    claim,
    delivery_row,
    drain_of,
    due,
    queued_sms,
    refused,
    run,
    states,
)
from tests.fixtures.ledger import NOW
from tests.fixtures.runtime import World, make_runtime

HOLD_KEY = "notifier:drain:nile-wa"


def go(world: World, transport: Scripted, stop: threading.Event | None = None) -> DrainReport:
    return drain(world.runtime, "nile-wa", cast("Transport", transport), stop or threading.Event())


def asked(world: World) -> bool:
    return wake.is_asked(world.runtime.redis, "notifier:", "nile-wa")


def test_a_drain_takes_all_that_is_due_and_ends(world: World) -> None:
    due(world, 20)
    transport = Scripted()
    report = go(world, transport)
    assert (len(transport.sent), report.claimed, report.more) == (20, 20, False)
    assert states(world) == {"accepted": 20}
    assert world.runtime.redis.exists(HOLD_KEY) == 0
    assert not asked(world)


def test_an_idle_lane_costs_one_turn(world: World) -> None:
    report = go(world, Scripted())
    assert (report.turns, report.claimed, report.more, world.published) == (1, 0, False, [])


def test_a_lane_with_little_work_costs_two_transactions(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    due(world, 20)
    begin = Mock(wraps=world.ledger.begin)
    monkeypatch.setattr(world.ledger, "begin", begin)
    assert go(world, Scripted()).outcomes["accepted"] == 20
    assert begin.call_count == 2, "one claims, one records and sees that there is no more"


@pytest.mark.parametrize("batch", [1, 4])
def test_a_flow_that_may_hold_more_than_its_share_is_looked_at_again(world: World, batch: int) -> None:
    due(world, 1, priority=Priority.URGENT)
    due(world, 9, priority=Priority.BULK)
    runtime = make_runtime(world.ledger, world.runtime.redis, clock=world.clock, drain={"batch": batch})
    report = go(World(runtime, world.clock, world.published), Scripted())
    assert (report.outcomes["accepted"], states(world)) == (10, {"accepted": 10})


def test_a_drain_ends_when_all_that_is_due_waits_for_others(world: World) -> None:
    """Two flows, one of them without a share, and both orders are claimed by somebody else: the tick looks again."""
    for number in range(2):
        due(world, order_id=f"order-{number}")
    with world.ledger.begin() as conn:
        quota = [claims.Quota(Priority.NORMAL, "nile", 2)]
        lease = world.clock() + world.runtime.settings.drain.lease
        assert len(claims.claim(conn, "nile-wa", quota, "somebody", world.clock(), lease)) == 2
    due(world, order_id="order-0", event="order.shipped", priority=Priority.URGENT)
    due(world, order_id="order-1", event="order.shipped", priority=Priority.BULK)
    runtime = make_runtime(world.ledger, world.runtime.redis, clock=world.clock, drain={"batch": 1})
    report = go(World(runtime, world.clock, world.published), Scripted())
    assert (report.turns, report.claimed, report.more) == (1, 0, False)


def test_it_answers_the_wake_up_that_brought_it(world: World) -> None:
    due(world)
    world.runtime.wake(["nile-wa"])
    go(world, Scripted())
    assert not asked(world)
    assert world.published == ["nile-wa"]


def test_who_finds_the_lane_held_leaves_the_wake_up_to_the_holder(world: World) -> None:
    due(world)
    world.runtime.redis.set(HOLD_KEY, "another")
    world.runtime.wake(["nile-wa"])
    transport = Scripted()
    report = go(world, transport)
    assert (report.turns, report.more, transport.sent) == (0, False, [])
    assert asked(world)
    assert world.runtime.redis.get(HOLD_KEY) == b"another"


def after_call(monkeypatch: pytest.MonkeyPatch, home: object, name: str, act: Callable[[], None], nth: int = 1) -> None:
    """Lets `act` happen right before the nth call of `name`."""
    real, calls = getattr(home, name), [0]

    def with_act(*args: object, **named: object) -> object:
        calls[0] += 1
        if calls[0] == nth:
            act()
        return real(*args, **named)

    monkeypatch.setattr(home, name, with_act)


@pytest.mark.parametrize(
    ("label", "home", "name", "nth"),
    [
        ("before the flag goes", wake, "answered", 1),
        ("between the flag and the read", drain_module.Drain, "turn", 1),
        ("after the last read", LaneHold, "let_go", 1),
        ("after the hold is let go", drain_module, "_finish", 1),
    ],
)
def test_a_message_that_comes_at_any_moment_is_not_stranded(
    world: World, monkeypatch: pytest.MonkeyPatch, label: str, home: object, name: str, nth: int
) -> None:
    """Somebody plans a message, asks, and the drain that was asked for meets the held lane and leaves."""
    transport = Scripted()

    def arrive() -> None:
        due(world)
        if world.runtime.wake(["nile-wa"]) and world.runtime.redis.exists(HOLD_KEY):
            assert go(world, Scripted()).turns == 0

    after_call(monkeypatch, home, name, arrive, nth)
    go(world, transport)
    left_to_another = asked(world) and "nile-wa" in world.published
    assert (len(transport.sent) == 1) or left_to_another
    if name != "_finish":
        assert (len(transport.sent), asked(world)) == (1, False)


def test_what_comes_while_answers_are_awaited_goes_in_the_same_drain(world: World) -> None:
    due(world)
    transport = Scripted()

    def more() -> None:
        transport.before_poll = lambda: None
        due(world)
        world.runtime.wake(["nile-wa"])

    transport.before_poll = more
    go(world, transport)
    assert (len(transport.sent), asked(world)) == (2, False)


def test_a_recorded_answer_lets_the_next_message_of_the_order_go_in_the_same_drain(world: World) -> None:
    due(world, order_id="o1", rank=10, always=True)
    due(world, order_id="o1", event="order.cancelled", rank=120, always=True, priority=0)
    transport = Scripted()
    go(world, transport)
    assert [one.claimed.event for one in transport.sent] == ["order.cancelled", "order.created"]


def test_a_drain_that_stops_leaves_no_flag_that_would_keep_the_tick_from_asking(world: World) -> None:
    due(world)
    world.runtime.wake(["nile-wa"])
    stopped = threading.Event()
    stopped.set()
    go(world, Scripted(), stopped)
    assert not asked(world)

    stop = threading.Event()

    def more_and_stop() -> None:
        world.runtime.wake(["nile-wa"])
        stop.set()

    go(world, Scripted(before_poll=more_and_stop), stop)
    assert not asked(world)


def test_at_the_end_of_its_slice_it_hands_back_and_asks_for_the_next(world: World) -> None:
    due(world, 30)
    short = make_runtime(
        world.ledger,
        world.runtime.redis,
        clock=world.clock,
        published=world.published,
        drain={"slice": "20ms"},
        senders={"nile-wa": {"rate": 100}},
    )
    small, transport = World(short, world.clock, world.published), Scripted()
    report = go(small, transport)
    assert (report.more, world.published, asked(world)) == (True, ["nile-wa"], True)
    assert states(world).get("claimed", 0) == 0
    for _ in range(400):
        if not go(small, transport).more:
            break
    assert states(world) == {"accepted": 30}
    assert len(set(transport.refs)) == len(transport.refs) == 30


def test_a_drain_that_nobody_waits_behind_goes_on_after_its_slice(world: World) -> None:
    due(world, 30)
    report = slow(world, lambda: False)
    assert (report.claimed, report.more, world.published) == (30, False, [])
    assert states(world) == {"accepted": 30}


def test_it_makes_way_when_somebody_comes(world: World) -> None:
    due(world, 30)
    looks = iter([False, False, True])
    report = slow(world, lambda: next(looks))
    assert (report.more, list(looks)) == (True, [])
    assert 0 < states(world)["accepted"] < 30
    assert world.published == ["nile-wa"]


def test_and_after_the_longest_time_that_one_may_take(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain_module, "LONGEST", timedelta(milliseconds=20))
    due(world, 30)
    assert slow(world, lambda: False).more
    assert states(world)["queued"] > 0


def test_it_is_gone_before_a_lease_of_its_claims_can_end(world: World) -> None:
    """A sweep would take it for dead for the sake of one claim whose result was dropped."""
    due(world, 30)
    assert slow(world, lambda: False, lease="2020ms", request_timeout="1s", connect_timeout="1s").more
    assert states(world)["queued"] > 0


def test_one_that_was_taken_for_dead_makes_way_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It went on, claimed and gave back in turns, for as long as it may last: its end had been forgotten."""
    monkeypatch.setattr(drain_module, "LONGEST", timedelta(seconds=2))
    due(world, 30)
    transport = Scripted()

    def fence() -> None:
        for row in all_deliveries(world):
            if row["owner"]:
                world.runtime.limiter.departures.fence(row["owner"])

    transport.before_poll = fence
    report = slow(world, lambda: False, transport)
    assert (report.more, report.turns < 20) == (True, True)


def slow(world: World, crowded: Callable[[], bool], transport: Scripted | None = None, **more: str) -> DrainReport:
    """A drain whose slice is over at once, on a sender of 100 a second. more: of its settings."""
    settings: dict[str, Any] = {"drain": {"slice": "1ms", **more}, "senders": {"nile-wa": {"rate": 100}}}
    redis, published = world.runtime.redis, world.published
    runtime = make_runtime(world.ledger, redis, clock=world.clock, published=published, **settings)
    return drain(runtime, "nile-wa", cast("Transport", transport or Scripted()), threading.Event(), crowded)


def test_what_is_recorded_at_the_end_of_a_slice_is_counted_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[dict[str, Any]] = []
    real = telemetry.note

    def note(name: str, /, **fields: Any) -> None:
        counted.extend([fields] if name == "drain.turn" else [])
        real(name, **fields)

    monkeypatch.setattr(telemetry, "note", note)
    due(world, 30)
    settings: dict[str, Any] = {"drain": {"slice": "20ms"}, "senders": {"nile-wa": {"rate": 100}}}
    small = World(make_runtime(world.ledger, world.runtime.redis, clock=world.clock, **settings), world.clock, [])
    for _ in range(400):
        if not go(small, Scripted()).more:
            break
    assert sum(fields["accepted"] for fields in counted) == 30


def test_the_next_drain_sees_what_was_handed_back_when_it_is_asked_for(world: World) -> None:
    due(world, 4)
    seen: list[dict[str, int]] = []
    short = make_runtime(
        world.ledger,
        world.runtime.redis,
        clock=world.clock,
        drain={"slice": "1ms"},
        senders={"nile-wa": {"rate": 20}},
    )

    def publish(lane: str, channel: str) -> bool:
        seen.append(states(world))
        return True

    object.__setattr__(short, "publish", publish)
    go(World(short, world.clock, []), Scripted(hold=False))
    assert [counted.get("claimed", 0) for counted in seen] == [0]


def test_a_drain_that_lost_its_hold_finishes_what_it_started_and_leaves_the_rest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    due(world, 4)
    slow = make_runtime(world.ledger, world.runtime.redis, clock=world.clock, senders={"nile-wa": {"rate": 20}})
    monkeypatch.setattr(drain_module, "HOLD", timedelta(0))  # looks at its hold every turn

    def taken() -> None:
        world.runtime.redis.set(HOLD_KEY, "another")

    transport = Scripted(before_poll=taken)
    report = go(World(slow, world.clock, []), transport)
    assert (len(transport.sent), report.more) == (1, True)
    assert states(world) == {"accepted": 1, "queued": 3}
    assert world.runtime.redis.get(HOLD_KEY) == b"another"


def test_two_drains_of_a_lane_send_each_message_once(world: World) -> None:
    made = due(world, 60)
    transports = [Scripted(), Scripted()]
    faults: list[BaseException] = []

    def work(transport: Scripted) -> None:
        try:
            run(drain_of(world, transport), turns=2000)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(transport,)) for transport in transports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    refs = [ref for transport in transports for ref in transport.refs]
    assert faults == []
    assert sorted(refs) == sorted(one.delivery.id for one in made)
    assert states(world) == {"accepted": 60}


def test_two_lanes_never_tell_one_order_two_things_at_once(world: World) -> None:
    due(world, order_id="o1", rank=10, always=True)
    due(world, order_id="o1", rank=20, always=True, lane="nile-sms", channel="sms", position=1)
    first, second = Scripted(hold=True), Scripted(rest=queued_sms)
    ours = drain_of(world, first)
    while not first.in_flight:
        ours.turn()
    run(drain_of(world, second, "nile-sms"))
    assert second.sent == []
    first.hold = False
    run(ours)
    run(drain_of(world, second, "nile-sms"))
    assert len(second.sent) == 1


def test_lanes_are_woken_after_the_commit_and_not_before(world: World) -> None:
    [one] = due(world)
    seen: list[str] = []

    def publish(lane: str, channel: str) -> bool:
        with world.ledger.read() as conn:
            seen.extend(row.state for row in steps.siblings(conn, [one.notification.id]))
        return True

    object.__setattr__(world.runtime, "publish", publish)
    run(drain_of(world, Scripted([refused(131026)])))
    assert seen == ["failed", "queued"]


def test_the_lease_lasts_as_long_as_the_settings_say(world: World) -> None:
    [one] = due(world)
    work = drain_of(world, Scripted())
    claim(work, 1)
    row = delivery_row(world, one.delivery.id)
    assert row["lease_until"] == int((NOW + timedelta(seconds=60)).timestamp() * 1_000_000)
    assert row["owner"] == work.owner
