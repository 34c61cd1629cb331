"""When Redis is away: a door's events go into the ledger at once, planned as intake would have planned them.

Slower, and dearer for the door, but what it has answered with a yes is safe. Nothing is sent meanwhile (without Redis
there are no permits); once it is back the tick wakes the lanes. An append that failed may still have reached Redis:
intake then finds the same event id in the ledger, and takes it for what it is, the same event.
"""

from __future__ import annotations

from collections.abc import Sequence

from notifier.inbox import Entry, Ticket
from notifier.intake import Arrived, Refusal, read_item, write_batch
from notifier.ledger import plans
from notifier.runtime import Runtime
from notifier.streams import Item


def write_past_the_road(runtime: Runtime, entries: Sequence[Entry]) -> list[Ticket | None]:
    """Plans and writes entries in one transaction; tickets come in their order.

    None: this one cannot be planned (its shop is not configured, or it brings out a fault), and the quarantine, where
    intake would put it, is away too: the caller must keep it. Raises LedgerUnavailable: nothing was written.
    """
    read = [read_item(runtime, Item(b"", _fields(entry), 1)) for entry in entries]
    arrived = [one for one in read if isinstance(one, Arrived)]
    refused = [one for one in read if isinstance(one, Refusal)]
    write_batch(runtime, arrived, refused)
    with runtime.ledger.read() as conn:
        holders = plans.known_events(conn, [entry.key for entry in entries])
    return [_ticket(entry, holders.get(entry.key)) for entry in entries]


def _fields(entry: Entry) -> dict[bytes, bytes]:
    return {
        b"id": entry.event_id.encode(),
        b"key": entry.key.encode(),
        b"door": entry.door.encode(),
        b"body": entry.body,
    }


def _ticket(entry: Entry, holder: str | None) -> Ticket | None:
    if holder is None:
        return None
    return Ticket(holder, "queued" if holder == entry.event_id else "duplicate")
