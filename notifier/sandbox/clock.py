"""The sandbox's own time, and the list of what is still to happen in it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class SandboxClock:
    """A clock that can run faster than the real one, stand still (rate 0), and be moved forward by hand.

    Two times, on purpose: `monotonic` and `now` (sandbox time) carry receipts, time-to-live, approval, webhook retries
    and 24 hour windows; `real` (seconds, never scaled) carries the limits that a sender paces itself by, for its own
    limiter runs on real time too. `real` is an argument so that tests need no wall clock.
    """

    def __init__(
        self,
        rate: float = 1.0,
        real: Callable[[], float] = time.monotonic,
        started_at: datetime | None = None,
    ) -> None:
        self._rate = rate
        self.real = real
        self._origin = started_at or datetime.now(UTC)
        self._base_real = real()
        self._base = 0.0

    @property
    def rate(self) -> float:
        """Sandbox seconds to one real second."""
        return self._rate

    def monotonic(self) -> float:
        """Sandbox seconds since the clock was made."""
        return self._base + (self.real() - self._base_real) * self._rate

    def now(self) -> datetime:
        """Aware UTC in sandbox time."""
        return self._origin + timedelta(seconds=self.monotonic())

    def set_rate(self, rate: float) -> None:
        """From here on, `rate` sandbox seconds pass in a real one; what has passed stays passed."""
        self.move_to(self.monotonic())
        self._rate = rate

    def move_to(self, monotonic: float) -> None:
        """Be at that sandbox second."""
        self._base, self._base_real = monotonic, self.real()


class Agenda:
    """What is still to happen, by sandbox second; equal times keep the order they were written in."""

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.on_earlier: Callable[[], None] = lambda: None  # told when the head of the list changes

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """`act` happens `seconds` sandbox seconds from now."""
        due = self._clock.monotonic() + max(0.0, seconds)
        heapq.heappush(self._heap, (due, next(self._order), act))
        if self._heap[0][0] == due:
            self.on_earlier()

    def next_due(self) -> float | None:
        """The sandbox second of the next thing; None when nothing is left."""
        return self._heap[0][0] if self._heap else None

    def run_due(self) -> int:
        """Do everything that is due, in order; the number of things done."""
        done = 0
        while self._heap and self._heap[0][0] <= self._clock.monotonic():
            _, _, act = heapq.heappop(self._heap)
            act()
            done += 1
        return done

    def advance(self, seconds: float) -> int:
        """Move the clock forward, with a stop at everything on the way, so that what follows gets its true time."""
        target = self._clock.monotonic() + seconds
        done = 0
        while self._heap and self._heap[0][0] <= target:
            self._clock.move_to(max(self._clock.monotonic(), self._heap[0][0]))
            done += self.run_due()
        self._clock.move_to(max(self._clock.monotonic(), target))
        return done

    def clear(self) -> None:
        """Forget everything that was still to happen."""
        self._heap.clear()


class Driver:
    """Runs an agenda inside an event loop, with one timer for its head. Lives in the loop's thread only."""

    def __init__(self, agenda: Agenda, clock: SandboxClock, loop: asyncio.AbstractEventLoop) -> None:
        self._agenda, self._clock, self._loop = agenda, clock, loop
        self._timer: asyncio.TimerHandle | None = None
        agenda.on_earlier = self.arm
        self.arm()

    def arm(self) -> None:
        """Set the timer for the head of the agenda. On a clock that stands still only what is due already runs."""
        self._disarm()
        due = self._agenda.next_due()
        if due is None:
            return
        wait = max(0.0, due - self._clock.monotonic())
        if wait and not self._clock.rate:
            return
        self._timer = self._loop.call_later(wait / (self._clock.rate or 1.0), self._turn)

    def stop(self) -> None:
        """No more turns."""
        self._agenda.on_earlier = lambda: None
        self._disarm()

    def _turn(self) -> None:
        try:
            self._agenda.run_due()
        finally:
            self.arm()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
