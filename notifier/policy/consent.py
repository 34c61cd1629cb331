"""Who allowed what. Consent is an append-only list of records; the latest that applies decides, and a stop wins a tie.

No default consent exists. Consent for marketing says nothing about order updates, nor the reverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from notifier.events import Consent
from notifier.policy.reasons import Reason

UNDATED: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The date of a grant that came without one. Shops repeat the checkout's tick with every event of an order: dated by
the event it would undo each stop that the customer sends in between. Undated, it holds until somebody says stop."""

CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far a shop's clock may be ahead. A grant dated later is not given yet: it would outlive every stop until then."""


class ConsentLike(Protocol):
    """A record of one shop and one phone. channel None: all channels; purpose None: every purpose."""

    @property
    def channel(self) -> str | None: ...
    @property
    def purpose(self) -> str | None: ...
    @property
    def granted(self) -> bool: ...
    @property
    def source(self) -> str: ...
    @property
    def at(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """One thing a person said, for one shop. at: aware UTC."""

    channel: str | None
    purpose: str | None
    granted: bool
    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Allowed:
    """The record that allows it."""

    by: ConsentLike


@dataclass(frozen=True, slots=True)
class Denied:
    """NO_CONSENT (by is None) or OPTED_OUT with the record that stops it."""

    reason: Reason
    by: ConsentLike | None = None


def carried_record(consent: Consent, happened_at: datetime) -> ConsentRecord:
    """The record in an order event. An undated stop is dated by the event, an undated grant is the weakest there is."""
    at = consent.at.astimezone(UTC) if consent.at else UNDATED if consent.granted else happened_at
    return ConsentRecord(consent.channel, consent.purpose, consent.granted, consent.source, at)


def is_news(record: ConsentLike, records: Sequence[ConsentLike]) -> bool:
    """Whether the ledger does not hold it yet. The source does not count: it is the same word, heard twice."""
    said = _said(record)
    return all(_said(known) != said for known in records)


def decide(
    records: Sequence[ConsentLike], carried: ConsentLike | None, channel: str, purpose: str, now: datetime
) -> Allowed | Denied:
    """Whether this person may be told over this channel for this purpose, and by which record.

    records: all of one shop and phone, in any order; carried: what the event at hand brings, a record like the others.
    """
    heard = (*records, carried) if carried else records
    latest = max(
        (record for record in heard if _applies(record, channel, purpose, now)),
        key=lambda record: (record.at, not record.granted),
        default=None,
    )
    if latest is None:
        return Denied(Reason.NO_CONSENT)
    return Allowed(latest) if latest.granted else Denied(Reason.OPTED_OUT, latest)


def _applies(record: ConsentLike, channel: str, purpose: str, now: datetime) -> bool:
    in_scope = record.channel in (None, channel) and record.purpose in (None, purpose)
    return in_scope and (not record.granted or record.at <= now + CLOCK_SKEW)


def _said(record: ConsentLike) -> tuple[str | None, str | None, bool, datetime]:
    return record.channel, record.purpose, record.granted, record.at
