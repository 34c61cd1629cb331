"""The Celery queues, as data: code, docker-compose, docs and autoscalers name the same ones."""

from __future__ import annotations

from kombu import Queue

CHANNELS = ("whatsapp", "sms", "email")
QUEUES = ("intake", *CHANNELS, "receipts", "sweeps")

# Direct queues through the nameless exchange (`task_default_exchange`), which needs no binding: kombu on Redis keeps
# bindings as keys, and drops what is published when they were lost (celery-redis §1a L8).
CELERY_QUEUES = tuple(Queue(name, routing_key=name) for name in QUEUES)

# The one task whose messages are events, and where they wait: a queue of kombu on Redis is a list for each step of
# priority, the most urgent under the queue's own name.
INGEST_TASK = "notifier.ingest"
INGEST_QUEUE = "intake"
INGEST_LISTS = (INGEST_QUEUE, *(f"{INGEST_QUEUE}\x06\x16{step}" for step in (3, 6, 9)))

TASK_ROUTES = {
    INGEST_TASK: {"queue": INGEST_QUEUE},
    # Not "intake": on Redis its messages are events, and Celery does not listen there (workers/ingest.py).
    "notifier.intake": {"queue": "sweeps"},
    "notifier.receipts": {"queue": "receipts"},
    "notifier.sweep": {"queue": "sweeps"},
    # notifier.deliver names its queue when it is published: the channel of its lane.
}
