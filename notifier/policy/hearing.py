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
    until: datetime


@dataclass(frozen=True, slots=True)
class HearingRules:
    """share: of neighbours that may be unheard by accident. floor: so many unheard are none."""

    share: float
    floor: int

    @property
    def room(self) -> int:
        """Among so many neighbours `floor` unheard are a loss; among more they are an accident."""
        return ceil(self.floor / self.share)


def windows(unheard: Sequence[Unheard], floor: int) -> list[Window]:
    """Every `floor` of them in a row. unheard: newest first, as the result."""
    found = []
    for start in range(len(unheard) - floor + 1):
        those = unheard[start : start + floor]
        ids = [one.delivery_id for one in those]
        found.append(Window(min(ids), max(ids), those[0].accepted_at))
    return found


def last_loss(found: Sequence[Window], neighbours: Sequence[int], rules: HearingRules) -> datetime | None:
    """Until when receipts were lost last; None: they flow. neighbours: of each window, all that was accepted in it."""
    return next(
        (one.until for one, count in zip(found, neighbours, strict=True) if count <= rules.room),
        None,
    )
