"""When a run is over: all has come to its end, or what has not can move no more.

An event that no store holds is lost, and waiting for it is pointless. Nothing of ours lets an event be nowhere, not for
a moment: it is taken from one place once the next has it. So the road is looked at before the ledger, and what was on
none of it and is not in the ledger either is gone.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from redis.exceptions import RedisError

from notifier.ledger import LedgerUnavailable
from notifier.sandbox.testing import SandboxNotRunning
from tests.faults.children import until
from tests.faults.feeding import Feeder
from tests.faults.house import House
from tests.faults.verdict import Story

# The longest way from one end to the next: an unknown outcome waits for time-to-live and buffer, after a lease, and
# then the next channel may take its turn. If nothing more comes to its end in that time, nothing will.
STUCK_AFTER = 90.0
REST_WITHIN = 600.0

_ENDS = ("told", "suppressed", "unreached")
_LOOK = 1.0
_STILL = 3  # looks in a row at which nothing was left to happen
_GONE = 10  # looks in a row at which what is missing was nowhere: seconds, more than any reply or restart takes


@dataclass(frozen=True, slots=True)
class Seen:
    """One look. under_way: something is being handed in, on the road, or on its way to a phone or to us.

    stories: of those that are waited for, as far as the ledger knows them.
    """

    under_way: bool
    stories: Mapping[str, Story]


@dataclass(slots=True)
class Rest:
    """Tells from one look after the other whether a run is over. waiting: keys that have not come to their end."""

    waiting: set[str]
    moved: float
    still: int = 0
    gone: int = 0

    def over(self, seen: Seen, now: float) -> bool:
        """Whether nothing is left to happen. now: monotonic."""
        ended = {key for key, story in seen.stories.items() if story.state in _ENDS}
        if ended & self.waiting:
            self.waiting -= ended
            self.moved = now
        alive = any(story.state for key, story in seen.stories.items() if key in self.waiting)
        quiet = not (seen.under_way or alive)
        self.still = self.still + 1 if quiet and not self.waiting else 0
        self.gone = self.gone + 1 if quiet else 0
        return self.at_rest or now - self.moved > STUCK_AFTER

    @property
    def at_rest(self) -> bool:
        """It came to rest by itself, with all that was handed in or without what was lost."""
        return self.still >= _STILL or self.gone >= _GONE


def come_to_rest(house: House, feeder: Feeder, stories: Callable[[set[str]], Mapping[str, Story]]) -> bool:
    """Waits until nothing is left to happen, at most so long; whether it came to rest. stories: asks the ledger."""
    rest, looked = Rest({one.key for one in feeder.given}, time.monotonic()), 0.0

    def rests() -> bool:
        nonlocal looked
        if time.monotonic() - looked < _LOOK:
            return False
        looked = time.monotonic()
        under_way = not feeder.done or _under_way(house)
        try:
            seen = Seen(under_way, stories(rest.waiting))
        except LedgerUnavailable:
            seen = Seen(under_way=True, stories={})
        return rest.over(seen, looked)

    return until(rests, REST_WITHIN, house.look) and rest.at_rest


def _under_way(house: House) -> bool:
    """Something is on the road, or on its way to a phone, or a receipt to us."""
    try:
        summary = house.sandbox.summary()
        return bool(summary["receipts"]["pending"] or house.on_the_road())
    except (RedisError, SandboxNotRunning, OSError, subprocess.SubprocessError):
        return True
