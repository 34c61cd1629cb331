"""Receipts: what providers report later, from the stream into the ledger, in batches.

Receipts come late, twice, out of order, for messages whose acceptance we have not committed yet, and for messages that
are not ours. They only ever move a delivery up; `failed` counts below delivered; a `delivered` that comes after the
next channel was taken cancels that delivery if it has not left, and is counted as a double if it has.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from notifier import telemetry
from notifier.channels import adapter
from notifier.channels.contract import NOT_TOLD, OutcomeClass, ReceiptUpdate, StopRequest, TemplateStatus, Update
from notifier.effects import Seen, note_outcomes
from notifier.follow import carry_on
from notifier.hearing import note_heard
from notifier.ids import new_id
from notifier.inbox import RoadUnavailable
from notifier.intake import Refusal, refusal_of, say_fault, set_aside
from notifier.ledger import Connection, LedgerUnavailable, steps
from notifier.ledger import receipts as ledger_receipts
from notifier.ledger.receipts import Hit, Parked
from notifier.notices import apply_stops, apply_templates
from notifier.policy.reasons import Reason
from notifier.runtime import Runtime
from notifier.streams import Item

# What the customer's phone shows, or may: acceptance counts, because most channels say no more; and what a drain holds
# is on its way, because its guards have run.
_LEFT = frozenset({"claimed", "unknown", "accepted", "sent", "delivered", "read"})

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class ReceiptReport:
    """What became of a batch of webhook bodies."""

    receipts: int = 0
    applied: int = 0
    parked: int = 0
    ignored: int = 0
    doubles: int = 0
    lanes: set[str] = field(default_factory=set)
    newest: dict[str, datetime] = field(default_factory=dict)  # by lane: the provider's time of its newest receipt

    def add(self, other: ReceiptReport) -> None:
        """Takes in what a part of the batch came to."""
        self.receipts += other.receipts
        self.applied += other.applied
        self.parked += other.parked
        self.ignored += other.ignored
        self.doubles += other.doubles
        self.lanes |= other.lanes
        for lane, at in other.newest.items():
            self.heard(lane, at)

    def heard(self, lane: str, at: datetime) -> None:
        """A receipt of this lane; at: the provider's clock."""
        if at > self.newest.get(lane, _NEVER):
            self.newest[lane] = at


def take_receipts(runtime: Runtime, items: Sequence[Item], now: datetime) -> ReceiptReport:
    """Applies a batch of raw webhook bodies from the stream, and wakes the lanes that have work through it.

    One transaction; when a body makes the database or us fail, one for each, and that body goes to quarantine with its
    reason. The caller acknowledges them after. Raises LedgerUnavailable, RoadUnavailable: nothing may be acknowledged.
    """
    limit = runtime.settings.inbox.poison_after
    refused = [
        Refusal(item, "poison", f"handed out {item.deliveries} times without an end")
        for item in items
        if item.deliveries > limit
    ]
    report = _apply_bodies(runtime, [item for item in items if item.deliveries <= limit], now, refused)
    for one in refused:  # after the commit, as intake does
        set_aside(runtime, one)
    note_heard(runtime.redis, runtime.settings.key_prefix, report.newest)
    runtime.wake(report.lanes)
    return report


def _apply_bodies(runtime: Runtime, items: Sequence[Item], now: datetime, refused: list[Refusal]) -> ReceiptReport:
    try:
        return _apply(runtime, items, now)
    except (LedgerUnavailable, RoadUnavailable):
        raise
    except Exception as fault:
        say_fault(fault, "receipts")
        report = ReceiptReport()
        for item in items:
            try:
                report.add(_apply(runtime, [item], now))
            except (LedgerUnavailable, RoadUnavailable):
                raise
            except Exception as error:
                refused.append(refusal_of(item, error))
        return report


def _apply(runtime: Runtime, items: Sequence[Item], now: datetime) -> ReceiptReport:
    updates = [(item.fields[b"provider"].decode(), _dated(update, now)) for item in items for update in _read(item)]
    if not updates:
        return ReceiptReport()
    with runtime.ledger.begin() as conn:
        return apply_updates(conn, runtime, updates, now)


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
    stops = [update for _, update in updates if isinstance(update, StopRequest)]
    if stops:
        apply_stops(conn, runtime, stops, now)
    apply_templates(conn, runtime, [update for _, update in updates if isinstance(update, TemplateStatus)], now)
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
            report.heard(hit.lane, update.at)
    if strangers:
        ledger_receipts.park(conn, strangers, now)
    report.parked += len(strangers)
    join(conn, runtime, known, now, report)


