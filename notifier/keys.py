"""API keys: how one is made, what it may do, and how it ends. A key opens the doors of one shop.

Only SHA-256 of a key is kept. A slow hash with a salt protects passwords, which people choose and reuse and which are
therefore guessed from lists; 256 random bits are on no list, and 2^256 guesses are as impossible at a nanosecond each
as at a tenth of a second. What the fast hash buys: the door can afford to look at every request.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from notifier.events import NotifierError
from notifier.ids import new_id
from notifier.ledger import Connection
from notifier.ledger.keys import KeyRow, end_key, find_key, insert_key

# Scanners for leaked secrets, and people, know a key by its beginning.
PREFIX = "ntf_"
HINT_CHARACTERS = 10

# Events a second of a key that says nothing else: far above a busy shop, low enough that an import starves nobody.
DEFAULT_RATE = 1_000

SCOPES: dict[str, str] = {
    "events:write": "hand in order events",
    "events:read": "read the stories of events and orders, and try events out",
    "consents:write": "record consents and stops, and read those of a phone",
    "admin": "all of these, and look at the shop's lanes",
}


class KeyRefused(NotifierError):
    """A key that cannot be made or ended. The message says why."""


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A new key. secret: the key itself; this is the only time that it is seen."""

    row: KeyRow
    secret: str = field(repr=False)


def digest_of(secret: str) -> str:
    """What is kept of a key, and looked for."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create_key(
    conn: Connection, shop: str, name: str, scopes: Sequence[str], rate: int, now: datetime, by: str
) -> MadeKey:
    """Makes a key of 256 random bits and keeps its digest. rate: events a second. Raises KeyRefused."""
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise KeyRefused(f"no such scope: {', '.join(unknown) or 'none was given'}; there are {', '.join(SCOPES)}")
    if not name.strip():
        raise KeyRefused("name: say who will use the key, so that it can be told from the others")
    secret = PREFIX + secrets.token_urlsafe(32)
    kept = tuple(scope for scope in SCOPES if scope in scopes)
    row = KeyRow(new_id(), shop, name.strip(), digest_of(secret), secret[:HINT_CHARACTERS], kept, rate, now, by)
    insert_key(conn, row)
    return MadeKey(row, secret)


def revoke_key(conn: Connection, key_id: str, now: datetime, by: str) -> KeyRow:
    """Ends a key now; doors learn of it within seconds. Raises KeyRefused when it is unknown or has ended."""
    row = _alive(conn, key_id, now)
    end_key(conn, key_id, now, by)
    return replace(row, ends_at=now, ended_by=by)


def rotate_key(conn: Connection, key_id: str, grace: timedelta, now: datetime, by: str) -> MadeKey:
    """A new key like this one, which ends after `grace` (unless it ends sooner). Raises KeyRefused."""
    old = _alive(conn, key_id, now)
    made = create_key(conn, old.shop, old.name, old.scopes, old.rate, now, by)
    end_key(conn, key_id, now + grace, by)
    return made


def _alive(conn: Connection, key_id: str, now: datetime) -> KeyRow:
    row = find_key(conn, key_id)
    if row is None:
        raise KeyRefused(f"no key has the id {key_id}; `notifier keys list` shows them")
    if row.ends_at is not None and row.ends_at <= now:
        raise KeyRefused(f"the key {key_id} has ended already, by {row.ended_by}")
    return row
