"""The providers' limits, exactly. All take the time as an argument, in seconds of whatever clock they run on."""

from __future__ import annotations

import math
from collections import deque

DAY = 24 * 3600.0


class SlidingWindow:
    """At most `limit` in any half-open window of `seconds`, per key. What is refused does not count."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._taken: dict[str, deque[float]] = {}

    def take(self, key: str, limit: int, now: float) -> bool:
        """One more for `key`, if there is room for it."""
        taken = self._recent(key, now)
        if len(taken) >= limit:
            return False
        taken.append(now)
        return True

    def count(self, key: str, now: float) -> None:
        """One more for `key`, room or not: an inbound message is not refused, but uses the number's throughput."""
        self._recent(key, now).append(now)

    def _recent(self, key: str, now: float) -> deque[float]:
        taken = self._taken.setdefault(key, deque())
        while taken and now - taken[0] >= self._seconds:
            taken.popleft()
        return taken


class PairBuckets:
    """A bucket of `burst` messages per sender and recipient that gets one back every `refill` seconds."""

    def __init__(self, burst: int, refill: float) -> None:
        self._burst, self._refill = burst, refill
        self._free_at: dict[tuple[str, str], float] = {}  # when the bucket will be full again

    def take(self, sender: str, recipient: str, now: float) -> bool:
        """One message of this pair, if the bucket has one left.

        The bucket is kept as the moment at which it will be full again, and every message moves that moment by one
        refill: no drift from adding up fractions.
        """
        full_at = max(self._free_at.get((sender, recipient), now), now)
        missing = math.ceil((full_at - now) / self._refill - 1e-9)
        if missing >= self._burst:
            return False
        self._free_at[(sender, recipient)] = full_at + self._refill
        return True


class UniqueRecipients:
    """Different phones reached per portfolio in a moving 24 hours.

    Meta counts deliveries. A message under way counts as well here, or a burst would pass any limit; one that fails or
    is dropped gives its place back.
    """

    def __init__(self) -> None:
        # portfolio → phone → message → when; phones in the order of their newest message, the oldest first
        self._reached: dict[str, dict[str, dict[int, float]]] = {}

    def take(self, portfolio: str, recipient: str, message: int, limit: int | None, now: float) -> bool:
        """A place for this message (its arrival id). A phone that is counted already needs no second one."""
        if limit is None:
            return True
        reached = self._reached.setdefault(portfolio, {})
        while reached and now - max(next(iter(reached.values())).values()) >= DAY:
            del reached[next(iter(reached))]
        if recipient not in reached and len(reached) >= limit:
            return False
        reached[recipient] = {**reached.pop(recipient, {}), message: now}
        return True

    def give_back(self, portfolio: str, recipient: str, message: int) -> None:
        """This message did not reach the phone after all."""
        reached = self._reached.get(portfolio, {})
        seen = reached.get(recipient, {})
        seen.pop(message, None)
        if not seen:
            reached.pop(recipient, None)
        else:  # rare: the phone got another message that day, and is only as young as that one
            self._reached[portfolio] = dict(sorted(reached.items(), key=lambda item: max(item[1].values())))


class ServiceWindows:
    """The 24 hours in which free-form messages may go to a user, since the user's last message to that number."""

    def __init__(self) -> None:
        self._heard: dict[tuple[str, str], float] = {}

    def open(self, number: str, recipient: str, now: float) -> None:
        """The user wrote to this number."""
        self._heard[(number, recipient)] = now

    def is_open(self, number: str, recipient: str, now: float) -> bool:
        """Whether less than 24 hours have passed since then."""
        heard = self._heard.get((number, recipient))
        return heard is not None and now - heard < DAY
