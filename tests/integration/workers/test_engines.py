"""Engines between drains: kept while their connections are good, rather for their lane, and never many."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from notifier.handles import IDLE
from notifier.runtime import Runtime
from workers import engines


@dataclass(eq=False)
class Engine:
    number: int
    heard_at: float
    closed: bool = False

    def close(self) -> None:
        self.closed = True


@dataclass
class Maker:
    """Stands for a runtime that makes engines, and for the handles that they share."""

    made: list[Engine] = field(default_factory=list)
    freed: int = 0

    @property
    def handles(self) -> Maker:
        return self

    def free(self) -> None:
        self.freed += 1

    def transport(self) -> Engine:
        self.made.append(Engine(len(self.made), time.monotonic()))
        return self.made[-1]

    def use(self, *lanes: str) -> list[int]:
        """Which engine each of these lanes had, all at once; they rest in the order of the lanes."""
        with ExitStack() as stack:
            had = [self._enter(stack, lane) for lane in reversed(lanes)]
        return [engine.number for engine in reversed(had)]

    def _enter(self, stack: ExitStack, lane: str) -> Engine:
        engine = cast("Any", stack.enter_context(engines.engine_for(cast("Runtime", self), lane)))
        engine.heard_at = time.monotonic()
        return cast("Engine", engine)

    @property
    def open(self) -> list[int]:
        return [engine.number for engine in self.made if not engine.closed]


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    now = [100.0]
    monkeypatch.setattr(engines, "_resting", [])
    monkeypatch.setattr("workers.engines.time.monotonic", lambda: now[0])
    yield now


def test_the_next_drain_of_a_lane_gets_its_engine_again(moment: list[float]) -> None:
    maker = Maker()
    first, second = maker.use("a", "b")
    assert (maker.use("a"), maker.use("b"), maker.use("a")) == ([first], [second], [first])


def test_a_lane_that_has_none_takes_the_one_that_rested_least(moment: list[float]) -> None:
    maker = Maker()
    _, last = maker.use("a", "b")
    assert (maker.use("c"), len(maker.made)) == ([last], 2)


def test_two_drains_of_a_lane_at_once_have_one_each(moment: list[float]) -> None:
    maker = Maker()
    assert len(set(maker.use("a", "a"))) == 2


def test_a_thousand_lanes_one_after_the_other_need_one(moment: list[float]) -> None:
    maker = Maker()
    assert {maker.use(f"lane-{number}")[0] for number in range(1000)} == {0}


def test_a_thousand_at_once_leave_no_more_than_a_few_open(moment: list[float]) -> None:
    maker = Maker()
    maker.use(*(f"lane-{number}" for number in range(1000)))
    assert len(maker.open) == engines.MOST


def test_one_whose_connections_are_too_old_is_closed(moment: list[float]) -> None:
    maker = Maker()
    old, _ = maker.use("a", "b")
    moment[0] += IDLE.total_seconds() + 0.1
    used = maker.use("b")
    assert (maker.open, old in maker.open) == (used, False)


def test_a_wake_up_that_finds_nothing_to_do_keeps_none_warm(moment: list[float]) -> None:
    """A busy lane is woken every second, and held the 400 sockets of the drain before."""
    maker = Maker()
    maker.use("a")
    for _ in range(4):
        moment[0] += 1.0
        with engines.engine_for(cast("Runtime", maker), "a"):
            pass
    assert maker.open == []


def test_after_each_drain_needless_handles_are_freed(moment: list[float]) -> None:
    maker = Maker()
    maker.use("a")
    maker.use("a")
    assert maker.freed == 2


def test_one_that_failed_in_use_is_closed(moment: list[float]) -> None:
    maker = Maker()
    with pytest.raises(RuntimeError), engines.engine_for(cast("Runtime", maker), "a"):
        raise RuntimeError
    assert maker.open == []
