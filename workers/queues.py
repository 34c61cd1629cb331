"""The Celery queues, as data: code, docker-compose, docs and autoscalers name the same ones."""

from __future__ import annotations

from kombu import Queue

CHANNELS = ("whatsapp", "sms", "email")
QUEUES = ("intake", *CHANNELS, "receipts", "sweeps")

# Direct queues through the default exchange: kombu on Redis drops messages whose binding was lost (celery-redis §1a L8).
CELERY_QUEUES = tuple(Queue(name, routing_key=name) for name in QUEUES)

TASK_ROUTES = {
    "notifier.ingest": {"queue": "intake"},
    "notifier.intake": {"queue": "intake"},
    "notifier.receipts": {"queue": "receipts"},
    "notifier.sweep": {"queue": "sweeps"},
    # notifier.deliver names its queue when it is published: the channel of its lane.
}
