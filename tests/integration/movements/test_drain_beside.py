"""What a drain does in the ledger goes on beside its requests: neither waits for the other, and nothing is shared."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal, cast
from unittest.mock import Mock

import pytest

from notifier import wake
from notifier.booking import Booked, Booking, Sorted
from notifier.carry import Taken
from notifier.drain import Drain
from notifier.effects import store_breaker
from notifier.ledger import Connection, Ledger, LedgerUnavailable
from notifier.policy.breaker import Breaker
from notifier.runtime import Runtime
from tests.fixtures.drains import Scripted, drain_of, due, run, states
from tests.fixtures.ledger import NOW
from tests.fixtures.runtime import World


class Gate:
    """A ledger whose transactions wait at the door while it is shut; then they go on, or fail."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.dialect = ledger.dialect
        self.open = threading.Event()
        self.open.set()
        self.reached = threading.Event()
        self.fails = False

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        self.reached.set()
        assert self.open.wait(30)
        if self.fails:
            raise LedgerUnavailable("away")
        with self._ledger.begin() as conn:
            yield conn


@pytest.fixture
def gate(world: World) -> Gate:
    return Gate(world.ledger)


def at_work(world: World, gate: Gate, transport: Scripted, more: int = 1) -> Drain:
    """A drain with one request under way, and a transaction beside it that has not come further than the gate.

    more: how many further messages are due by then.
    """
    runtime = replace(world.runtime, ledger=cast("Ledger", gate))
    drain = drain_of(World(runtime, world.clock, world.published), transport)
    due(world)
    while not transport.in_flight:
        drain.turn()
    while drain.hungry:  # until it has seen that there is no more
        drain.turn()
    due(world, more)
    drain.hungry = True
    gate.open.clear()
    gate.reached.clear()
    drain._claimed_at = 0.0
    while not gate.reached.wait(0.01):
        drain.turn()
    return drain


def test_answers_are_heard_while_a_transaction_waits(world: World, gate: Gate) -> None:
    transport = Scripted(hold=True)
    drain = at_work(world, gate, transport)
    transport.hold = False
    drain.turn()
    assert (transport.in_flight, len(drain._results)) == (0, 1)
    gate.open.set()
    run(drain)
    assert states(world) == {"accepted": 2}


def test_only_one_transaction_is_under_way(world: World, gate: Gate) -> None:
    transport = Scripted(hold=True)
    drain = at_work(world, gate, transport)
    gate.reached.clear()
    for _ in range(5):
        drain.turn()
    assert not gate.reached.is_set()
    gate.open.set()
    transport.hold = False
    run(drain)
    assert states(world) == {"accepted": 2}


def test_a_wake_up_that_comes_after_its_read_began_is_not_swallowed(world: World, gate: Gate) -> None:
    drain = at_work(world, gate, Scripted(hold=True), more=0)
    world.runtime.wake(["nile-wa"])
    gate.open.set()
    drain.turn()
    drain.collect(wait=True)
    asked = wake.is_asked(world.runtime.redis, world.runtime.settings.key_prefix, "nile-wa")
    assert (drain.hungry, asked) == (False, True)


def test_what_a_failed_transaction_would_have_recorded_is_kept(world: World, gate: Gate) -> None:
    transport = Scripted(hold=True)
    drain = at_work(world, gate, transport)
    gate.fails = True
    gate.open.set()
    with pytest.raises(LedgerUnavailable):
        drain.collect(wait=True)
    gate.fails, transport.hold = False, False
    run(drain)
    assert states(world) == {"accepted": 2}


def test_claims_that_come_after_the_end_go_back_unsent(world: World, gate: Gate) -> None:
    transport = Scripted(hold=True)
    drain = at_work(world, gate, transport)
    drain.closing = True
    gate.open.set()
    drain.collect(wait=True)
    assert drain.hungry, "so that the end of a slice asks for the drain that goes on"
    transport.hold = False
    while drain.busy:
        drain.turn()
    assert (states(world), len(transport.sent)) == ({"accepted": 1, "queued": 1}, 1)


def claimed_beside(drain: Drain, gate: Gate, transport: Scripted) -> None:
    """The transaction beside us has claimed; an answer has come meanwhile, so the next turn begins another."""
    transport.hold = False
    drain.turn()
    transport.hold = True
    gate.open.set()
    while not cast("Future[Booked]", drain._booking._future).done():
        pass
    gate.open.clear()
    gate.reached.clear()
    drain._oldest_result = 0.0


