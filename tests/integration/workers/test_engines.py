"""Engines between drains: kept for their lane while their connections are good, and never many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from notifier.runtime import Runtime
from notifier.transport import IDLE
from workers import engines


@dataclass(eq=False)
class Engine:
    lane: str
    closed: bool = False

    def close(self) -> None:
        self.closed = True


@dataclass
class Maker:
    """Stands for a runtime that makes engines."""

    made: list[Engine] = field(default_factory=list)

    def transport(self, lane: str) -> Engine:
        self.made.append(Engine(lane))
        return self.made[-1]

    def use(self, lane: str) -> Engine:
        with engines.engine_for(cast("Runtime", self), lane) as engine:
            return cast("Engine", cast("Any", engine))

    @property
    def open(self) -> list[str]:
        return [engine.lane for engine in self.made if not engine.closed]


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    now = [100.0]
    monkeypatch.setattr(engines, "_resting", [])
    monkeypatch.setattr("workers.engines.time.monotonic", lambda: now[0])
    yield now


def test_the_next_drain_of_a_lane_gets_its_engine_again_and_no_other_does(moment: list[float]) -> None:
    maker = Maker()
    first = maker.use("a")
    assert (maker.use("b") is first, maker.use("a") is first, len(maker.made)) == (False, True, 2)


def test_two_drains_of_a_lane_at_once_have_one_each(moment: list[float]) -> None:
    maker = Maker()
    with engines.engine_for(cast("Runtime", maker), "a"):
        maker.use("a")
    assert len(maker.made) == 2


def test_a_thousand_lanes_leave_no_more_than_a_few_open(moment: list[float]) -> None:
    maker = Maker()
    for number in range(1000):
        maker.use(f"lane-{number}")
    assert maker.open == [f"lane-{number}" for number in range(1000 - engines.MOST, 1000)]


def test_one_whose_connections_are_too_old_is_closed(moment: list[float]) -> None:
    maker = Maker()
    maker.use("a")
    moment[0] += IDLE.total_seconds() + 0.1
    maker.use("b")
    assert maker.open == ["b"]


def test_one_that_failed_in_use_is_closed(moment: list[float]) -> None:
    maker = Maker()
    with pytest.raises(RuntimeError), engines.engine_for(cast("Runtime", maker), "a"):
        raise RuntimeError
    assert maker.open == []
