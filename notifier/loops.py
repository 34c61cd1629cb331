"""The loops around intake and receipts: read a batch, move it, acknowledge, again; wait out what is away.

`pump_*` blocks on its stream until told to stop and lives in a worker's thread; `*_once` empties the stream and ends,
for the Celery tasks that stand behind the pumps.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from notifier import telemetry
from notifier.inbox import InboxFull, RoadUnavailable
from notifier.intake import take_in
from notifier.ledger import LedgerUnavailable, hearing
from notifier.receipts import take_receipts
from notifier.runtime import Runtime
from notifier.streams import Item, StreamReader
from notifier.webhooks import take_webhooks

# How long a read blocks: a stop is seen at least this often.
BLOCK = timedelta(milliseconds=500)

# The pause while the ledger or Redis is away: doubles from the first to the last.
FIRST_PAUSE, LAST_PAUSE = timedelta(milliseconds=500), timedelta(seconds=15)

# Webhook bodies in one transaction. One may hold 1,000 updates, so a batch is smaller than intake's.
RECEIPTS_BATCH = 200
WEBHOOKS_BATCH = 200

# What passes by itself, and is waited out. An inbox that is full is none of its messages' fault either.
AWAY = (LedgerUnavailable, RoadUnavailable, InboxFull)

Move = Callable[[Runtime, StreamReader, Sequence[Item]], None]


def pump_intake(runtime: Runtime, stop: threading.Event) -> None:
    """Takes events in as they arrive, until stop is set."""
    pump(runtime, _inbox_reader(runtime), _intake, runtime.settings.inbox.batch, "intake", stop)


def pump_receipts(runtime: Runtime, stop: threading.Event) -> None:
    """Applies receipts as they arrive, until stop is set."""
    pump(runtime, _receipts_reader(runtime), _receipts, RECEIPTS_BATCH, "receipts", stop)


def pump_webhooks(runtime: Runtime, stop: threading.Event) -> None:
    """Takes the webhooks of the shops' platforms through as they arrive, until stop is set."""
    pump(runtime, _webhooks_reader(runtime), _webhooks, WEBHOOKS_BATCH, "webhooks", stop)


def intake_once(runtime: Runtime, stop: threading.Event) -> int:
    """Takes in what waits now; returns how many events. Ends when ledger or road are away: the next goes on."""
    return _once(runtime, _inbox_reader(runtime), _intake, runtime.settings.inbox.batch, "intake", stop)


def receipts_once(runtime: Runtime, stop: threading.Event) -> int:
    """Applies what waits now; returns how many webhook bodies. Ends as `intake_once` does."""
    return _once(runtime, _receipts_reader(runtime), _receipts, RECEIPTS_BATCH, "receipts", stop)


def webhooks_once(runtime: Runtime, stop: threading.Event) -> int:
    """Takes through what waits now; returns how many webhook bodies. Ends as `intake_once` does."""
    return _once(runtime, _webhooks_reader(runtime), _webhooks, WEBHOOKS_BATCH, "webhooks", stop)


def _intake(runtime: Runtime, reader: StreamReader, items: Sequence[Item]) -> None:
    take_in(runtime, reader, items)


def _receipts(runtime: Runtime, reader: StreamReader, items: Sequence[Item]) -> None:
    begun = time.monotonic()
    report = take_receipts(runtime, items, runtime.clock())
    reader.done([item.id for item in items])
    telemetry.note(
        "receipts.batch",
        receipts=report.receipts,
        applied=report.applied,
        parked=report.parked,
        ignored=report.ignored,
        doubles=report.doubles,
        seconds=time.monotonic() - begun,
    )


def _webhooks(runtime: Runtime, reader: StreamReader, items: Sequence[Item]) -> None:
    take_webhooks(runtime, items, runtime.clock())
    reader.done([item.id for item in items])


def pump(runtime: Runtime, reader: StreamReader, move: Move, batch: int, where: str, stop: threading.Event) -> None:
    """Reads and moves batch after batch until stop is set, and waits out what is away. where: for the log."""
    pause = FIRST_PAUSE
    while not stop.is_set():
        try:
            _turn(runtime, reader, move, batch, BLOCK)
            pause = FIRST_PAUSE
        except AWAY as error:
            _say_away(error, where, pause)
            stop.wait(pause.total_seconds())
            pause = min(pause * 2, LAST_PAUSE)
        except Exception as error:  # a fault of ours must not end the pump in silence: the batch comes again, singly
            telemetry.note("pump.fault", where=where, place=telemetry.place_of(error))
            stop.wait(pause.total_seconds())
            reader.again()


def _once(runtime: Runtime, reader: StreamReader, move: Move, batch: int, where: str, stop: threading.Event) -> int:
    taken = 0
    try:
        with (
            runtime.ledger.read()
        ):  # while it is away nothing is taken that the pump, back first, would have to wait for
            pass
        while not stop.is_set() and (moved := _turn(runtime, reader, move, batch, None)):
            taken += moved
    except AWAY as error:
        _say_away(error, where, timedelta(0))
    return taken


def _turn(runtime: Runtime, reader: StreamReader, move: Move, batch: int, block: timedelta | None) -> int:
    """One batch; how many items it had. An outage counts against none of them: what kills or fails us is poison."""
    items = reader.read(batch, block)
    if not items:
        return 0
    try:
        move(runtime, reader, items)
    except AWAY:
        with contextlib.suppress(RoadUnavailable):
            reader.give_back(items)
        raise
    return len(items)


def _say_away(error: LedgerUnavailable | RoadUnavailable | InboxFull, where: str, pause: timedelta) -> None:
    signal = "ledger.away" if isinstance(error, LedgerUnavailable) else "road.away"
    telemetry.note(signal, where=where, wait=pause.total_seconds(), error=error)


def _inbox_reader(runtime: Runtime) -> StreamReader:
    return _reader(runtime, runtime.inbox.stream, "intake")


def _receipts_reader(runtime: Runtime) -> StreamReader:
    def lost() -> None:
        """Not at the very first start: then a `delivered` may have been in it, whose provider has our 200, and nobody
        knows any more how fast the senders were a moment ago."""
        with runtime.ledger.begin() as conn:
            if not hearing.under_way(conn):
                return
            hearing.note_gap(conn, runtime.clock())
        telemetry.note("receipts.gap")
        for lane in runtime.senders:
            runtime.limiter.start_low(lane)

    return _reader(runtime, f"{runtime.settings.key_prefix}receipts", "receipts", lost)


def _webhooks_reader(runtime: Runtime) -> StreamReader:
    return _reader(runtime, f"{runtime.settings.key_prefix}webhooks", "webhooks")


def _reader(runtime: Runtime, stream: str, group: str, when_lost: Callable[[], None] | None = None) -> StreamReader:
    """A reader of this thread: the name is nobody else's, and the same for the thread's next reader."""
    consumer = f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
    reclaim_after = runtime.settings.inbox.reclaim_after
    return StreamReader(runtime.redis, stream, group, consumer, reclaim_after=reclaim_after, when_lost=when_lost)
