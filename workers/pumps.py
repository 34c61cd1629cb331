"""The way in without waiting: workers of the queues "intake" and "receipts" also block on their streams.

`notify()` knows Redis only, so nothing wakes intake through Celery. A bootstep starts a thread around the same plain
function that the task runs; the task and the beat tick are the backstop.
"""

from __future__ import annotations

import threading
from typing import Any

from celery import bootsteps

from notifier import telemetry
from notifier.loops import pump_intake, pump_receipts

_PUMPS = {"intake": pump_intake, "receipts": pump_receipts}


class Pumps(bootsteps.StartStopStep):
    """Starts a thread for each of our streams that this worker serves, and ends them with the worker."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._threads: list[threading.Thread] = []

    def start(self, parent: Any) -> None:
        """Called when the worker starts. A faulty catalog or configuration ends it here, not at the first task."""
        from workers import app as workers_app

        runtime = workers_app.runtime()
        served = [name for name in parent.app.amqp.queues.consume_from if name in _PUMPS]
        for name in served:
            thread = threading.Thread(
                target=_PUMPS[name], args=(runtime, workers_app.STOP), name=f"pump-{name}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def stop(self, parent: Any) -> None:
        """Called at a warm stop, before the pool ends: drains see the flag, the pumps finish their batch."""
        from workers import app as workers_app

        workers_app.STOP.set()
        telemetry.note("worker.stopping", worker=parent.hostname, signal="stop")
        for thread in self._threads:
            thread.join(timeout=10)

    def terminate(self, parent: Any) -> None:
        """Called at a cold stop."""
        self.stop(parent)
