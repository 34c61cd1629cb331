"""Quiet hours: the part of the recipient's own day in which only urgent messages go out."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo


class Window(NamedTuple):
    """Local wall time from start (in) to end (out); it may cross midnight. start == end: never quiet."""

    start: time
    end: time

    def holds(self, local: time) -> bool:
        """Whether this wall time is quiet."""
        if self.start <= self.end:
            return self.start <= local < self.end
        return local >= self.start or local < self.end

    def __str__(self) -> str:
        return f"{self.start.isoformat('minutes')}-{self.end.isoformat('minutes')}"


def next_allowed(now: datetime, timezone: str, window: Window | None, *, urgent: bool = False) -> datetime:
    """The first instant from now on that is not quiet (aware UTC): now itself, or the end of the window.

    timezone: an IANA name. The end is wall time, so a night in which the clocks change is an hour longer or shorter.
    """
    if window is None or urgent:
        return now
    local = now.astimezone(ZoneInfo(timezone))
    if not window.holds(local.time()):
        return now
    ends_tomorrow = local.time() >= window.end
    end = datetime.combine(local.date() + timedelta(days=ends_tomorrow), window.end, local.tzinfo)
    # Clocks that go back show the end twice: the first that is still ahead counts. Clocks that go forward may leave it
    # out: then fold 1 lies before it, quiet still, and fold 0 as long after the jump as the end would have been.
    instants = (end.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    ahead = (at for at in instants if at > now and not window.holds(at.astimezone(local.tzinfo).time()))
    return min(ahead, default=end.astimezone(UTC))
