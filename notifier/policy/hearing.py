"""Whether silence means something: only while receipts flow.

A provider says of every message that it sent it, be the phone on or off. So accepted messages of which not even that
was heard are a measure of our ears. A few of them side by side, in time, mean that receipts were lost just then; and
then a `delivered` of anything that was on its way may be among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil


@dataclass(frozen=True, slots=True)
class Unheard:
    """A delivery that was accepted, and of which no receipt ever came."""

    delivery_id: str
    accepted_at: datetime


@dataclass(frozen=True, slots=True)
class Window:
    """As many unheard deliveries in a row as it takes for a loss. ids: the least and the greatest of them."""

    first_id: str
    last_id: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Neighbours:
    """How many of a window's neighbours were heard of. scanned: the share of the window that was looked at."""

    heard: int
    scanned: float

    @property
    def estimate(self) -> float:
        return self.heard / self.scanned


@dataclass(frozen=True, slots=True)
class HearingRules:
    """share: of neighbours that may be unheard by accident. floor: so many unheard are none."""

    share: float
    floor: int

    @property
    def room(self) -> int:
        """Beside so many that were heard of, `floor` unheard are a loss; beside more they are an accident."""
        return ceil(self.floor / self.share) - self.floor


def windows(unheard: Sequence[Unheard], floor: int, most: int) -> list[Window]:
    """Every `floor` of them in a row; of those `most` at most, the shortest: a loss is where they stand close together.

    unheard: newest first, as the result.
    """
    found = []
    for start in range(len(unheard) - floor + 1):
        those = unheard[start : start + floor]
        ids = [one.delivery_id for one in those]
        found.append(Window(min(ids), max(ids), those[-1].accepted_at, those[0].accepted_at))
    shortest = sorted(found, key=lambda one: one.until - one.since)[:most]
    return sorted(shortest, key=lambda one: one.until, reverse=True)


def last_loss(found: Sequence[Window], neighbours: Sequence[Neighbours], rules: HearingRules) -> datetime | None:
    """Until when receipts were lost last; None: they flow. neighbours: of each window, as the result newest first."""
    losses = (one.until for one, beside in zip(found, neighbours, strict=True) if beside.estimate <= rules.room)
    return next(losses, None)
