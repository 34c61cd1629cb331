"""A drain's messages on their way to the start: first they wait for a permit, then for their permit's time.

A permit is good for 10 ms from its time on; one that nobody used by then is void, and its message waits for another.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import NamedTuple

from notifier.carry import Carried
from notifier.limits import Lease, Limiter

# A limiter that has nothing for longer than this is not worth waiting for with claimed messages in hand.
PATIENCE = timedelta(seconds=1)


class Ripe(NamedTuple):
    """A message with its permit: from `at` (monotonic) on it may start. order: who came first at the same moment."""

    at: float
    order: int
    carried: Carried
    lease: Lease


@dataclass(slots=True)
class Waiting:
    """The admitted messages of one drain that have not started. Where Redis is asked, it raises RoadUnavailable."""

    lane: str
    limiter: Limiter
    owner: str  # the drain
    fenced: bool = False  # a sweep has taken us for dead: nothing of ours may start any more
    wait_until: float = 0.0  # monotonic: the limiter has nothing before
    ready: deque[Carried] = field(default_factory=deque)  # without a permit
    ripening: list[Ripe] = field(default_factory=list)  # a heap
    _order: count[int] = field(default_factory=count)
    _open: bool = False  # our departures are being noted

    def __len__(self) -> int:
        return len(self.ready) + len(self.ripening)

    @property
    def messages(self) -> list[Carried]:
        """All of them, those without a permit first."""
        return [*self.ready, *(ripe.carried for ripe in sorted(self.ripening))]

    @property
    def next_at(self) -> float | None:
        """When something can happen next (monotonic); None: nothing waits."""
        return min(
            (*(ripe.at for ripe in self.ripening[:1]), *((self.wait_until,) if self.ready else ())), default=None
        )

    def open(self) -> None:
        """Before the first claim: from here on it is known who of ours has left."""
        if not self._open:
            self.limiter.departures.begin(self.owner)
            self._open = True

    def close(self) -> None:
        """All of ours is recorded: nobody will ask who left."""
        if self._open:
            self.limiter.departures.forget(self.owner)

    def overdue(self, now: datetime) -> list[Carried]:
        """Takes out, and forgets, what waited for its permit until it may not start any more."""
        late = []
        while self.ready and now >= self.ready[0].start_by:  # the oldest are in front
            late.append(self.ready.popleft())
        return late

    def lease(self) -> list[Carried]:
        """Leases permits for what has none; returns those that would wait too long for theirs, and forgets them."""
        if not self.ready or time.monotonic() < self.wait_until:
            return []
        ids = "".join([carried.claimed.delivery_id for carried in self.ready])
        lease = self.limiter.lease(self.lane, len(self.ready), self.owner, ids)
        self.fenced = lease.fenced
        for start in lease.starts:
            heapq.heappush(self.ripening, Ripe(lease.taken_at + start, next(self._order), self.ready.popleft(), lease))
        self.wait_until = time.monotonic() + lease.wait.total_seconds()
        if lease.wait <= PATIENCE:
            return []
        late = list(self.ready)  # those with a permit go on, or a slow sender would never send
        self.ready.clear()
        return late

    def started(self) -> Iterator[Carried]:
        """Every message whose permit's time has come; one that was overtaken by its permit's end needs another."""
        while self.ripening and (moment := time.monotonic()) >= self.ripening[0].at:
            ripe = heapq.heappop(self.ripening)
            if moment - ripe.at > ripe.lease.late.total_seconds():
                self.ready.appendleft(ripe.carried)
            else:
                yield ripe.carried

    def void(self) -> None:
        """The sender was too fast: permits from before the limiter heard of it would only be refused as well."""
        self.ready.extendleft(ripe.carried for ripe in sorted(self.ripening, reverse=True))
        self.ripening.clear()

    def clear(self) -> list[Ripe]:
        """Forgets all; returns what had a permit, for `give_back`."""
        unused, self.ripening = self.ripening, []
        self.ready.clear()
        return unused

    def give_back(self, unused: Iterable[Ripe]) -> None:
        """Returns permits, the last lease first: what came back makes the one before it the last one again."""
        leases = {ripe.lease.token: ripe.lease for ripe in unused}
        counted = Counter(ripe.lease.token for ripe in unused)
        for lease in sorted(leases.values(), key=lambda lease: lease.taken_at, reverse=True):
            taken_back = self.limiter.give_back(self.lane, lease, counted[lease.token])
            if not taken_back or counted[lease.token] < len(lease.starts):
                return
