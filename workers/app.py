"""The Celery app. `celery -A workers.app worker` works, `notifier worker` is the same with our defaults."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from celery import Celery, signals
from celery.utils.nodenames import NODENAME_DEFAULT, host_format
from celery.worker import state
from kombu.exceptions import OperationalError

from notifier import telemetry
from notifier.process import settle_memory, share_evenly
from notifier.runtime import Runtime, open_runtime
from notifier.settings import load_settings
from workers.configuration import FOREIGN_VARIABLES, celery_configuration
from workers.pumps import Pumps

# Set when this process is asked to stop: drains then claim nothing more, and the pumps end.
STOP = threading.Event()

_THREADS = "notifier_threads"  # in the app's configuration: how many tasks `run_worker` runs at a time


def make_app() -> Celery:
    """The app of this process, configured from our settings alone. Raises SettingsError."""
    settings = load_settings()
    for name in FOREIGN_VARIABLES:
        os.environ.pop(name, None)
    app = Celery("notifier", include=["workers.tasks"])
    app.conf.update(celery_configuration(settings))
    app.conf.beat_scheduler = "workers.schedule:SweepScheduler"
    app.conf.beat_schedule_filename = str(settings.data_dir / "beat-schedule")
    app.steps["worker"].add(Pumps)
    return app


app = make_app()


@signals.setup_logging.connect
def _set_up_logging(**_: object) -> None:
    """Celery asks who does it, in a worker and in beat; a command that only publishes keeps the logging it has."""
    telemetry.configure(load_settings().log_level)


@signals.worker_ready.connect
def _say_ready(sender: Any, **_: object) -> None:
    _started(sender.hostname, ",".join(sorted(sender.app.amqp.queues.consume_from)))


@signals.beat_init.connect
def _say_beat(**_: object) -> None:
    _started("beat", "")


def _started(worker: str, queues: str) -> None:
    settings = load_settings()
    if settings.metrics_port:
        try:
            telemetry.serve_metrics(settings.metrics_port, settings.gateway_host)
        except OSError as error:  # a second process of this host with the same environment: its work goes on
            telemetry.note("metrics.unserved", port=settings.metrics_port, error=error)
    telemetry.note("worker.started", worker=worker, queues=queues)


@lru_cache(maxsize=1)
def runtime() -> Runtime:
    """The parts that this process works with, opened at the first use. Raises CatalogError, SettingsError."""
    opened = open_runtime(load_settings(), publish_drain)
    settle_memory()
    share_evenly()
    return opened


def crowded() -> bool:
    """Whether a task that has come, or comes now, waits for a thread. True where nobody knows: a pool of Celery's own
    choice may run its tasks in processes that cannot see each other's.
    """
    threads: int | None = app.conf.get(_THREADS)
    return threads is None or len(state.reserved_requests) >= threads


def run_worker(queues: Sequence[str], threads: int, name: str) -> int:
    """A worker of these queues, or of all, until it is told to stop; returns the exit code that Celery wants.

    Not by Celery's command line, which loads its shell too: 170 modules that stay.
    """
    app.conf[_THREADS] = threads
    worker = app.Worker(
        hostname=host_format(f"{name or NODENAME_DEFAULT}@%h"),
        queues=queues or None,
        pool_cls="threads",
        concurrency=threads,
        loglevel="WARNING",
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    return worker.exitcode or 0


def publish_drain(lane: str, channel: str) -> bool:
    """Publishes one wake-up: the name of a lane, on the queue of its channel. Never a payload. False: broker away."""
    try:
        app.send_task("notifier.deliver", args=[lane], queue=channel, retry=False)
    except OperationalError as error:
        telemetry.note("road.away", where="broker", wait=0.0, error=error)
        return False
    return True
