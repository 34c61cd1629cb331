"""What a platform's speaker takes and returns. No I/O, no clock but the one that it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notifier.sources.contract import SourceOptions


@dataclass(frozen=True, slots=True)
class Call:
    """One webhook, signed. headers: names as the platform writes them."""

    headers: Mapping[str, str]
    body: bytes = field(repr=False)


Calls = Sequence[Call]
"""What a platform sends for one event, in its order; the last one is the news, those before it are about the order."""


@dataclass(frozen=True, slots=True)
class Speech:
    """What a speaker needs. event: the order event in our own JSON. now: when it is signed, aware."""

    event: Mapping[str, Any] = field(repr=False)
    options: SourceOptions
    secret: str = field(repr=False)
    now: datetime

    @property
    def at(self) -> str:
        """When it happened, as ISO 8601 in UTC."""
        return str(self.event["occurred_at"])

    def names(self) -> tuple[str, str]:
        """First and last name, "" where there is none."""
        first, _, last = str(self.event["customer"].get("name") or "").partition(" ")
        return first, last
