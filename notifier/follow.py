"""What follows the end of a delivery: the next channel, or the end of the notification.

The one place where fallback happens, whoever saw the end: the drain (an answer), the receipts (a failed one) or a sweep
(silence, expiry, a lost answer). It reads what the ledger holds, decides by policy, and records the decision.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from notifier import telemetry
from notifier.channels.contract import OutcomeClass
from notifier.events import EVENT_KINDS
from notifier.ids import new_id
from notifier.ledger import Connection, followups, plans, steps
from notifier.ledger.followups import Ended
from notifier.policy.consent import Denied, decide
from notifier.policy.fallback import NextChannel, NoChannel, next_channel
from notifier.policy.reasons import Reason
from notifier.policy.shop import find_route
from notifier.runtime import Runtime

# Ends that say why by themselves; for all others the story of the deliveries does, and the notification says
# all_channels_failed.
_OWN_WORDS = frozenset(
    {Reason.SILENT, Reason.UNKNOWN_OUTCOME, Reason.RECEIPTS_LOST, Reason.EXPIRED, Reason.SENDER_STOPPED}
)

# Nobody knows whether the customer has the message: `fallback.unknown` decides.
_NOBODY_KNOWS = frozenset({Reason.UNKNOWN_OUTCOME, Reason.RECEIPTS_LOST})


@dataclass(slots=True)
class _Decided:
    """What is to be written about a batch of ends."""

    open: dict[str, list[plans.NewDelivery]] = field(default_factory=lambda: defaultdict(list))  # by reason
    give_up: list[steps.GiveUp] = field(default_factory=list)
    suppress: list[steps.Suppress] = field(default_factory=list)


def carry_on(conn: Connection, runtime: Runtime, delivery_ids: Sequence[str], now: datetime, by: str) -> set[str]:
    """Decides and records what comes after these ended deliveries, in the caller's transaction.

    by: who saw the end (drain, receipts, a sweep's name), for the history. Returns the lanes that have new work, to be
    woken after the commit.
    """
    ends = [end for end in followups.ended(conn, delivery_ids, now) if end.notification_state == "active"]
    if not ends:
        return set()
    said: dict[tuple[str, str], list[plans.ConsentRecord]] = defaultdict(list)
    for record in plans.consents(conn, sorted({(end.shop, end.phone) for end in ends})):
        said[record.shop, record.phone].append(record)
    decided = _Decided()
    for end in ends:
        _decide(runtime, end, said[end.shop, end.phone], now, decided)
    return _write(conn, decided, now, by)


def _write(conn: Connection, decided: _Decided, now: datetime, by: str) -> set[str]:
    lanes = set()
    for reason, rows in decided.open.items():
        opened = steps.open_delivery(conn, rows, now, by, reason).moved
        for row in rows:
            if row.id in opened:
                lanes.add(row.lane)
                telemetry.note("fallback.opened", lane=row.lane, channel=row.channel, reason=reason)
    if decided.give_up:
        steps.give_up(conn, decided.give_up, now, by)
    if decided.suppress:
        steps.suppress(conn, decided.suppress, now, by)
    return lanes


def _decide(
    runtime: Runtime, end: Ended, records: Sequence[plans.ConsentRecord], now: datetime, decided: _Decided
) -> None:
    if end.obsolete_by:
        decided.suppress.append(steps.Suppress(end.notification_id, Reason.SUPERSEDED, end.obsolete_by))
        return
    found = NoChannel(()) if _final(runtime, end, now) else next_allowed(runtime, end, records, now)
    if not isinstance(found, NoChannel):
        decided.open[str(end.reason)].append(_delivery(end, *found, now))
    elif end.reason == Reason.EXPIRED and end.position == 0 and end.attempts == 0:  # nothing was ever tried
        decided.suppress.append(steps.Suppress(end.notification_id, Reason.EXPIRED, end.lane))
    else:
        decided.give_up.append(steps.GiveUp(end.notification_id, _unreached(end), f"{end.channel}:{end.code or ''}"))


def _final(runtime: Runtime, end: Ended, now: datetime) -> bool:
    """Whether no other channel may follow: a refusal of policy, no time left, or a lost answer that is to be held."""
    if end.outcome == OutcomeClass.SUPPRESS or end.expires_at <= now:
        return True
    return end.reason in _NOBODY_KNOWS and runtime.settings.fallback.unknown == "hold"


class Routed(Protocol):
    """What the choice of a channel needs to know. position: of the last channel tried; -1: none yet."""

    @property
    def shop(self) -> str: ...
    @property
    def country(self) -> str | None: ...
    @property
    def event(self) -> str: ...
    @property
    def channels(self) -> tuple[str, ...]: ...
    @property
    def position(self) -> int: ...


def next_allowed(
    runtime: Runtime, about: Routed, records: Sequence[plans.ConsentRecord], now: datetime
) -> tuple[NextChannel, str] | NoChannel:
    """The next channel that may carry the message, allowed by consent and routed, with its lane."""
    purpose = EVENT_KINDS[about.event].purpose
    shop = runtime.rules.get(about.shop)  # None: it has left the configuration, and nothing more is sent for it
    route = find_route(shop.routes, about.country, about.event) if shop else None
    lanes = route.lanes if route else {}

    def against(channel: str) -> Reason | None:
        verdict = decide(records, None, channel, purpose, now)
        if isinstance(verdict, Denied):
            return verdict.reason
        return None if channel in lanes else Reason.NO_ROUTE

    found = next_channel(about.channels, about.position, against)
    return (found, lanes[found.channel]) if isinstance(found, NextChannel) else found


def _delivery(end: Ended, following: NextChannel, lane: str, now: datetime) -> plans.NewDelivery:
    return plans.NewDelivery(
        id=new_id(),
        notification_id=end.notification_id,
        shop=end.shop,
        lane=lane,
        channel=following.channel,
        position=following.position,
        priority=end.priority,
        due_at=now,
        expires_at=end.expires_at,
    )


def _unreached(end: Ended) -> str:
    if end.outcome == OutcomeClass.SUPPRESS:
        return Reason.REFUSED
    return str(end.reason) if end.reason in _OWN_WORDS else Reason.ALL_CHANNELS_FAILED
