"""Instants as the ledger keeps them: whole microseconds since the epoch, UTC, the same number in both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_us(at: datetime) -> int:
    """Microseconds since the epoch of an aware instant. Raises TypeError for a naive one: it names no instant."""
    return (at - EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    """The aware UTC instant of a number of microseconds since the epoch; exact, where a float would round."""
    return EPOCH + timedelta(microseconds=us)


def to_us_or_none(at: datetime | None) -> int | None:
    """`to_us` for what may not have happened."""
    return None if at is None else to_us(at)


def from_us_or_none(us: int | None) -> datetime | None:
    """`from_us` for what may not have happened."""
    return None if us is None else from_us(us)
