"""How many different recipients a portfolio may write to in 24 hours: its tier, shared by all its senders.

Reference whatsapp-cloud-api §3: 250, 2,000, 10,000, 100,000, then unlimited (do not ask then). It counts recipients,
not messages: who was written to within the window may be written to again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from redis import Redis

from notifier.limits.clock import ServerClock
from notifier.limits.marks import mark
from notifier.road import call, load_script, road

WINDOW = timedelta(hours=24)


class PortfolioLimit:
    """Counts the unique recipients of the last 24 h."""

    def __init__(self, redis: Redis, prefix: str, clock: ServerClock) -> None:
        self._script = load_script(redis, "notifier.limits", "portfolio.lua")
        self._prefix = prefix
        self._clock = clock

    def admit(self, portfolio: str, recipients: Sequence[str], tier: int) -> list[bool]:
        """For each recipient, in order: whether it may be written to. The admitted count from now on, sent or not.

        Raises RoadUnavailable.
        """
        return [bool(admitted) for admitted in self._call(portfolio, recipients, tier)[1:]]

    def used(self, portfolio: str) -> int:
        """How many different recipients were admitted in the last 24 h. Raises RoadUnavailable."""
        return int(self._call(portfolio, (), 0)[0])

    def _call(self, portfolio: str, recipients: Sequence[str], tier: int) -> list[Any]:
        args: list[int | str] = [
            self._clock.server_us(),
            WINDOW // timedelta(microseconds=1),
            tier,
            *map(mark, recipients),
        ]
        with road(f"limit of portfolio {portfolio}"):
            return list(call(self._script, keys=[f"{self._prefix}limit:portfolio:{portfolio}"], args=args))
