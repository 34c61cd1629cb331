"""A week becomes half a minute: where on the feed a line is handed in, and what its times become."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from notifier.demo.platforms.contract import Calls
from notifier.demo.samples import Sample

# The story. A line from before it is old on purpose and keeps its age.
WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Timed:
    """A sample moved to now. offset: since the start of the feed, not before which it is handed in.

    old: it is from before the story, and has kept its age. door: by which it is handed in; calls: the webhooks that say
    it, where that is the shop's platform (routing.py).
    """

    sample: Sample
    offset: timedelta
    body: dict[str, Any] = field(repr=False)
    old: bool = False
    door: str = ""
    calls: Calls = ()


def retimed(samples: Sequence[Sample], start: datetime, feed: timedelta) -> list[Timed]:
    """The samples on a feed that starts at `start` (aware) and lasts `feed`, in the order of the file.

    The order of the file is the order in which the shops spoke; `occurred_at` may lag behind it, and does in the lines
    that are out of order: they are handed in when their turn comes, with their true time.
    """
    end = max(sample.occurred_at for sample in samples)
    begin = min(sample.occurred_at for sample in samples if sample.occurred_at > end - WEEK)
    scale = feed / (end - begin) if end > begin else 0.0

    def moved(instant: datetime) -> datetime:
        if instant < begin:
            return start - (end - instant)
        return start + (instant - begin) * scale

    timed, latest = [], timedelta(0)
    for sample in samples:
        latest = max(latest, moved(sample.occurred_at) - start)
        timed.append(Timed(sample, latest, _moved_body(sample, moved), sample.occurred_at < begin))
    return timed


def _moved_body(sample: Sample, moved: Callable[[datetime], datetime]) -> dict[str, Any]:
    """The body with its times moved; an estimated arrival keeps its distance from the event."""
    body = copy.deepcopy(sample.body)
    happened = moved(sample.occurred_at)
    body["occurred_at"] = _text(happened)
    consent = body.get("customer", {}).get("consent", {})
    if "at" in consent:
        consent["at"] = _text(moved(datetime.fromisoformat(consent["at"])))
    shipment = body.get("shipment", {})
    if "eta" in shipment:
        shipment["eta"] = _text(happened + (datetime.fromisoformat(shipment["eta"]) - sample.occurred_at))
    return body


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="microseconds")
