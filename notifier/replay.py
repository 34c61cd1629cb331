"""Trying again by hand: notifications that reached nobody get a new delivery, quarantined events a new way in.

An operator's wish goes round no rule: consent, staleness and routes are asked again, as for every fallback.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from notifier.events import EVENT_KINDS, InvalidEvent, OrderEvent, parse_event
from notifier.follow import next_allowed
from notifier.ids import new_id
from notifier.inbox import Entry
from notifier.ledger import Connection, plans, replays, steps
from notifier.ledger.replays import Unreached
from notifier.policy.fallback import NoChannel
from notifier.policy.reasons import Reason
from notifier.runtime import Runtime
from notifier.sources.contract import Malformed
from notifier.streams import Quarantined
from notifier.webhook_stream import Webhook, Webhooks, read_webhook

# The reason in history and on the new delivery.
REPLAYED = "replayed"


class Refusal(StrEnum):
    """Why a notification is not tried again, beside the reasons of policy."""

    sentence: str

    def __new__(cls, value: str, sentence: str = "") -> Refusal:
        refusal = str.__new__(cls, value)
        refusal._value_ = value
        refusal.sentence = sentence
        return refusal

    UNKNOWN = "not_found", "No notification has this id."
    NOT_DEAD = "not_dead", "It was told, is under way, or was silenced by decision."
    FORGOTTEN = "forgotten", "Its phone and texts were forgotten; nobody can send it any more."
    NO_SHOP = "no_shop", "Its shop is not configured any more."
    MAY_HAVE_ARRIVED = (
        "may_have_arrived",
        "An answer was lost: the customer may have it, and a new try could be a double.",
    )
    MOVED = "moved", "Somebody else moved it in the meantime."


@dataclass(frozen=True, slots=True)
class Verdict:
    """About one notification. lane and channel: where a new try would go; refused: why there is none."""

    notification_id: str
    shop: str | None = None
    order_id: str | None = None
    event: str | None = None
    channel: str | None = None
    lane: str | None = None
    refused: Refusal | Reason | None = None


@dataclass(slots=True)
class ReplayReport:
    """opened and refused: in the order of the ids. lanes: have new work, to be woken after the commit."""

    opened: list[Verdict] = field(default_factory=list)
    refused: list[Verdict] = field(default_factory=list)
    lanes: set[str] = field(default_factory=set)


def judge(
    conn: Connection, runtime: Runtime, notification_ids: Sequence[str], now: datetime, *, allow_double: bool = False
) -> list[Verdict]:
    """What a replay would do about each id, and changes nothing. allow_double: also where an answer was lost."""
    known = {one.notification_id: one for one in replays.find(conn, notification_ids)}
    people = sorted({(one.shop, one.phone) for one in known.values() if one.phone})
    said: dict[tuple[str, str], list[plans.ConsentRecord]] = defaultdict(list)
    for record in plans.consents(conn, people):
        said[record.shop, record.phone].append(record)
    return [
        _judge(runtime, known[found], said[known[found].shop, known[found].phone or ""], now, allow_double)
        if found in known
        else Verdict(found, refused=Refusal.UNKNOWN)
        for found in dict.fromkeys(notification_ids)
    ]


def replay(
    conn: Connection,
    runtime: Runtime,
    notification_ids: Sequence[str],
    now: datetime,
    by: str,
    *,
    allow_double: bool = False,
) -> ReplayReport:
    """Opens a new delivery on the first allowed channel of each, in the caller's transaction. by: for the history.

    The new delivery is worth sending for the event's shelf life from now on. What is refused stays as it is.
    """
    report = ReplayReport()
    wanted: dict[str, Verdict] = {}
    for verdict in judge(conn, runtime, notification_ids, now, allow_double=allow_double):
        if verdict.refused:
            report.refused.append(verdict)
        else:
            wanted[verdict.notification_id] = verdict
    reopened = steps.reopen(conn, [steps.Reopen(found, REPLAYED) for found in wanted], now, by).moved
    rows = [
        _delivery(runtime, one, verdict, now)
        for one in replays.find(conn, sorted(reopened))
        if (verdict := wanted[one.notification_id])
    ]
    steps.open_delivery(conn, rows, now, by, REPLAYED)
    for found, verdict in wanted.items():
        if found in reopened:
            report.opened.append(verdict)
        else:
            report.refused.append(Verdict(found, verdict.shop, verdict.order_id, verdict.event, refused=Refusal.MOVED))
    report.lanes = {row.lane for row in rows}
    return report


def _judge(
    runtime: Runtime, one: Unreached, records: Sequence[plans.ConsentRecord], now: datetime, allow_double: bool
) -> Verdict:
    refused = _against(runtime, one, allow_double)
    if refused:
        return Verdict(one.notification_id, one.shop, one.order_id, one.event, refused=refused)
    found = next_allowed(runtime, one, records, now)
    if isinstance(found, NoChannel):
        reasons = [reason for _, reason in found.passed]
        return Verdict(one.notification_id, one.shop, one.order_id, one.event, refused=_worst(reasons))
    following, lane = found
    return Verdict(one.notification_id, one.shop, one.order_id, one.event, following.channel, lane)


def _against(runtime: Runtime, one: Unreached, allow_double: bool) -> Refusal | Reason | None:
    """What forbids a new try whatever the channel; the first that holds."""
    dead = one.state == "unreached" or (one.state == "suppressed" and one.reason == Reason.EXPIRED and one.tried)
    objections: tuple[tuple[bool, Refusal | Reason], ...] = (
        (not dead, Refusal.NOT_DEAD),
        (one.phone is None or not one.body_kept, Refusal.FORGOTTEN),
        (one.shop not in runtime.rules, Refusal.NO_SHOP),
        (one.reason == Reason.REFUSED, Reason.REFUSED),
        (one.obsolete_by is not None, Reason.SUPERSEDED),
        (one.lost and not allow_double, Refusal.MAY_HAVE_ARRIVED),
    )
    return next((refusal for holds, refusal in objections if holds), None)


def _worst(reasons: Sequence[Reason]) -> Reason:
    """A stop outweighs the absence of a consent, and that a missing route: the operator must see the person's word."""
    order = (Reason.OPTED_OUT, Reason.NO_CONSENT)
    return next((reason for reason in order if reason in reasons), Reason.NO_ROUTE)


