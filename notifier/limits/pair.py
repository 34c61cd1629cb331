"""How fast one recipient may be written to by one sender: 45 messages at once, then one in 6 s.

Reference whatsapp-cloud-api §3: beyond it Meta answers 131056. The bucket is ours, the provider's may be emptier (other
systems on the same number); its answer then blocks the pair for a while.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from redis import Redis

from notifier.limits.clock import ServerClock
from notifier.limits.marks import mark
from notifier.road import call, load_script, road

CAPACITY = 45
REFILL = timedelta(seconds=6)


class PairLimit:
    """Token buckets, one a sender and recipient, made when needed and gone when full again."""

    def __init__(self, redis: Redis, prefix: str, clock: ServerClock) -> None:
        self._script = load_script(redis, "notifier.limits", "pair.lua")
        self._prefix = prefix
        self._clock = clock

    def admit(self, sender: str, recipients: Sequence[str]) -> list[timedelta]:
        """For each message: zero, and its token is taken; or how long until it may be tried again, and none is.

        A recipient stands in the batch once a message; several are counted in order. Raises RoadUnavailable.
        """
        return [timedelta(microseconds=int(wait)) for wait in self._call("admit", sender, recipients)]

    def back(self, sender: str, recipients: Iterable[str]) -> None:
        """Returns the tokens of messages that were admitted and not sent. Raises RoadUnavailable."""
        self._call("back", sender, recipients)

    def block(self, sender: str, recipient: str, pause: timedelta = REFILL) -> None:
        """The provider said "too fast" for this pair: nothing for the pause, then from an empty bucket."""
        self._call("block", sender, (recipient,), pause // timedelta(microseconds=1))

    def _call(self, op: str, sender: str, recipients: Iterable[str], *more: int) -> list[Any]:
        keys = [f"{self._prefix}limit:pair:{sender}:{mark(recipient)}" for recipient in recipients]
        if not keys:
            return []
        args: list[int | str] = [op, self._clock.server_us(), CAPACITY, REFILL // timedelta(microseconds=1), *more]
        with road(f"pair limits of {sender}"):
            return list(call(self._script, keys=keys, args=args))
