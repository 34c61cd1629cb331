"""Playing the samples: hand in what is due, look, show, and stop when everything has come to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from notifier.demo.doors import Doors
from notifier.demo.feed import Feed
from notifier.demo.judge import Found, Summary, judge, shown_by_key
from notifier.demo.reading import endings, is_quiet, lanes, states
from notifier.demo.retime import retimed
from notifier.demo.routing import routed
from notifier.demo.samples import Sample
from notifier.demo.view import Screen, Snapshot
from notifier.ledger import Ledger
from notifier.sandbox.testing import SandboxClient

# The week's length. Shorter only piles the events up; people whose phone is off cost 32 s anyway.
FEED = timedelta(seconds=22)

# After this the demo judges what there is. It takes 40 s; on a machine that is busy with other things it is better late
# than wrong, and this ends it on the day on which something hangs.
AT_MOST = timedelta(seconds=110)

# One look at everything: often enough for a steady picture, and cheap enough to leave the processors to the work.
LOOK = timedelta(milliseconds=250)


@dataclass(slots=True)
class Play:
    """One run. `stopping` says whether somebody wants it to end early."""

    samples: Sequence[Sample]
    doors: Doors
    ledger: Ledger
    sandbox: SandboxClient
    screen: Screen
    stopping: Callable[[], bool]
    look_after: Callable[[], object]
    began: float  # of the whole demo, on the monotonic clock
    feed: Feed = field(init=False)
    found: dict[str, Found] = field(default_factory=dict)
    started: float = 0.0
    handed: int = 0
    accepted: set[str] = field(default_factory=set)  # the keys that a door took
    calm: int = 0  # looks in a row at which nothing was left to happen
    pace: list[tuple[float, int]] = field(default_factory=list)  # (second, messages at the providers until then)

    def run(self, rejects: Path) -> None:
        """Plays to the end, or until AT_MOST, or until `stopping`."""
        self.started = time.monotonic()
        now = datetime.now(UTC)
        lines = routed(retimed(self.samples, now, FEED), self.doors.platforms, now)
        self.samples = [line.sample for line in lines]  # with the keys that the ledger will know them by
        self.feed = Feed(lines)
        self.doors.hand_in_rejects(rejects)
        while not self.stopping() and self.elapsed < AT_MOST and not self._at_rest():
            turned = time.monotonic()
            self._turn()
            self.look_after()
            time.sleep(max(0.02, LOOK.total_seconds() - (time.monotonic() - turned)))

    @property
    def elapsed(self) -> timedelta:
        return timedelta(seconds=time.monotonic() - self.started)

    def verdict(self) -> Summary:
        """The summary, from a last look at everything."""
        self.found = endings(self.ledger, {sample.key for sample in self.samples})
        shown = shown_by_key(self.found, self.sandbox.arrivals())
        seconds = time.monotonic() - self.began
        found = judge(self.samples, self.found, shown, self.accepted, rejected=self.doors.rejected(), seconds=seconds)
        return replace(found, doors=dict(self.doors.handed.most_common()))

    def _turn(self) -> None:
        lines = self.feed.take(self.elapsed)
        self.doors.hand_in(lines)
        self.handed += len(lines)
        self.accepted |= {line.sample.key for line in lines}
        self.found |= endings(self.ledger, self.feed.awaited)
        self.feed.settle({key for key, one in self.found.items() if one.ended})
        summary = self.sandbox.summary()
        ended = self.feed.done and not self.feed.awaited and self.doors.at_rest()
        self.calm = self.calm + 1 if ended and is_quiet(summary) else 0
        self.screen.show(self._snapshot(summary))

    def _at_rest(self) -> bool:
        """Everything ended, and two more looks found nothing new: the last `read` is in the ledger, too."""
        return self.calm > 2

    def _snapshot(self, summary: dict[str, Any]) -> Snapshot:
        seconds = self.elapsed.total_seconds()
        self.pace.append((seconds, summary["accepted"]))
        measured = rates(self.pace)
        waiting = len(self.feed.awaited)
        return Snapshot(
            seconds=seconds,
            lines=len(self.samples),
            handed=self.handed,
            ended=self.handed - waiting,
            states=states(self.found.values()),
            shown=summary["shown"],
            per_second=measured[-1],
            busiest=max(measured),
            lanes=lanes(self.ledger),
            note=f"{waiting} wait for a phone that is off or a lost answer" if self.feed.done and waiting else "",
        )


def rates(accepted: Sequence[tuple[float, int]]) -> list[float]:
    """Messages a second, from (second, messages until then), over spans of a second or more; at least one figure."""
    measured = [0.0]
    mark = accepted[0]
    for moment in accepted:
        if moment[0] - mark[0] >= 1.0:
            measured.append((moment[1] - mark[1]) / (moment[0] - mark[0]))
            mark = moment
    return measured