def _delivery(runtime: Runtime, one: Unreached, verdict: Verdict, now: datetime) -> plans.NewDelivery:
    life = runtime.rules[one.shop].shelf_lives.get(one.event, EVENT_KINDS[one.event].shelf_life)
    return plans.NewDelivery(
        id=new_id(),
        notification_id=one.notification_id,
        shop=one.shop,
        lane=verdict.lane or "",
        channel=verdict.channel or "",
        position=one.channels.index(verdict.channel or ""),
        priority=one.priority,
        due_at=now,
        expires_at=now + life,
    )


@dataclass(frozen=True, slots=True)
class Fed:
    """What became of a quarantined item. problem: why it was left where it is; None: it is in the inbox again."""

    id: str
    problem: str | None


def check_item(runtime: Runtime, item: Quarantined) -> OrderEvent | Webhook | str:
    """What of an item may be fed again, an event or a platform's webhook, or what is still wrong with it."""
    if b"source" in item.fields:
        return _check_webhook(runtime, item)
    try:
        event = parse_event(item.fields[b"body"])
    except InvalidEvent as error:
        return str(error)
    if event.shop not in runtime.rules:
        return f"there is still no [shops.{event.shop}] in the configuration"
    return event


def _check_webhook(runtime: Runtime, item: Quarantined) -> Webhook | str:
    try:
        webhook = read_webhook(item.fields)
    except (KeyError, ValueError):
        return "no door wrote it, so nobody knows whose it is"
    found = runtime.sources.get((webhook.shop, webhook.source))
    if found is None:
        return f"there is still no [shops.{webhook.shop}.sources.{webhook.source}] in the configuration"
    try:
        found.source.parse(webhook.body, webhook.headers, found.reading)
    except Malformed as error:
        return str(error)
    return webhook


def feed_again(runtime: Runtime, items: Sequence[Quarantined]) -> list[Fed]:
    """Hands quarantined items to their stream again; what is still faulty stays where it is, with its problem.

    Each is appended and only then taken out: who dies in between feeds it twice, and the inbox, or at last the ledger,
    recognises the second. Raises InboxFull, RoadUnavailable.
    """
    results = []
    for item in items:
        found = check_item(runtime, item)
        if isinstance(found, str):
            results.append(Fed(item.id.decode(), found))
            continue
        if isinstance(found, Webhook):
            Webhooks(runtime.redis, runtime.settings.key_prefix).append(found)
        else:
            _append(runtime, found, item)
        runtime.quarantine.take([item.id])
        results.append(Fed(item.id.decode(), None))
    return results


def _append(runtime: Runtime, event: OrderEvent, item: Quarantined) -> None:
    """Forgotten first: the inbox has seen its key already."""
    door, given = item.fields[b"door"].decode(), item.fields[b"id"].decode()
    runtime.inbox.forget([event.key])
    runtime.inbox.append([Entry(given, event.key, item.fields[b"body"], door)])
