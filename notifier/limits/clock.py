"""The clock of the limits: permits are counted in the Redis server's time, and used in this process's.

A reply that was held up (a slow network, a process that did not get its turn) must not shift the permits it carries:
two workers would then use theirs at the same moment. Every call tells between which two local moments the server looked
at its clock; the narrowest of these bounds, widened by what clocks may drift, ties the two clocks together.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

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
        self._observed_at = monotonic()

    def offset(self, sent: float, received: float, server: float) -> float:
        """Takes note that the server's clock showed `server` (seconds) at some moment between `sent` and `received`.

        Returns what to add to a server time to have it in local time.
        """
        with self._lock:
            drift = max(0.0, received - self._observed_at) * _DRIFT
            low = max(self._low - drift, sent - server)
            high = min(self._high + drift, received - server)
            if low > high:  # the server's clock was set, or it is another server: only the newest bounds count
                low, high = sent - server, received - server
            self._low, self._high, self._observed_at = low, high, received
            return (low + high) / 2
