"""What waits in Celery's broker, whichever it is; through kombu, as Celery does it."""

from __future__ import annotations

from typing import Any

from kombu import Connection
from kombu.utils.json import loads

from workers.queues import CELERY_QUEUES


def purge(url: str) -> None:
    """Empties our queues, and makes them where they are not."""
    with Connection(url) as connection:
        for queue in CELERY_QUEUES:
            bound = queue(connection.default_channel)
            bound.queue_declare()
            bound.purge()


def take_all(url: str) -> list[dict[str, Any]]:
    """Takes every message out of our queues; the headers of each, task and arguments among them."""
    with Connection(url) as connection:
        channel, found = connection.default_channel, []
        for queue in CELERY_QUEUES:
            bound = queue(channel)
            bound.queue_declare()
            while (message := bound.get(no_ack=True)) is not None:
                found.append({**message.headers, "body": loads(message.body or "null")})
        return found
