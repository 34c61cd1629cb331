"""One order event all the way: into the inbox and the ledger by intake, and if asked, sent, delivered and read."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text

from bench.orders import marker, order_event
from bench.roles import play
from notifier import notify, telemetry
from notifier.channels.contract import ReceiptUpdate
from notifier.drain import drain
from notifier.loops import intake_once
from notifier.receipts import apply_updates
from notifier.runtime import Runtime, open_runtime
from notifier.settings import load_settings


def seed(number: int, event: str, lane: str, read: bool) -> dict[str, Any]:
    """read: goes to the provider, and the customer reads it; otherwise it is left queued."""
    telemetry.configure("WARNING")
    runtime = open_runtime(load_settings(), lambda lane, channel: True)
    notify(order_event(number, event), inbox=runtime.inbox)
    intake_once(runtime, threading.Event())
    if read:
        drain(runtime, lane, runtime.transport(), threading.Event())
        _read(runtime, number)
    return {}


def _read(runtime: Runtime, number: int) -> None:
    for status in ("sent", "delivered", "read"):
        now = datetime.now(UTC)
        with runtime.ledger.begin() as conn:
            query = text("SELECT id FROM delivery WHERE order_id = :order")
            refs = [row[0] for row in conn.execute(query, {"order": marker(number)})]
            updates = [("meta", ReceiptUpdate(status, now, None, ref)) for ref in refs]
            apply_updates(conn, runtime, updates, now)


if __name__ == "__main__":
    play(seed)
