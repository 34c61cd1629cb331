"""The clock of the limits: permits are counted in the Redis server's time, and used in this process's.

A reply that was held up (a slow network, a process that did not get its turn) must not shift the permits it carries:
two workers would then use theirs at the same moment. Every call tells between which two local moments the server looked
at its clock; the narrowest of these bounds, widened by what clocks may drift, ties the two clocks together.

Keep Redis near: a round trip above 8 ms is a doubt of more than SURE, which the arithmetic of sender.py does not hold.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

# The two clocks are tied when the doubt is no larger, seconds; counts twice against the jitter that sender.py allows.
SURE = 0.004

# Seconds a second. Crystals differ by 0.0001; NTP slews by up to 0.0005.
_DRIFT = 0.001


class ServerClock:
    """Turns the server's time into this process's monotonic time. Safe for threads.

    server_us: "now" for the scripts, in us; 0 leaves it to the server. Tests drive both clocks.
    """

    def __init__(
        self, server_us: Callable[[], int] = lambda: 0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.server_us = server_us
        self.monotonic = monotonic
        self._lock = threading.Lock()
        self._low = float("-inf")  # bounds of (local - server), seconds
        self._high = float("inf")
        self._noted_at = monotonic()

    @property
    def offset(self) -> float:
        """What to add to a server time to have it in local time, seconds; wrong by `doubt` at most."""
        with self._lock:
            return (self._low + self._high) / 2

    @property
    def doubt(self) -> float:
        """How wrong `offset` may be by now, seconds; infinite before the first note."""
        with self._lock:
            return (self._high - self._low) / 2 + self._drift(self.monotonic())

    def note(self, sent: float, received: float, server: float) -> None:
        """The server's clock showed `server` (seconds) at some moment between `sent` and `received` (local seconds)."""
        with self._lock:
            drift = self._drift(received)
            low = max(self._low - drift, sent - server)
            high = min(self._high + drift, received - server)
            if low > high:  # the server's clock was set, or it is another server: only the newest bounds count
                low, high = sent - server, received - server
            self._low, self._high, self._noted_at = low, high, received

    def _drift(self, now: float) -> float:
        return max(0.0, now - self._noted_at) * _DRIFT
