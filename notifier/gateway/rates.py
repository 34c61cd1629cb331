"""The rate of an API key: events a second, counted in Redis for all gateways together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from redis import Redis

from notifier.road import call, load_script, road

# A key that was quiet may hand in this many at once, or a second's worth if that is more: a whole list goes through.
LEAST_BURST = 1_000


class Want(NamedTuple):
    """A request that wants to go on. holder: whose bucket; rate: of that bucket, events a second; events: how many."""

    holder: str
    rate: int
    events: int


class Rates:
    """The buckets. Keys: `rate:<holder>` behind the prefix."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._prefix = prefix
        self._script = load_script(redis, "notifier", "take_rate.lua")

    def take(self, wants: Sequence[Want]) -> list[timedelta]:
        """For each, in their order: zero when it may go on, else when to come again. Raises RoadUnavailable."""
        buckets = {want.holder: want for want in wants}
        places = {holder: number for number, holder in enumerate(buckets, 1)}
        args: list[int] = [len(buckets)]
        for want in buckets.values():
            args += (want.rate, max(want.rate, LEAST_BURST))
        for want in wants:
            args += (places[want.holder], want.events)
        with road("counting requests of API keys"):
            answer: Any = call(self._script, keys=[f"{self._prefix}rate:{holder}" for holder in buckets], args=args)
        return [timedelta(milliseconds=wait) for wait in answer]
