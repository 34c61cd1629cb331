"""The beat schedule, made from the table of sweeps, and the ticks that stand behind the pumps."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from notifier.settings import Settings
from notifier.sweeps import SWEEPS

# A tick that nobody took in time is worth nothing: the next one is there already.
_LIFE = 5  # ticks


def beat_schedule(settings: Settings) -> dict[str, dict[str, Any]]:
    """Every sweep as often as its table says, and a look at both streams once a second."""
    every = settings.sweep.every
    schedule = {name: _entry("notifier.sweep", [name], pause or every, "sweeps") for name, (_, pause) in SWEEPS.items()}
    schedule["intake"] = _entry("notifier.intake", [], max(every, timedelta(seconds=1)), "sweeps")
    schedule["receipts"] = _entry("notifier.receipts", [], max(every, timedelta(seconds=1)), "receipts")
    return schedule


def _entry(task: str, args: list[str], every: timedelta, queue: str) -> dict[str, Any]:
    return {
        "task": task,
        "args": args,
        "schedule": every,
        "options": {"queue": queue, "expires": max(_LIFE * every.total_seconds(), 5)},
    }
