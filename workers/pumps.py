"""The way in without waiting: workers of the queues "intake" and "receipts" also block on their streams.

`notify()` knows Redis only, so nothing wakes intake through Celery. A bootstep starts a thread around the same plain
function that the task runs; the task and the beat tick are the backstop. With Redis as the broker, a third thread takes
the messages of the queue "intake" in the place of Celery, which would lose some of them (workers/ingest.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from celery import bootsteps

from notifier import telemetry
from notifier.runtime import Runtime
from workers.queues import INGEST_QUEUE

Pump = Callable[[Runtime, threading.Event], None]

# What kombu calls a Redis that we can talk to ourselves, over TCP.
_REDIS = frozenset({"redis", "rediss", "sentinel"})


def _pumps(queue: str) -> Sequence[Pump]:
    """What takes from our streams for a queue. Imported here: a worker of the channels' queues does without 5 MB."""
    if queue not in ("intake", "receipts"):
        return ()
    from notifier.loops import pump_intake, pump_receipts, pump_webhooks

    return (pump_intake, pump_webhooks) if queue == "intake" else (pump_receipts,)


class Pumps(bootsteps.StartStopStep):
    """Starts a thread for each of our streams that this worker serves, and ends them with the worker."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._threads: list[threading.Thread] = []
        served = parent.app.amqp.queues.consume_from
        self._served = [pump for queue in served for pump in _pumps(queue)]
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
