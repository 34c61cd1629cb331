# ruff: noqa: S608  statements are put together from constants of this room; values always travel as parameters
"""The API keys of the HTTP door. A row never goes away: who could do what, and until when, can be asked for ever."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from notifier.ledger.instants import from_us, from_us_or_none, to_us
from notifier.ledger.statements import Rows, Statement


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as it is kept. digest: SHA-256 of the key in hex; hint: its beginning. rate: events a second.

    ends_at None: until somebody ends it; in the past: it opens nothing any more.
    """

    id: str
    shop: str
    name: str
    digest: str = field(repr=False)
    hint: str
    scopes: tuple[str, ...]
    rate: int
    created_at: datetime
    created_by: str
    ends_at: datetime | None = None
    ended_by: str | None = None


_NAMES = "id, shop, name, digest, hint, scopes, rate, created_at, created_by, ends_at, ended_by"
_INSERT = Statement(
    "INSERT INTO api_key (id, shop, name, digest, hint, scopes, rate, created_at, created_by)"
    " SELECT id, shop, name, digest, hint, scopes, rate, created_at, created_by FROM ({rows}) AS r WHERE true",
    Rows(
        id="text",
        shop="text",
        name="text",
        digest="text",
        hint="text",
        scopes="text",
        rate="integer",
        created_at="bigint",
        created_by="text",
    ),
)
_LIVE = Statement(f"SELECT {_NAMES} FROM api_key WHERE ends_at IS NULL OR ends_at > :now ORDER BY id")
_ALL = Statement(f"SELECT {_NAMES} FROM api_key WHERE CAST(:shop AS TEXT) IS NULL OR shop = :shop ORDER BY shop, id")
_FIND = Statement(f"SELECT {_NAMES} FROM api_key WHERE id = :id")
_END = Statement(
    """
    UPDATE api_key SET ends_at = :at, ended_by = :by WHERE id = :id AND (ends_at IS NULL OR ends_at > :at)
    RETURNING id"""
)


def insert_key(conn: Connection, key: KeyRow) -> None:
    """Keeps a new key, without an end."""
    plain = {name: getattr(key, name) for name in _NAMES.split(", ")[:-2]} | {"scopes": ",".join(key.scopes)}
    _INSERT.run(conn, [plain])


def live_keys(conn: Connection, now: datetime) -> list[KeyRow]:
    """Every key that opens something now, of all shops: they are few, and a door keeps them all in memory."""
    return _read(_LIVE.run(conn, now=to_us(now)))


def keys_of(conn: Connection, shop: str | None) -> list[KeyRow]:
    """All keys there ever were, of one shop or (None) of all; the oldest of each shop first."""
    return _read(_ALL.run(conn, shop=shop))


def find_key(conn: Connection, key_id: str) -> KeyRow | None:
    """The key of this id; None when there is none."""
    return next(iter(_read(_FIND.run(conn, id=key_id))), None)


def end_key(conn: Connection, key_id: str, at: datetime, by: str) -> bool:
    """Lets a key end at this instant, which may lie ahead. False: it ends by then anyway, or there is none.

    An end is only ever moved forward in time, never put off: a revoked key stays revoked.
    """
    return _END.run(conn, id=key_id, at=to_us(at), by=by).scalar_one_or_none() is not None


def _read(rows: Iterable[Any]) -> list[KeyRow]:
    return [
        KeyRow(
            found,
            shop,
            name,
            digest,
            hint,
            tuple(scopes.split(",")),
            rate,
            from_us(created),
            by,
            from_us_or_none(ends),
            ended,
        )
        for found, shop, name, digest, hint, scopes, rate, created, by, ends, ended in rows
    ]
