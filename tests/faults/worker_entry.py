"""The entry point of workers under test: the `notifier` command, with what the environment asks for put around it.

CHAOS_CRASH      `place:n`, as in `claim.after:3`: this process kills itself (SIGKILL) at the n-th call of that place
CHAOS_CLOCK      file with seconds by which this process's clock is wrong; read at every look at the clock
CHAOS_BLIND      controls, comma-separated, each of which takes a safety away: the harness must then find faults

The product knows nothing of this: functions are replaced from outside, before the command starts.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final

# Crash places: module, path of the function in it. `before` and `after` say on which side the process dies.
PLACES: Final = {
    "intake.write": ("notifier.intake", "_write"),
    "intake.done": ("notifier.streams", "StreamReader.done"),
    "receipts.apply": ("notifier.receipts", "_apply"),
    "claim": ("notifier.ledger.claims", "claim"),
    "permit": ("notifier.limits.sender", "SenderLimit.lease"),
    "submit": ("notifier.transport", "Transport.submit"),
    "poll": ("notifier.transport", "Transport.poll"),
    "record": ("notifier.booking", "record"),
    "transact": ("notifier.booking", "Booking.book"),
    "celery.note": ("kombu.transport.redis", "QoS.append"),  # a message popped, and noted down as being worked on
    "celery.ack": ("kombu.message", "Message.ack"),
    "hand_in": ("workers.tasks", "hand_in"),
    "sweep": ("notifier.sweeps", "sweep"),
}


DEADLY: Final = "this event kills whoever reads it"
DEADLY_TO_SEND: Final = "its message kills whoever renders it"


def wrap(module: str, path: str, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replaces a function, or a method, by what `around` makes of it."""
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    setattr(owner, name, around(getattr(owner, name)))


def crash_at(place: str, side: str, nth: int) -> None:
    """Arms one crash of this process."""
    calls = count(1)

    def around(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def dying(*args: Any, **kwargs: Any) -> Any:
            now = next(calls) == nth
            if now and side == "before":
                _die()
            result = function(*args, **kwargs)
            if now:
                _die()
            return result

        return dying

    wrap(*PLACES[place], around)


def deadly_events() -> None:
    """An event that says so kills the process that reads it from the inbox."""

    def around(read: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(read)
        def reading(runtime: Any, item: Any) -> Any:
            found = read(runtime, item)
            if DEADLY.encode() in item.fields.get(b"body", b"") and type(found).__name__ != "Refusal":
                _die()
            return found

        return reading

    wrap("notifier.intake", "read_item", around)


def deadly_messages() -> None:
    """A message that says so kills the process that renders it, on every channel."""

    def around(prepare: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(prepare)
        def preparing(runtime: Any, one: Any, *rest: Any) -> Any:
            if DEADLY_TO_SEND in one.body:
                _die()
            return prepare(runtime, one, *rest)

        return preparing

    wrap("notifier.carry", "prepare", around)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wrong_clock(path: Path) -> None:
    """Shifts this machine's own clock, as far as notifier looks at it, by what the file says."""

    def shifted() -> datetime:
        try:
            return datetime.now(UTC) + timedelta(seconds=float(path.read_text()))
        except (OSError, ValueError):
            return datetime.now(UTC)

    def around(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def opened(*args: Any, **kwargs: Any) -> Any:
            return function(*args, own=shifted, **kwargs)

        return opened

    wrap("notifier.runtime", "HouseClock", around)


def main() -> None:
    """Arms what the environment asks for, and runs the `notifier` command with our arguments."""
    deadly_events()
    deadly_messages()
    if armed := os.environ.get("CHAOS_CRASH"):
        place, _, nth = armed.partition(":")
        name, _, side = place.rpartition(".")
        crash_at(name, side, int(nth))
    if shift := os.environ.get("CHAOS_CLOCK"):
        wrong_clock(Path(shift))
    for control in filter(None, os.environ.get("CHAOS_BLIND", "").split(",")):
        CONTROLS[control]()
    from notifier.cli import main as notifier

    sys.argv[0] = "notifier"
    notifier()


def _claim_without_guard() -> None:
    """Every claim leaves its rows queued as well: whoever claims next sends them again."""
    from notifier.ledger import steps

    def around(claim: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(claim)
        def unguarded(conn: Any, *args: Any, **kwargs: Any) -> Any:
            claimed = claim(conn, *args, **kwargs)
            now = datetime.now(UTC)
            rows = [steps.Requeue(one.delivery_id, now, "released", "", "", attempt=False) for one in claimed]
            if rows:
                steps.requeue(conn, rows, now, "control")
            return claimed

        return unguarded

    wrap("notifier.ledger.claims", "claim", around)


def _no_sweeps() -> None:
    """Nothing is repaired: what a dead drain held stays held, what fell silent stays silent."""
    wrap("notifier.sweeps", "sweep", lambda _sweep: lambda *_args, **_kwargs: None)


def _stock_celery() -> None:
    """Celery itself takes the messages that are events, as it does without us: popped first, noted down afterwards.

    What it noted down comes again within the run, so that only what it has really lost is missing at the end.
    """
    from workers import configuration, pumps

    pumps._REDIS = frozenset()
    configuration._REDIS_OPTIONS["visibility_timeout"] = 15


def _early_acknowledgements() -> None:
    """A message is acknowledged before its task has run, as Celery does it by default."""
    from workers.app import app

    app.conf.task_acks_late = False


CONTROLS: Final[dict[str, Callable[[], None]]] = {
    "claim": _claim_without_guard,
    "sweeps": _no_sweeps,
    "ingest": _stock_celery,
    "acks": _early_acknowledgements,
}

if __name__ == "__main__":
    main()