def test_what_was_claimed_leaves_while_the_next_transaction_waits(world: World, gate: Gate) -> None:
    transport = Scripted(hold=True)
    drain = at_work(world, gate, transport)
    claimed_beside(drain, gate, transport)
    while transport.in_flight == 0:
        drain.turn()
    assert gate.reached.is_set()
    assert drain._booking.under_way
    gate.open.set()
    transport.hold = False
    run(drain)
    assert states(world) == {"accepted": 2}


def noted(done: list[str], name: str) -> Callable[..., Any]:
    """A step of the books that says when it is taken."""
    step = getattr(Booking, name)

    def step_and_note(*args: Any, **kwargs: Any) -> Any:
        done.append(name)
        return step(*args, **kwargs)

    return step_and_note


@pytest.mark.parametrize(("state", "order"), [("closed", ["begin", "sort"]), ("open", ["sort", "begin"])])
def test_while_a_breaker_stands_what_was_claimed_is_guarded_before_more_is(
    world: World, gate: Gate, monkeypatch: pytest.MonkeyPatch, state: Literal["closed", "open"], order: list[str]
) -> None:
    """A probe is noted by its guard; a claim that is begun before it could take a second one."""
    with world.ledger.begin() as conn:
        store_breaker(conn, Breaker("template", "another/en@nile-wa", state), NOW, "drain")
    transport = Scripted(hold=True)
    drain = at_work(world, gate, transport)
    claimed_beside(drain, gate, transport)
    done: list[str] = []
    for name in order:
        monkeypatch.setattr(Booking, name, noted(done, name))
    drain.turn()
    assert done == order
    gate.open.set()
    transport.hold = False
    run(drain)
    assert states(world) == {"accepted": 2}


def test_what_was_claimed_and_never_guarded_goes_back_at_the_end(world: World, gate: Gate) -> None:
    transport = Scripted(hold=True)
    drain = at_work(world, gate, transport)
    claimed_beside(drain, gate, transport)
    drain._take(wait=True)
    drain.closing = True
    drain.release()
    gate.open.set()
    while drain.busy:
        drain.turn()
    assert (states(world), len(transport.sent)) == ({"accepted": 1, "queued": 1}, 1)


def test_what_the_guards_free_is_seen_though_a_claim_that_passed_over_it_is_under_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = Scripted(hold=True)
    drain = drain_of(world, transport)
    due(world)
    while drain.hungry or not transport.in_flight:
        drain.turn()
    due(world, order_id="o-1", template="no_such_template")
    due(world, order_id="o-1", event="order.confirmed")
    drain.hungry, drain._claimed_at = True, 0.0
    while not drain._booking.under_way:
        drain.turn()
    cast("Future[Booked]", drain._booking._future).result()  # it has claimed the first of o-1
    transport.hold = False
    drain.listen(timedelta(seconds=1))
    drain._oldest_result = 0.0
    sort = Booking.sort

    def late(books: Booking, taken: Taken) -> Sorted:
        if books._future:  # the next one has read by then, as it may while two hundred are rendered
            books._future.result()
        return sort(books, taken)

    monkeypatch.setattr(Booking, "sort", late)
    run(drain)
    assert states(world) == {"accepted": 2, "failed": 1, "queued": 1}, "the SMS in place of the one that failed"


def test_claims_go_back_when_a_wake_up_after_their_commit_fails(
    world: World, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = Scripted(hold=True)
    drain = at_work(world, gate, transport)
    gate.open.set()
    with monkeypatch.context() as broken:
        broken.setattr(Runtime, "wake", Mock(side_effect=OSError))
        with pytest.raises(OSError):
            drain.collect(wait=True)
    drain.closing, transport.hold = True, False
    drain.release()
    while drain.busy:
        drain.turn()
    assert (states(world), len(transport.sent)) == ({"accepted": 1, "queued": 1}, 1)


def test_answers_are_recorded_where_no_thread_can_be_started(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ThreadPoolExecutor, "submit", Mock(side_effect=RuntimeError))
    transport = Scripted(hold=True)
    drain = drain_of(world, transport)
    due(world, 2)
    while not transport.in_flight:
        drain.turn()
    transport.hold = False
    run(drain)
    assert states(world) == {"accepted": 2}
