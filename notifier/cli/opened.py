"""The parts that a command works with: the same as a worker's, and it publishes its wake-ups through Celery."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

import click

from notifier.door import open_road
from notifier.inbox import Inbox
from notifier.ledger.breakers import MACHINES
from notifier.runtime import Publish, Runtime, open_runtime, open_stores
from notifier.settings import Settings, load_settings


def _publish(lane: str, channel: str) -> bool:
    from workers.app import publish_drain  # Celery costs half a second, and most commands publish nothing

    return publish_drain(lane, channel)


def operator() -> str:
    """Who runs this command, for the history: the user's name, or number where containers have no name for it."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return f"user {name}" if name in MACHINES or name.isdigit() else name


@dataclass(frozen=True)
class Surroundings:
    """What a command takes from outside: the way to wake drains, and who runs it.

    clock: aware UTC in place of the house's; tests have theirs.
    Whoever calls `main` with one as click's `obj` replaces them.
    """

    clock: Callable[[], datetime] | None = None
    publish: Publish = _publish
    by: str = field(default_factory=operator)


def surroundings() -> Surroundings:
    """Those of the command that runs."""
    context = click.get_current_context(silent=True)
    return (context and context.find_object(Surroundings)) or Surroundings()


def open_for_command(settings: Settings | None = None) -> Runtime:
    """The runtime of a command line, closed when the command ends; connections open when first used.

    Raises SettingsError, CatalogError.
    """
    return _for_command(open_runtime(settings or load_settings(), surroundings().publish))


def open_stores_for_command() -> Runtime:
    """The same without templates and shops, so that these being broken keeps nobody from looking or from pausing.

    Raises SettingsError.
    """
    return _for_command(open_stores(load_settings(), surroundings().publish))


def _for_command(runtime: Runtime) -> Runtime:
    at_end(runtime.ledger.dispose)
    at_end(runtime.redis.close)
    clock = surroundings().clock
    return replace(runtime, clock=clock) if clock else runtime


def open_inbox(settings: Settings | None = None) -> Inbox:
    """The inbox alone, for commands that need neither ledger nor catalog."""
    found = settings or load_settings()
    redis = open_road(found.road_url)
    at_end(redis.close)
    return Inbox(
        redis,
        prefix=found.key_prefix,
        max_length=found.inbox.max_length,
        max_age=found.inbox.max_age,
        remember=found.inbox.remember,
        durable=found.inbox.durable,
    )


def at_end(close: Callable[[], object]) -> None:
    """Calls this when the command that runs has ended, however it ends."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.call_on_close(close)
