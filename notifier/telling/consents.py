"""Consent records for those who write or read them: what a word means, and what the records of a phone allow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, get_args

from notifier.events import Channel
from notifier.ledger import Connection, plans
from notifier.ledger.consents import ConsentEntry
from notifier.policy.consent import Allowed, decide, is_news
from notifier.policy.recipient import NoRecipient, find_recipient
from notifier.policy.shop import ShopRules
from notifier.telling.words import plain

CHANNELS: tuple[str, ...] = get_args(Channel)
PURPOSES = ("order_updates", "marketing")


class BadValue(ValueError):
    """A value that cannot stand in a consent record."""


def purpose_meant(purpose: str | None, granted: bool) -> str | None:
    """The purpose of a record that names none: a grant is for order updates only, a stop is for everything (None)."""
    return purpose or ("order_updates" if granted else None)


def phone_of(text: str, rules: ShopRules | None) -> str:
    """E.164 of a phone as people write it, dialled in the shop's country. Raises BadValue with what is missing."""
    found = find_recipient(text, rules.default_country if rules else None)
    if isinstance(found, NoRecipient):
        raise BadValue(f"phone: {found.fault.value.replace('_', ' ')}; write it like +201001234567")
    return found.phone


def verdicts_of(found: Sequence[ConsentEntry], shop: str, now: datetime) -> list[dict[str, Any]]:
    """What the records of one shop allow now, by channel and purpose."""
    records = [one for one in found if one.shop == shop]
    verdicts = []
    for channel in CHANNELS:
        for purpose in PURPOSES:
            said = decide(records, None, channel, purpose, now)
            reason = None if isinstance(said, Allowed) else str(said.reason)
            verdicts.append(
                {"shop": shop, "channel": channel, "purpose": purpose, "allowed": reason is None, "reason": reason}
            )
    return verdicts


def as_json_row(one: ConsentEntry) -> dict[str, Any]:
    """A record as `consent show --json` gives it; without the phone, which whoever asks knows."""
    names = ("id", "shop", "channel", "purpose", "granted", "source", "at", "recorded_at", "event_id")
    return {name: plain(getattr(one, name)) for name in names}


def news_among(conn: Connection, records: Sequence[plans.NewConsent]) -> list[plans.NewConsent]:
    """Those that the ledger does not hold yet, each once."""
    held: dict[tuple[str, str], list[plans.ConsentRecord | plans.NewConsent]] = {}
    for known in plans.consents(conn, sorted({(one.shop, one.phone) for one in records})):
        held.setdefault((known.shop, known.phone), []).append(known)
    fresh = []
    for one in records:
        of_person = held.setdefault((one.shop, one.phone), [])
        if is_news(one, of_person):
            of_person.append(one)
            fresh.append(one)
    return fresh
