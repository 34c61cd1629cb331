"""The consent records of a person, for those who ask what we were allowed and since when."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.engine import Connection

from notifier.ledger.instants import from_us
from notifier.ledger.statements import Statement


@dataclass(frozen=True, slots=True)
class ConsentEntry:
    """One record, whole.

    at: since when it holds; recorded_at: when we wrote it; event_id: the event that carried it.
    """

    id: str
    shop: str
    phone: str = field(repr=False)
    channel: str | None
    purpose: str | None
    granted: bool
    source: str
    at: datetime
    recorded_at: datetime
    event_id: str | None


_COLUMNS = "SELECT id, shop, phone, channel, purpose, granted, source, at, recorded_at, event_id FROM consent WHERE "
_OF_SHOP = Statement(_COLUMNS + "shop = :shop AND phone = :phone ORDER BY at, recorded_at, id")
_OF_ALL = Statement(_COLUMNS + "phone = :phone ORDER BY at, recorded_at, id")


def consent_history(conn: Connection, shop: str | None, phone: str) -> list[ConsentEntry]:
    """Every record of this phone (E.164), oldest first, of one shop or (None) of all."""
    found = _OF_ALL.run(conn, phone=phone) if shop is None else _OF_SHOP.run(conn, shop=shop, phone=phone)
    return [
        ConsentEntry(
            found_id, of, number, channel, purpose, bool(granted), source, from_us(at), from_us(recorded), event_id
        )
        for found_id, of, number, channel, purpose, granted, source, at, recorded, event_id in found
    ]
