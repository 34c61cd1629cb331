"""The way in without waiting: workers of the queues "intake" and "receipts" also block on their streams.

`notify()` knows Redis only, so nothing wakes intake through Celery. A bootstep starts a thread around the same plain
function that the task runs; the task and the beat tick are the backstop. With Redis as the broker, a third thread takes
the messages of the queue "intake" in the place of Celery, which would lose some of them (workers/ingest.py).
"""

from __future__ import annotations

import threading
from typing import Any

from celery import bootsteps

from notifier import telemetry
from notifier.loops import pump_intake, pump_receipts, pump_webhooks
from workers.queues import INGEST_QUEUE

_PUMPS = {"intake": (pump_intake, pump_webhooks), "receipts": (pump_receipts,)}

# What kombu calls a Redis that we can talk to ourselves, over TCP.
_REDIS = frozenset({"redis", "rediss", "sentinel"})


class Pumps(bootsteps.StartStopStep):
    """Starts a thread for each of our streams that this worker serves, and ends them with the worker."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._threads: list[threading.Thread] = []
        served = parent.app.amqp.queues.consume_from
        self._served = [pump for name in served for pump in _PUMPS.get(name, ())]
        if "intake" in served and parent.app.connection_for_read().transport_cls in _REDIS:
            from workers.ingest import pump_messages

            parent.app.amqp.queues.deselect(INGEST_QUEUE)
            self._served.append(pump_messages)

    def start(self, parent: Any) -> None:
        """Called when the worker starts. A faulty catalog or configuration ends it here, not at the first task."""
        from workers import app as workers_app

        runtime = workers_app.runtime()
        for pump in self._served:
            thread = threading.Thread(target=pump, args=(runtime, workers_app.STOP), name=pump.__name__, daemon=True)
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
