"""The beat schedule, made from the table of sweeps, and the ticks that stand behind the pumps."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery.beat import PersistentScheduler

from notifier.settings import Settings, load_settings
from notifier.sweeps import SWEEPS

# A tick that nobody took in time is worth nothing: the next one is there already.
_LIFE = 5  # ticks


class SweepScheduler(PersistentScheduler):
    """Celery's scheduler with our schedule. Named in the configuration, so that only beat loads the sweeps for it."""

    def setup_schedule(self) -> None:
        """Called as beat starts. Raises SettingsError."""
        self.app.conf.beat_schedule = beat_schedule(load_settings())
        super().setup_schedule()


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