def join(
    conn: Connection, runtime: Runtime, known: Sequence[tuple[Hit, ReceiptUpdate]], now: datetime, report: ReceiptReport
) -> None:
    """Applies receipts whose deliveries are known: first those that lift, then those that fail."""
    hits = {hit.delivery_id: hit for hit, _ in known}
    moved = _lift(conn, runtime, hits, known, now, report) | _fail(conn, runtime, hits, known, now, report)
    report.ignored += sum(1 for hit, _ in known if hit.delivery_id not in moved)


def _lift(
    conn: Connection,
    runtime: Runtime,
    hits: Mapping[str, Hit],
    known: Sequence[tuple[Hit, ReceiptUpdate]],
    now: datetime,
    report: ReceiptReport,
) -> set[str]:
    lifts = [
        steps.ReceiptRow(
            hit.delivery_id,
            update.status,
            update.at,
            update.provider_id,
            runtime.silence_at(hit.lane, hit.template, update.at),
        )
        for hit, update in known
        if update.status != "failed"
    ]
    if not lifts:
        return set()
    received = steps.receive(conn, lifts, now)
    report.applied += len(received.moved)
    _tell(conn, runtime, [hits[found] for found in received.moved], lifts, frozenset(received.upgraded), now, report)
    return set(received.moved)


def _fail(
    conn: Connection,
    runtime: Runtime,
    hits: Mapping[str, Hit],
    known: Sequence[tuple[Hit, ReceiptUpdate]],
    now: datetime,
    report: ReceiptReport,
) -> set[str]:
    """The first failure of each delivery counts: a webhook that came twice must not slow or stop a sender twice."""
    failures: dict[str, steps.Fail] = {}
    for hit, update in known:
        if update.status == "failed":
            failures.setdefault(hit.delivery_id, _failure(hit, update))
    if not failures:
        return set()
    moved = steps.fail(conn, list(failures.values()), now, "receipts").moved
    report.applied += len(moved)
    note_outcomes(conn, runtime, [_seen(hits[one], failures[one]) for one in sorted(moved)], now, "receipts")
    report.lanes |= carry_on(conn, runtime, sorted(moved), now, "receipts")
    return set(moved)


def _failure(hit: Hit, update: ReceiptUpdate) -> steps.Fail:
    outcome = update.outcome or OutcomeClass.DEAD
    return steps.Fail(hit.delivery_id, outcome, update.code or "", update.detail, Reason.FAILED_LATER, update.at)


def _tell(
    conn: Connection,
    runtime: Runtime,
    hits: Sequence[Hit],
    lifts: Sequence[steps.ReceiptRow],
    upgraded: Collection[str],
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
    told = [by_id[found] for found in sorted(first)]
    if not told:
        return
    steps.tell(conn, [steps.Tell(hit.notification_id, hit.channel, first[hit.delivery_id]) for hit in told], now)
    family = steps.siblings(conn, [hit.notification_id for hit in told])
    waiting = [steps.Cancel(one.delivery_id, Reason.LATE_DELIVERED) for one in family if one.state == "queued"]
    if waiting:
        steps.cancel(conn, waiting, now, "receipts")
    doubled = _doubled([hit for hit in told if hit.delivery_id in upgraded], family)
    if doubled:
        steps.note_double(conn, doubled, now)
        report.doubles += len(doubled)
        for notification_id in doubled:
            telemetry.note("double.seen", notification_id=notification_id)


def _doubled(late: Sequence[Hit], family: Sequence[steps.Sibling]) -> list[str]:
    """The notifications of which another delivery left as well.

    late: delivered after they had counted as ended. Of two deliveries the first had ended before the second was opened,
    so each double has one such upgrade, and is counted by it alone: not by the second's own receipts, nor by `read`.
    """
    left = [one for one in family if one.state in _LEFT]
    return sorted(
        {
            hit.notification_id
            for hit in late
            for one in left
            if one.notification_id == hit.notification_id and one.delivery_id != hit.delivery_id
        }
    )


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
