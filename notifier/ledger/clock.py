"""The database's own clock, for whoever compares clocks. Nothing else asks it: `now` is an argument everywhere."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.engine import Connection

from notifier.ledger.instants import from_us

_NOW = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)")


def server_now(conn: Connection) -> datetime | None:
    """What the database server's clock shows; None for SQLite, which has no other clock than ours."""
    if conn.dialect.name == "sqlite":
        return None
    return from_us(int(conn.execute(_NOW).scalar_one()))
