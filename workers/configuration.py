"""Celery's settings, from ours. Why each is so: reference celery-redis §1f, measured."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from notifier.sentinel import SCHEME, for_celery
from notifier.settings import Settings
from workers.queues import CELERY_QUEUES, TASK_ROUTES

# A task holds its message unacknowledged for half a minute (drain.LONGEST) and the longest answer; this is far off, and
# near enough that what a killed worker held is seen again in minutes. Nothing depends on it: the tick wakes lanes.
VISIBILITY_TIMEOUT = 600  # seconds

_REDIS_OPTIONS = {
    "visibility_timeout": VISIBILITY_TIMEOUT,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 10,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
_AMQP_OPTIONS = {"confirm_publish": True}

# Celery takes these over any configuration. In a backend's environment they mean the backend's broker, and our workers
# would listen there while our doors and commands publish here.
FOREIGN_VARIABLES = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND")


def celery_configuration(settings: Settings) -> dict[str, Any]:
    """The configuration of the Celery app."""
    url = settings.celery_url
    redis = urlsplit(url).scheme.startswith(("redis", "rediss", "sentinel"))
    # No key prefix: a backend publishes `notifier.ingest` with the Celery app that it has. Who shares a Redis with
    # another Celery application gives the broker a database of its own (broker_url).
    options: dict[str, Any] = _REDIS_OPTIONS if redis else _AMQP_OPTIONS
    if url.startswith(SCHEME):
        url, primary = for_celery(url)
        options = {**options, **primary}
    return {
        "broker_url": url,
        "broker_transport_options": options,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "result_backend": None,
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_track_started": False,
        "task_send_sent_event": False,
        "task_queues": CELERY_QUEUES,
        "task_routes": TASK_ROUTES,
        "task_default_queue": "intake",
        "task_default_exchange": "",
        "task_create_missing_queues": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "worker_send_task_events": False,
        "worker_prefetch_multiplier": 1,
        # Else a worker that met its broker again takes so many tasks fewer as it then had at work, and one more for
        # each that ends: the lanes that it took up first went on, as nobody waited, and the others stood still.
        "worker_enable_prefetch_count_reduction": False,
        "worker_enable_remote_control": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_soft_shutdown_timeout": 20,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "timezone": "UTC",
        "enable_utc": True,
    }
