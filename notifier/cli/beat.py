"""`notifier beat`: the schedule of the sweeps."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
def beat() -> None:
    """Run the schedule: sweeps and ticks, for workers of the queues intake, receipts and sweeps.

    One is enough; two do no harm, for sweeps are idempotent. `notifier sweep` from cron does the same without it.
    """
    from celery.apps.beat import Beat

    from workers.app import app

    remembered = Path(app.conf.beat_schedule_filename)
    remembered.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    Beat(app=app, quiet=True, loglevel="WARNING", max_interval=5, schedule=str(remembered)).run()
