"""The parts that a command works with: the same as a worker's, and it publishes its wake-ups through Celery."""

from __future__ import annotations

from notifier.runtime import Runtime, open_runtime
from notifier.settings import Settings, load_settings


def open_for_command(settings: Settings | None = None) -> Runtime:
    """The runtime of a command line. Raises SettingsError, CatalogError; connections open when first used."""
    return open_runtime(settings or load_settings(), _publish)


def _publish(lane: str, channel: str) -> bool:
    from workers.app import publish_drain  # Celery costs half a second, and most commands publish nothing

    return publish_drain(lane, channel)
