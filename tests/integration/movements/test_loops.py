"""The loops: start, stop, outage, fault. What a batch does is tested with intake and receipts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier import loops
from notifier.embedded import start_server
from notifier.inbox import Inbox
from notifier.intake import take_in
from notifier.runtime import Runtime
from notifier.streams import Quarantine, Receipts
from tests.fixtures.redis_server import connect
from tests.fixtures.runtime import World
from tests.integration.movements.arriving import state_of, status, under_way, webhook
from tests.integration.movements.incoming import AwayLedger, an_order, hand_in, quarantined, reader_of, rows
from tests.integration.workers.processes import until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops that look and pause for milliseconds."""
    monkeypatch.setattr(loops, "BLOCK", timedelta(milliseconds=5))
    monkeypatch.setattr(loops, "FIRST_PAUSE", timedelta(milliseconds=5))
    monkeypatch.setattr(loops, "LAST_PAUSE", timedelta(milliseconds=5))


@pytest.fixture
def pumping() -> Iterator[Callable[..., threading.Thread]]:
    """Starts a pump in a thread of its own; stops all of them at the end, and wants them to end."""
    stop, threads = threading.Event(), []

    def start(pump: Any, runtime: Runtime) -> threading.Thread:
        thread = threading.Thread(target=pump, args=(runtime, stop), daemon=True)
        thread.start()
        threads.append(thread)
        return thread

    yield start
    stop.set()
    for thread in threads:
        thread.join(timeout=30)
        assert not thread.is_alive()


def orders(world: World) -> set[str]:
    return {order for (order,) in rows(world.ledger, "order_event", "order_id")}


def test_a_pump_takes_events_in_as_they_arrive_until_it_is_stopped(world: World, pumping: Any) -> None:
    pumping(loops.pump_intake, world.runtime)
    for number in ("1", "2"):
        hand_in(world.runtime, an_order(number))
        until(lambda: number in orders(world), f"order {number} is in the ledger")  # noqa: B023 - called at once


def test_a_pump_applies_receipts_as_they_arrive(world: World, pumping: Any) -> None:
    made = under_way(world)
    pumping(loops.pump_receipts, world.runtime)
    Receipts(world.runtime.redis, "notifier:").append("meta", webhook(status("delivered")))
    until(lambda: state_of(world, made) == "delivered", "the delivery is delivered")


def test_a_pump_waits_out_the_ledger_and_loses_and_blames_nobody(world: World, pumping: Any) -> None:
    away = AwayLedger(world.ledger)
    begun: list[bool] = []
    begin = away.begin

    def counted() -> Any:
        begun.append(True)
        return begin()

    away.begin = counted  # type: ignore[method-assign]
    runtime = replace(world.runtime, ledger=away)
    away.dies = True
    hand_in(runtime, *(an_order(str(number)) for number in range(3)))
    pumping(loops.pump_intake, runtime)
    until(lambda: len(begun) > 8, "more tries than poison is given")
    assert (orders(world), quarantined(runtime)) == (set(), [])
    away.dies = False

    until(lambda: orders(world) == {"0", "1", "2"}, "all are in")
    until(lambda: runtime.inbox.stats().length == 0, "all are acknowledged")
    assert quarantined(runtime) == []


def test_a_pump_waits_out_redis(world: World, pumping: Any, tmp_path: Path) -> None:
    with start_server(tmp_path / "redis") as first:
        redis, port = connect(first.url), first.port
        runtime = replace(world.runtime, redis=redis, inbox=Inbox(redis), quarantine=Quarantine(redis, "notifier:"))
        hand_in(runtime, an_order("1"))
        pumping(loops.pump_intake, runtime)
        until(lambda: orders(world) == {"1"}, "the first is in")
    with start_server(tmp_path / "redis", port=port):
        until(lambda: _answers(runtime), "Redis answers again")
        hand_in(runtime, an_order("2"))
        until(lambda: orders(world) == {"1", "2"}, "the pump goes on")


def _answers(runtime: Runtime) -> bool:
    try:
        return bool(runtime.redis.ping())
    except Exception:
        return False


def test_a_fault_of_ours_does_not_end_the_pump(world: World, pumping: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    faults: list[str] = []
    move = take_in

    def fails(runtime: Runtime, reader: Any, items: Any) -> Any:
        if len(faults) < 2:
            faults.append("fault")
            raise RuntimeError("a fault of ours")
        return move(runtime, reader, items)

    monkeypatch.setattr(loops, "take_in", fails)
    hand_in(world.runtime, an_order("1"))
    thread = pumping(loops.pump_intake, world.runtime)
    until(lambda: orders(world) == {"1"}, "the event is in at the third try")
    assert (thread.is_alive(), faults, quarantined(world.runtime)) == (True, ["fault"] * 2, [])


def test_the_backstop_empties_the_stream_in_batches_and_ends(world: World) -> None:
    settings = world.runtime.settings
    small = settings.model_copy(update={"inbox": settings.inbox.model_copy(update={"batch": 2})})
    runtime = replace(world.runtime, settings=small)
    hand_in(runtime, *(an_order(str(number)) for number in range(5)))
    assert (loops.intake_once(runtime, threading.Event()), runtime.inbox.stats().length) == (5, 0)
    assert loops.intake_once(runtime, threading.Event()) == 0


def test_a_backstop_that_is_told_to_stop_takes_nothing_more(world: World) -> None:
    hand_in(world.runtime, an_order("1"))
    stop = threading.Event()
    stop.set()
    assert loops.intake_once(world.runtime, stop) == 0
    assert (world.runtime.inbox.stats().length, reader_of(world.runtime).backlog().pending) == (1, 0)


def test_an_outage_in_the_middle_ends_the_backstop_and_gives_its_batch_back(world: World) -> None:
    away = AwayLedger(world.ledger)
    runtime = replace(world.runtime, ledger=away)
    hand_in(runtime, an_order("1"))
    away.dies = True
    for _ in range(5):
        assert loops.intake_once(runtime, threading.Event()) == 0
    away.dies = False
    assert loops.intake_once(runtime, threading.Event()) == 1
    assert (orders(world), quarantined(runtime)) == ({"1"}, [])


def test_readers_of_two_threads_are_two_consumers(world: World) -> None:
    hand_in(world.runtime, an_order("1"), an_order("2"))
    both = threading.Barrier(2)  # two that live at once: names of threads that have ended may come again

    def read() -> None:
        loops._inbox_reader(world.runtime).read(1, None)
        both.wait(timeout=30)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found: Any = world.runtime.redis.xinfo_consumers(world.runtime.inbox.stream, "intake")
    assert [one["pending"] for one in found] == [1, 1]
