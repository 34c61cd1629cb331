"""Which messages of a drain may have left: a permit is the moment before the first byte.

Each lease of permits notes, in its own Lua step, whose permits they are. When a drain has died, a sweep takes its list:
from then on the drain gets no permit any more, be it alive after all (a machine that slept, a clock that was wrong), so
whoever is not on the list has not started and never will under that claim. No clock is compared.

The list is believed only by the server that it was begun on, and only whole: after a restart, a failover or an emptying
nobody knows what was on it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from redis import Redis

from notifier.ids import LENGTH
from notifier.road import call, command, load_script, road

# A drain that ends takes its list with it. One that died leaves it for the sweeps, should they be away for a night.
KEPT = timedelta(hours=24)
KEPT_MS = KEPT // timedelta(milliseconds=1)


class Departures:
    """The lists of all drains, one an owner. Every call raises RoadUnavailable."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix
        self._script = load_script(redis, "notifier.limits", "departures.lua")

    def key(self, owner: str) -> str:
        """Where the leases of this drain are noted."""
        return f"{self._prefix}departed:{owner}"

    def begin(self, owner: str) -> None:
        """Opens the list of a drain. Before its first claim: without a list its claims would be `unknown`."""
        with road("noting departures"):
            self._call("begin", owner)

    def fence(self, owner: str) -> frozenset[str] | None:
        """Ends all permits of this drain; the ids of its messages that got one before. None: nobody can say."""
        with road("taking a drain's departures"):
            known, *joined = self._call("fence", owner)
        if not known:
            return None
        ids = str(joined[0], "ascii")
        return frozenset(ids[at : at + LENGTH] for at in range(0, len(ids), LENGTH))

    def forget(self, owner: str) -> None:
        """This drain has recorded all that it claimed."""
        with road("forgetting departures"):
            command(self._redis, "DEL", self.key(owner))

    def _call(self, op: str, owner: str) -> list[Any]:
        found: list[Any] = call(
            self._script, keys=[self.key(owner), f"{self._prefix}fenced:{owner}"], args=[op, KEPT_MS]
        )
        return found
