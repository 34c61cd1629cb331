"""Phones masked, instants as people and as programs read them. Pure."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any


def masked(phone: str | None) -> str:
    """+201001234567 as +20•••••67: enough to recognise, too little to call."""
    return f"{phone[:3]}•••••{phone[-2:]}" if phone else "no phone"


def stamp(at: datetime | None) -> str:
    """An instant as 2026-03-01 12:00:05Z; "never" for None."""
    return "never" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def plain(value: Any) -> Any:
    """Dataclasses, instants and durations as JSON knows them."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value
