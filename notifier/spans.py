"""How durations and quiet hours are written in the configuration and in the environment."""

from __future__ import annotations

import re
from datetime import time, timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_WINDOW = re.compile(r"(\d\d:\d\d)\s*-\s*(\d\d:\d\d)")

# Longer is a slip of the unit: no setting waits for a century, and a due time that far ahead is no date any more.
LONGEST = timedelta(days=36_500)


def read_duration(text: str) -> timedelta:
    """`500ms`, `30s`, `1.5h`, `7d`. Raises ValueError, which says how to write one."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise ValueError("write a duration as a number and a unit: 500ms, 30s, 15m, 12h, 7d")
    seconds = float(match[1]) * _UNITS[match[2]]
    if seconds > LONGEST.total_seconds():
        raise ValueError("no duration is longer than a hundred years")
    return timedelta(seconds=seconds)


def _duration(value: object) -> object:
    return read_duration(value) if isinstance(value, str) else value


def _window(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = _WINDOW.fullmatch(value.strip())
    if not match:
        raise ValueError('write quiet hours as "21:00-08:00" (local time of the recipient)')
    return time.fromisoformat(match[1]), time.fromisoformat(match[2])


def _not_negative(value: timedelta) -> timedelta:
    if value < timedelta(0):
        raise ValueError("a duration is never negative")
    return value


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than 0s")
    return value


def _pulse(value: timedelta) -> timedelta:
    if value < timedelta(milliseconds=100):
        raise ValueError("must be 100ms or more, or the schedule alone would keep the broker busy")
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_not_negative)]
Positive = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_positive)]
Pulse = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_pulse)]
Window = Annotated[tuple[time, time], BeforeValidator(_window)]
