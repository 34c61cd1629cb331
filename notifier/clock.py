"""The house's time: that of the road, in every process, whatever the machine's own clock shows.

Due times, leases and silence are instants that one process writes and another compares. A worker whose clock was wrong
by more than `fallback.buffer` took silence for over while the message could still arrive, and sent an SMS beside it. So
all of them count in the time of the one server that they share anyway.

Between two looks at the server it runs on this machine's steady clock, which nobody sets. A look costs one round trip
every few seconds and is made in a thread of its own: a server that hangs holds nobody up. While it is away the last
answer counts on; a process that never reached it has nothing better than its own clock.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from redis import Redis

from notifier import telemetry
from notifier.road import RoadUnavailable, road

# Crystals drift by 50 us a second: between two looks by less than a millisecond.
EVERY = timedelta(seconds=10)

# A machine's own clock that is wrong by more than this is somebody's fault, though no longer our danger.
WORTH_A_WORD = timedelta(seconds=1)

# What a machine said of its clock counts for so long.
SAID_WITHIN = timedelta(minutes=2)
FORGOTTEN_AFTER = timedelta(days=1)

# Goes on while the machine is suspended, which Linux's CLOCK_MONOTONIC does not.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def utc_now() -> datetime:
    """This machine's own clock, aware UTC."""
    return datetime.now(UTC)


def steady() -> float:
    """Seconds on a clock that nobody sets."""
    return time.clock_gettime(_STEADY)


class HouseClock:
    """Gives aware UTC in the server's time. Safe for threads.

    own: the machine's clock, which only counts until the server was reached, and is compared with it.
    """

    def __init__(
        self,
        redis: Redis,
        prefix: str,
        *,
        own: Callable[[], datetime] = utc_now,
        steady: Callable[[], float] = steady,
        host: str = socket.gethostname(),
    ) -> None:
        self._redis, self._prefix = redis, prefix
        self._own, self._steady, self._host = own, steady, host
        self._offset: float | None = None  # what to add to the steady clock to have the server's time, seconds
        self._next_look = float("-inf")
        self._looking = threading.Lock()

    def __call__(self) -> datetime:
        # All threads wait for the first answer: one that did not took a clock that was a day behind for the house's
        # time, and a hundred consents were not given yet.
        if self._offset is None or self._steady() >= self._next_look:
            self._look_again()
        if self._offset is None:
            return self._own()
        return datetime.fromtimestamp(self._steady() + self._offset, UTC)

    def look(self) -> None:
        """Asks the server for its time now; what it said before stays when it is away."""
        try:
            sent = self._steady()
            with road("asking Redis for the time"):
                told: Any = self._redis.time()
            received = self._steady()
            self._note(told[0] + told[1] / 1e6 - (sent + received) / 2, (received - sent) / 2)
            self._say(self._own() - self())
        except RoadUnavailable:
            return

    def _look_again(self) -> None:
        """The first look is waited for; later ones are made beside the work, one at a time."""
        if not self._looking.acquire(blocking=self._offset is None):
            return
        try:
            if self._steady() < self._next_look:  # another thread was faster
                return
            self._next_look = self._steady() + EVERY.total_seconds()
            if self._offset is None:
                self.look()
            else:
                threading.Thread(target=self.look, name="house clock", daemon=True).start()
        finally:
            self._looking.release()

    def _note(self, offset: float, doubt: float) -> None:
        """Keeps what it has unless that is certainly wrong: time shall not tremble with every round trip."""
        if self._offset is None or abs(offset - self._offset) > doubt:
            self._offset = offset

    def _say(self, off: timedelta) -> None:
        """Leaves word of this machine's clock for `notifier doctor` and the metrics."""
        with road("noting a clock"):
            self._redis.hset(_key(self._prefix), self._host, f"{off.total_seconds():.6f} {self().timestamp():.0f}")
        if abs(off) > WORTH_A_WORD:
            telemetry.note("clock.off", host=self._host, seconds=off.total_seconds())


def clocks(redis: Redis, prefix: str, now: datetime) -> dict[str, timedelta]:
    """By how much the clock of each machine at work is ahead of the house's time; negative: behind.

    Forgets machines that have said nothing for a day. Raises RoadUnavailable.
    """
    with road("reading the clocks"):
        said: Any = redis.hgetall(_key(prefix))
        found = {host.decode(): tuple(map(float, one.split())) for host, one in sorted(said.items())}
        ages = {host: timedelta(seconds=now.timestamp() - at) for host, (_, at) in found.items()}
        old = [host for host, age in ages.items() if age > FORGOTTEN_AFTER]
        if old:
            redis.hdel(_key(prefix), *old)
    return {host: timedelta(seconds=off) for host, (off, _) in found.items() if ages[host] <= SAID_WITHIN}


def _key(prefix: str) -> str:
    return f"{prefix}clocks"
