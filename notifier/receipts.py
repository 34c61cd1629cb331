"""Receipts: what providers report later, from the stream into the ledger, in batches.

Receipts come late, twice, out of order, for messages whose acceptance we have not committed yet, and for messages that
are not ours. They only ever move a delivery up; `failed` counts below delivered; a `delivered` that comes after the next
channel was taken cancels that delivery if it has not left, and is counted as a double if it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import parse_qsl

from notifier import telemetry
from notifier.channels import adapter
from notifier.channels.contract import NOT_TOLD, OutcomeClass, ReceiptUpdate, StopRequest, TemplateStatus, Update
from notifier.effects import Seen, note_outcomes, store_breaker
from notifier.follow import carry_on
from notifier.ids import new_id
from notifier.ledger import Connection, breakers, plans, steps
from notifier.ledger import receipts as ledger_receipts
from notifier.ledger.receipts import Hit, Parked
from notifier.policy.breaker import Breaker, closed
from notifier.policy.reasons import Reason
from notifier.policy.shop import lanes_of
from notifier.runtime import Runtime
from notifier.streams import Item

# What the customer's phone shows, as far as we can know: acceptance counts, because most channels say no more.
_LEFT = frozenset({"accepted", "sent", "delivered", "read"})


@dataclass(slots=True)
class ReceiptReport:
    """What became of a batch of webhook bodies."""

    receipts: int = 0
    applied: int = 0
    parked: int = 0
    ignored: int = 0
    doubles: int = 0
    lanes: set[str] = field(default_factory=set)


def take_receipts(runtime: Runtime, items: Sequence[Item], now: datetime) -> ReceiptReport:
    """Applies a batch of raw webhook bodies from the stream in one transaction. The caller acknowledges them after."""
    updates = [(item.fields[b"provider"].decode(), _dated(update, now)) for item in items for update in _read(item)]
    with runtime.ledger.begin() as conn:
        report = apply_updates(conn, runtime, updates, now)
    runtime.wake(report.lanes)
    return report


def _read(item: Item) -> Sequence[Update]:
    provider = item.fields[b"provider"].decode()
    query = dict(parse_qsl(item.fields.get(b"query", b"").decode()))
    return adapter(provider).read_updates(item.fields[b"body"], query)


def _dated(update: Update, now: datetime) -> Update:
    """Adapters have no clock: where the provider told no time, the time of arrival counts."""
    return replace(update, at=now) if update.at == NOT_TOLD else update


def apply_updates(
    conn: Connection, runtime: Runtime, updates: Sequence[tuple[str, Update]], now: datetime
) -> ReceiptReport:
    """Applies updates in the caller's transaction: receipts, stops and the standing of templates."""
    report = ReceiptReport()
    receipts = [(provider, update) for provider, update in updates if isinstance(update, ReceiptUpdate)]
    _apply_receipts(conn, runtime, receipts, now, report)
    for _, update in updates:
        if isinstance(update, StopRequest):
            _apply_stop(conn, runtime, update, now)
        elif isinstance(update, TemplateStatus):
            _apply_template(conn, runtime, update, now)
    return report


def _apply_receipts(
    conn: Connection,
    runtime: Runtime,
    receipts: Sequence[tuple[str, ReceiptUpdate]],
    now: datetime,
    report: ReceiptReport,
) -> None:
    report.receipts += len(receipts)
    if not receipts:
        return
    found = ledger_receipts.find_deliveries(
        conn,
        sorted({update.ref for _, update in receipts if update.ref}),
        sorted({update.provider_id for _, update in receipts if update.provider_id and not update.ref}),
    )
    known: list[tuple[Hit, ReceiptUpdate]] = []
    strangers: list[Parked] = []
    for provider, update in receipts:
        hit = found.by_ref.get(update.ref or "") or found.by_provider_id.get(update.provider_id or "")
        if hit is None:
            strangers.append(_parked(provider, update, now))
        else:
            known.append((hit, update))
    if strangers:
        ledger_receipts.park(conn, strangers, now)
    report.parked += len(strangers)
    join(conn, runtime, known, now, report)


def join(
    conn: Connection, runtime: Runtime, known: Sequence[tuple[Hit, ReceiptUpdate]], now: datetime, report: ReceiptReport
) -> None:
    """Applies receipts whose deliveries are known: first those that lift, then those that fail."""
    hits = {hit.delivery_id: hit for hit, _ in known}
    lifts = [
        steps.ReceiptRow(hit.delivery_id, update.status, update.at, update.provider_id)
        for hit, update in known
        if update.status != "failed"
    ]
    received = steps.receive(conn, lifts, now) if lifts else None
    if received:
        report.applied += len(received.moved)
        _tell(conn, runtime, [hits[found] for found in received.moved], lifts, now, report)
    failures = [
        steps.Fail(
            hit.delivery_id,
            update.outcome or OutcomeClass.DEAD,
            update.code or "",
            update.detail,
            Reason.FAILED_LATER,
            update.at,
        )
        for hit, update in known
        if update.status == "failed"
    ]
    if failures:
        moved = steps.fail(conn, failures, now, "receipts").moved
        report.applied += len(moved)
        failed = [failure for failure in failures if failure.delivery_id in moved]
        note_outcomes(conn, runtime, [_seen(hits[one.delivery_id], one) for one in failed], now, "receipts")
        report.lanes |= carry_on(conn, runtime, sorted(moved), now, "receipts")


