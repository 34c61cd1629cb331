"""When the next channel takes over, and which.

Meta drops a utility message silently when its time-to-live ends (whatsapp-cloud-api §1.5). So silence counts only after
TTL + buffer: sooner, a phone that comes back online shows the WhatsApp message and the SMS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.events import NotifierError
from notifier.policy.reasons import Reason


class EarlyFallback(NotifierError):
    """The configuration would fall back while the first message can still arrive."""


@dataclass(frozen=True, slots=True)
class NextChannel:
    """The channel to take; position: its place among the notification's channels."""

    channel: str
    position: int


@dataclass(frozen=True, slots=True)
class NoChannel:
    """None is left. passed: each channel that was looked at, with the reason against it; may be empty."""

    passed: tuple[tuple[str, Reason], ...]


def next_channel(
    channels: Sequence[str], position: int, against: Callable[[str], Reason | None]
) -> NextChannel | NoChannel:
    """The first usable channel after `position` (-1: from the start).

    against: what speaks against a channel right now (consent that ended, no lane), None if nothing does.
    """
    passed: list[tuple[str, Reason]] = []
    for place in range(position + 1, len(channels)):
        reason = against(channels[place])
        if reason is None:
            return NextChannel(channels[place], place)
        passed.append((channels[place], reason))
    return NoChannel(tuple(passed))


def silence_deadline(
    accepted_at: datetime, ttl: timedelta, buffer: timedelta, silence_after: timedelta | None = None
) -> datetime:
    """When an accepted message without a word of arrival counts as lost. silence_after: the operator's own measure."""
    return accepted_at + (ttl + buffer if silence_after is None else silence_after)


def refuse_early_fallback(
    place: str, ttl: timedelta, buffer: timedelta, silence_after: timedelta | None, *, allow_double: bool
) -> None:
    """The configuration check for one template. place: where it stands, for the message.

    Raises EarlyFallback when `silence_after` is shorter than TTL + buffer and nobody said that doubles are welcome.
    """
    needed = ttl + buffer
    if silence_after is None or silence_after >= needed or allow_double:
        return
    raise EarlyFallback(
        f"{place}: falling back after {_span(silence_after)} of silence comes before the template's time-to-live of"
        f" {_span(ttl)} and the buffer of {_span(buffer)} are over, so a customer could be told twice; set"
        f" silence_after to {_span(needed)} or more, lower the template's ttl, or say allow_double = true"
    )


def _span(length: timedelta) -> str:
    return f"{length.total_seconds():g}s"
