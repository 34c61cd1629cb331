"""Intake: a batch of order events becomes notifications and first deliveries, in one transaction.

The order is: plan, commit, acknowledge. A process that dies in between leaves the batch to another consumer, and the
business key makes the second reading harmless. An event that cannot be planned goes to quarantine with its reason and
never holds up the rest.
"""

from __future__ import annotations

import time
import traceback
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

import orjson

from notifier import telemetry
from notifier.catalog import pick_locale
from notifier.events import InvalidEvent, OrderEvent, parse_event
from notifier.ids import new_id
from notifier.inbox import RoadUnavailable
from notifier.ledger import Connection, LedgerRefused, LedgerUnavailable, plans
from notifier.plan import Decision, Plan, PlanContext, PlannedNotification, plan, recipient_of, remember
from notifier.policy.consent import ConsentLike
from notifier.policy.recipient import Recipient
from notifier.policy.staleness import PriorLike
from notifier.runtime import Runtime
from notifier.streams import Item, StreamReader


@dataclass(slots=True)
class IntakeReport:
    """What became of a batch."""

    events: int = 0
    new: int = 0
    duplicates: int = 0
    quarantined: int = 0
    lanes: set[str] = field(default_factory=set)

    def add(self, other: IntakeReport) -> None:
        self.events += other.events
        self.new += other.new
        self.duplicates += other.duplicates
        self.quarantined += other.quarantined
        self.lanes |= other.lanes


@dataclass(frozen=True, slots=True)
class Arrived:
    """A readable event with the item that brought it."""

    item: Item
    event_id: str
    door: str
    event: OrderEvent
    body: str


def take_in(runtime: Runtime, reader: StreamReader, items: Sequence[Item]) -> IntakeReport:
    """Takes a batch from the inbox into the ledger and acknowledges it. Raises LedgerUnavailable, RoadUnavailable:
    the batch then stays with this consumer and is read again."""
    begun = time.monotonic()
    report = IntakeReport(events=len(items))
    arrived = _readable(runtime, items, report)
    try:
        report.add(_write(runtime, arrived))
    except (LedgerUnavailable, RoadUnavailable):
        raise
    except Exception:  # one of them is poison, for the database or for us: find it, and let the others through
        for one in arrived:
            report.add(_write_alone(runtime, one))
    reader.done([item.id for item in items])
    runtime.wake(report.lanes)
    telemetry.note(
        "intake.batch",
        events=report.events,
        new=report.new,
        duplicates=report.duplicates,
        quarantined=report.quarantined,
        seconds=time.monotonic() - begun,
    )
    return report


def _readable(runtime: Runtime, items: Sequence[Item], report: IntakeReport) -> list[Arrived]:
    arrived = []
    for item in items:
        try:
            arrived.append(_read(runtime, item))
        except InvalidEvent as error:
            _quarantine(runtime, item, "invalid", str(error), report)
        except _Unplannable as error:
            _quarantine(runtime, item, error.reason, str(error), report)
    return arrived