def _tell(
    conn: Connection,
    runtime: Runtime,
    hits: Sequence[Hit],
    lifts: Sequence[steps.ReceiptRow],
    now: datetime,
    report: ReceiptReport,
) -> None:
    """The notifications whose customers have it now; what else of theirs was under way is cancelled or a double."""
    by_id = {hit.delivery_id: hit for hit in hits}
    first: dict[str, datetime] = {}
    for row in lifts:
        hit = by_id.get(row.delivery_id)
        if hit and _counts(runtime, hit, row):
            first[row.delivery_id] = min(row.at, first.get(row.delivery_id, row.at))
    told = [by_id[found] for found in first]
    if not told:
        return
    steps.tell(conn, [steps.Tell(hit.notification_id, hit.channel, first[hit.delivery_id]) for hit in told], now)
    others = [
        one
        for one in steps.siblings(conn, sorted({hit.notification_id for hit in told}))
        if one.delivery_id not in first
    ]
    waiting = [steps.Cancel(one.delivery_id, "late_delivered") for one in others if one.state == "queued"]
    if waiting:
        steps.cancel(conn, waiting, now, "receipts")
    doubled = sorted({one.notification_id for one in others if one.state in _LEFT})
    if doubled:
        steps.note_double(conn, doubled, now)
        report.doubles += len(doubled)
        for notification_id in doubled:
            telemetry.note("double.seen", notification_id=notification_id)


def _counts(runtime: Runtime, hit: Hit, row: steps.ReceiptRow) -> bool:
    """Whether this receipt means that the customer has the message, on this sender's route."""
    if row.status in ("delivered", "read"):
        return True
    sender = runtime.settings.senders.get(hit.lane)
    return sender is not None and sender.told_by == "sent"


def _seen(hit: Hit, failure: steps.Fail) -> Seen:
    return Seen(
        lane=hit.lane,
        channel=hit.channel,
        shop=hit.shop,
        event=hit.event,
        phone=hit.phone,
        template=hit.template,
        locale=hit.locale,
        outcome=OutcomeClass(failure.outcome),
        code=failure.code or "",
    )


def _parked(provider: str, update: ReceiptUpdate, now: datetime) -> Parked:
    return Parked(
        id=new_id(),
        provider=provider,
        provider_id=update.provider_id,
        ref=update.ref,
        status=update.status,
        at=update.at,
        code=update.code,
        outcome=update.outcome,
        detail=update.detail,
        received_at=now,
    )


def _apply_stop(conn: Connection, runtime: Runtime, stop: StopRequest, now: datetime) -> None:
    """A customer's word to one sender is a record for every shop that speaks through it."""
    lanes = {name for name, sender in runtime.senders.items() if stop.sender_account in sender.account.values()}
    shops = [name for name, shop in runtime.rules.items() if lanes & lanes_of(shop)]
    record_stop(conn, shops, stop, now)


def record_stop(conn: Connection, shops: Sequence[str], stop: StopRequest, now: datetime) -> None:
    """Appends the word to the consent records; what waits for this person is guarded again when it is claimed."""
    plans.insert_consents(
        conn,
        [
            plans.NewConsent(
                shop=shop,
                phone=stop.phone,
                channel=stop.channel,
                purpose=stop.purpose,
                granted=stop.granted,
                source=stop.source,
                at=stop.at,
                event_id=None,
            )
            for shop in shops
        ],
        now,
    )


def _apply_template(conn: Connection, runtime: Runtime, status: TemplateStatus, now: datetime) -> None:
    """The provider changed a template's standing: stop it, or let it go again, on every sender of that account."""
    for lane, sender in runtime.senders.items():
        if status.account not in sender.account.values():
            continue
        name = breakers.template_name(status.template, status.language, lane)
        before = breakers.find(conn, "template", name) or Breaker("template", name)
        if status.usable:
            after = closed(before)
        else:  # only the provider can lift it, so no probe goes: retry_at stays empty until the next status
            after = replace(before, state="open", reason=Reason.TEMPLATE_STOPPED, code=status.reason, opened_at=now)
        if after != before:
            store_breaker(conn, after, now, "receipts")