class _Unplannable(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        super().__init__(detail)


def _read(runtime: Runtime, item: Item) -> Arrived:
    if item.deliveries > runtime.settings.inbox.poison_after:
        raise _Unplannable("poison", f"handed out {item.deliveries} times without an end")
    event = parse_event(item.fields[b"body"])
    if event.shop not in runtime.rules:
        raise _Unplannable("unknown_shop", f"no [shops.{event.shop}] in the configuration: add it, then feed it again")
    body = item.fields[b"body"].decode()
    if "\\u0000" in body:
        raise _Unplannable("invalid", "the text holds a NUL character, which no database stores: remove it")
    return Arrived(item, item.fields[b"id"].decode(), item.fields[b"door"].decode(), event, body)


def _quarantine(runtime: Runtime, item: Item, reason: str, detail: str, report: IntakeReport) -> None:
    runtime.quarantine.put(item.fields, reason, detail)
    runtime.inbox.forget([item.fields[b"key"].decode()])
    report.quarantined += 1
    telemetry.note("intake.quarantined", event_id=item.fields[b"id"].decode(), reason=reason)


def _write_alone(runtime: Runtime, one: Arrived) -> IntakeReport:
    report = IntakeReport()
    try:
        return _write(runtime, [one])
    except (LedgerUnavailable, RoadUnavailable):
        raise
    except LedgerRefused as error:
        _quarantine(runtime, one.item, "refused", str(error), report)
    except (
        Exception
    ) as error:  # a fault of ours that this event brings out: its place is kept, its words may be personal
        _quarantine(runtime, one.item, "poison", place_of(error), report)
    return report


def place_of(error: Exception) -> str:
    """Type and place of an exception, innermost last, without its message."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return f"{type(error).__name__} at " + " > ".join(f"{Path(one.filename).name}:{one.lineno}" for one in frames)


def _write(runtime: Runtime, arrived: Sequence[Arrived]) -> IntakeReport:
    """Plans and writes a batch in one transaction."""
    report = IntakeReport()
    if not arrived:
        return report
    now = runtime.clock()
    with runtime.ledger.begin() as conn:
        first, copies = _first_copies(conn, arrived)
        new = plans.insert_events(conn, [_event_row(one, now) for one in first], now)
        copies += [one.event.key for one in first if one.event_id not in new]
        if copies:
            plans.count_copies(conn, copies, now)
        fresh = [one for one in first if one.event_id in new]
        report.lanes = _plan_batch(conn, runtime, fresh, now)
    report.new, report.duplicates = len(fresh), len(copies)
    return report


def _first_copies(conn: Connection, arrived: Sequence[Arrived]) -> tuple[list[Arrived], list[str]]:
    """The first of each business key in the batch that the ledger does not hold, and the keys of all the others."""
    known = set(plans.known_events(conn, [one.event.key for one in arrived]))
    first: list[Arrived] = []
    copies: list[str] = []
    for one in arrived:
        if one.event.key in known:
            copies.append(one.event.key)
        else:
            known.add(one.event.key)
            first.append(one)
    return first, copies


def _event_row(one: Arrived, now: datetime) -> plans.NewEvent:
    event = one.event
    return plans.NewEvent(
        id=one.event_id,
        shop=event.shop,
        order_id=event.order_id,
        order_number=event.order_number,
        event=event.event,
        shipment_id=event.shipment_id,
        revision=event.revision,
        key=event.key,
        occurred_at=event.occurred_at or now,
        received_at=now,
        door=one.door,
        body=one.body,
    )


class _Known:
    """What the ledger holds about the orders and people of a batch, kept current while the batch is planned."""

    def __init__(self, conn: Connection, runtime: Runtime, arrived: Iterable[Arrived]) -> None:
        self.runtime = runtime
        people = {one.event_id: recipient_of(one.event, runtime.rules[one.event.shop]) for one in arrived}
        self.phones = {found: one.phone for found, one in people.items() if isinstance(one, Recipient)}
        orders = sorted({(one.event.shop, one.event.order_id) for one in arrived})
        persons = sorted(
            {(one.event.shop, self.phones[one.event_id]) for one in arrived if one.event_id in self.phones}
        )
        self.priors: dict[tuple[str, str], list[PriorLike]] = defaultdict(list)
        self.consents: dict[tuple[str, str], list[ConsentLike]] = defaultdict(list)
        for prior in plans.priors(conn, orders):
            self.priors[prior.shop, prior.order_id].append(prior)
        for record in plans.consents(conn, persons):
            self.consents[record.shop, record.phone].append(record)

    def context(self, one: Arrived) -> PlanContext:
        event = one.event
        return PlanContext(
            shop=self.runtime.rules[event.shop],
            pick_locale=lambda name, wanted, default: pick_locale(self.runtime.catalog.get(name), wanted, default),
            consents=self.consents.get((event.shop, self.phones.get(one.event_id, "")), ()),
            priors=self.priors.get((event.shop, event.order_id), ()),
        )

    def remember(self, one: Arrived, after: PlanContext) -> None:
        self.priors[one.event.shop, one.event.order_id] = list(after.priors)
        if phone := self.phones.get(one.event_id):
            self.consents[one.event.shop, phone] = list(after.consents)


@dataclass(slots=True)
class _Rows:
    notifications: list[plans.NewNotification] = field(default_factory=list)
    deliveries: list[plans.NewDelivery] = field(default_factory=list)
    consents: list[plans.NewConsent] = field(default_factory=list)
    superseded: list[plans.Supersede] = field(default_factory=list)


def _plan_batch(conn: Connection, runtime: Runtime, fresh: Sequence[Arrived], now: datetime) -> set[str]:
    """Plans each event with what the ledger and the events before it in the batch say. Returns lanes with due work."""
    if not fresh:
        return set()
    known, rows = _Known(conn, runtime, fresh), _Rows()
    for one in fresh:
        context = known.context(one)
        made, notification_id = plan(one.event, context, now), new_id()
        _collect(one, made, notification_id, rows)
        known.remember(one, remember(context, made, notification_id))
    plans.insert_notifications(conn, rows.notifications, now)
    plans.insert_deliveries(conn, rows.deliveries, now)
    if rows.consents:
        plans.insert_consents(conn, rows.consents, now)
    if rows.superseded:
        plans.supersede(conn, rows.superseded, now)
    return {row.lane for row in rows.deliveries if row.due_at <= now}


def _collect(one: Arrived, made: Plan, notification_id: str, rows: _Rows) -> None:
    if made.consent_record and made.phone:
        said = made.consent_record
        rows.consents.append(
            plans.NewConsent(
                shop=one.event.shop,
                phone=made.phone,
                channel=said.channel,
                purpose=said.purpose,
                granted=said.granted,
                source=said.source,
                at=said.at,
                event_id=one.event_id,
            )
        )
    if made.notification is None:
        return
    rows.notifications.append(_notification_row(notification_id, one.event_id, made.notification, made.decisions))
    telemetry.note(
        "plan.decided",
        shop=one.event.shop,
        state=made.notification.state,
        reason=str(made.notification.reason or ""),
    )
    if made.delivery:
        rows.deliveries.append(plans.NewDelivery(id=new_id(), notification_id=notification_id, **asdict(made.delivery)))
    rows.superseded += [plans.Supersede(older, one.event.event) for older in made.supersedes]


def _notification_row(
    notification_id: str, event_id: str, note: PlannedNotification, decisions: Sequence[Decision]
) -> plans.NewNotification:
    """The planned values under our ids, with the walk that led to them: `why` prints it years later."""
    walk = orjson.dumps([decision._asdict() for decision in decisions]).decode()
    return plans.NewNotification(id=notification_id, event_id=event_id, decisions=walk, **asdict(note))
