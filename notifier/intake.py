"""Intake: a batch of order events becomes notifications and first deliveries, in one transaction.

The order is: plan, commit, acknowledge. A process that dies in between leaves the batch to another consumer, and the
business key makes the second reading harmless. An event that cannot be planned goes to quarantine with its reason and
never holds up the rest.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from notifier import telemetry
from notifier.catalog import pick_locale
from notifier.events import InvalidEvent, OrderEvent, parse_event
from notifier.ids import new_id
from notifier.inbox import RoadUnavailable, read_entry
from notifier.ledger import Connection, LedgerRefused, LedgerUnavailable, plans
from notifier.plan import (
    Decision,
    Plan,
    PlanContext,
    PlannedDelivery,
    PlannedNotification,
    plan,
    recipient_of,
    remember,
)
from notifier.policy.consent import ConsentLike
from notifier.policy.recipient import Recipient
from notifier.policy.staleness import PriorLike
from notifier.runtime import Runtime
from notifier.streams import Item, StreamReader

# A NUL escaped in JSON; an escaped backslash before the letters is innocent.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


@dataclass(slots=True)
class IntakeReport:
    """What became of a batch."""

    events: int = 0
    new: int = 0
    duplicates: int = 0
    quarantined: int = 0
    lanes: set[str] = field(default_factory=set)

    def add(self, other: IntakeReport) -> None:
        """Takes in what a part of the batch came to."""
        self.new += other.new
        self.duplicates += other.duplicates
        self.lanes |= other.lanes


@dataclass(frozen=True, slots=True)
class Arrived:
    """A readable event with the item that brought it."""

    item: Item
    event_id: str
    door: str
    event: OrderEvent
    body: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An item that cannot become a plan, and why. detail: without personal data."""

    item: Item
    reason: str
    detail: str


def take_in(runtime: Runtime, reader: StreamReader, items: Sequence[Item]) -> IntakeReport:
    """Takes a batch from the inbox into the ledger and acknowledges it. Raises LedgerUnavailable, RoadUnavailable:
    the batch then stays with this consumer and is read again."""
    begun = time.monotonic()
    read = [read_item(runtime, item) for item in items]
    refused = [one for one in read if isinstance(one, Refusal)]
    report = write_batch(runtime, [one for one in read if isinstance(one, Arrived)], refused)
    for one in refused:  # after the commit: a ledger that is away must not have it set aside at every try
        set_aside(runtime, one)
    report.events, report.quarantined = len(items), len(refused)
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


def read_item(runtime: Runtime, item: Item) -> Arrived | Refusal:
    """The event that an item holds, or why it cannot become a plan."""
    if item.deliveries > runtime.settings.inbox.poison_after:
        return Refusal(item, "poison", f"handed out {item.deliveries} times without an end")
    try:
        entry = read_entry(item.fields)
        event, body = parse_event(entry.body), entry.body.decode()
    except InvalidEvent as error:
        return Refusal(item, "invalid", str(error))
    except (KeyError, UnicodeDecodeError) as error:
        return Refusal(item, "invalid", f"no door wrote this item: {type(error).__name__}")
    if event.shop not in runtime.rules:
        detail = f"no [shops.{event.shop}] in the configuration: add it, then feed it again"
        return Refusal(item, "unknown_shop", detail)
    if holds_nul(body):
        return Refusal(item, "invalid", "the text holds a NUL character, which no database stores: remove it")
    return Arrived(item, entry.event_id, entry.door, event, body)


def holds_nul(body: str) -> bool:
    """Whether a text inside this JSON holds a NUL character, which no database stores."""
    return "\\u0000" in body and _NUL.search(body) is not None


def set_aside(runtime: Runtime, refused: Refusal) -> None:
    """Puts an item into quarantine. A mended copy of its event may then come in by any door. Raises RoadUnavailable."""
    fields = refused.item.fields
    runtime.quarantine.put(fields, refused.reason, refused.detail)
    if key := fields.get(b"key"):
        runtime.inbox.forget([key.decode(errors="replace")])
    event_id = fields.get(b"id", b"").decode(errors="replace")
    telemetry.note("intake.quarantined", event_id=event_id, reason=refused.reason)


def write_batch(runtime: Runtime, arrived: Sequence[Arrived], refused: list[Refusal]) -> IntakeReport:
    """Writes a batch in one transaction; when one of them is poison, for the database or for us, each in its own."""
    try:
        return _write(runtime, arrived)
    except (LedgerUnavailable, RoadUnavailable):
        raise
    except Exception as fault:
        say_fault(fault, "intake")
        report = IntakeReport()
        for one in arrived:
            try:
                report.add(_write(runtime, [one]))
            except (LedgerUnavailable, RoadUnavailable):
                raise
            except Exception as error:
                refused.append(refusal_of(one.item, error))
        return report


def refusal_of(item: Item, error: Exception) -> Refusal:
    """What the database refused, or a fault of ours that this item brings out: of that the place is kept, not the
    words, which may be personal."""
    if isinstance(error, LedgerRefused):
        return Refusal(item, "refused", str(error))
    return Refusal(item, "poison", telemetry.place_of(error))


def say_fault(error: Exception, where: str) -> None:
    """Logs where a batch failed, once for all of its items; what the database refused is no fault of ours."""
    if not isinstance(error, LedgerRefused):
        telemetry.note("pump.fault", where=where, place=telemetry.place_of(error))


def _write(runtime: Runtime, arrived: Sequence[Arrived]) -> IntakeReport:
    """Plans and writes a batch in one transaction."""
    if not arrived:
        return IntakeReport()
    now = runtime.clock()
    with runtime.ledger.begin() as conn:
        fresh, copies = _keep(conn, arrived, now)
        if copies:
            plans.count_copies(conn, copies, now)
        rows = _plan_batch(conn, runtime, fresh, now)
    for note in rows.notifications:
        telemetry.note("plan.decided", shop=note.shop, state=note.state, reason=str(note.reason or ""))
    lanes = {row.lane for row in rows.deliveries if row.due_at <= now}
    return IntakeReport(new=len(fresh), duplicates=len(arrived) - len(fresh), lanes=lanes)


def _keep(conn: Connection, arrived: Sequence[Arrived], now: datetime) -> tuple[list[Arrived], list[str]]:
    """Stores the first event of each business key: those that are new, and the keys of all further copies.

    An item that is read again, because its reader died between commit and acknowledgement, is no copy of itself.
    """
    holders = plans.known_events(conn, [one.event.key for one in arrived])
    first: dict[str, Arrived] = {}
    for one in arrived:
        if one.event.key not in holders:
            first.setdefault(one.event.key, one)
    new = plans.insert_events(conn, [_event_row(one, now) for one in first.values()], now)
    holders |= {key: one.event_id for key, one in first.items()}
    overtaken = [key for key, one in first.items() if one.event_id not in new]
    if overtaken:  # another intake was writing the same keys
        holders |= plans.known_events(conn, overtaken)
    fresh = [one for one in first.values() if one.event_id in new]
    return fresh, [one.event.key for one in arrived if holders[one.event.key] != one.event_id]


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


def _plan_batch(conn: Connection, runtime: Runtime, fresh: Sequence[Arrived], now: datetime) -> _Rows:
    """Plans each event with what the ledger and the events before it in the batch say, and writes what comes of it."""
    rows = _Rows()
    if not fresh:
        return rows
    known = _Known(conn, runtime, fresh)
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
    return rows


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
    if made.delivery:
        rows.deliveries.append(
            plans.NewDelivery(id=new_id(), notification_id=notification_id, **_values(made.delivery))
        )
    rows.superseded += [plans.Supersede(older, one.event.event) for older in made.supersedes]


def _notification_row(
    notification_id: str, event_id: str, note: PlannedNotification, decisions: Sequence[Decision]
) -> plans.NewNotification:
    """The planned values under our ids, with the walk that led to them: `why` prints it years later."""
    walk = orjson.dumps([decision._asdict() for decision in decisions]).decode()
    return plans.NewNotification(id=notification_id, event_id=event_id, decisions=walk, **_values(note))


def _values(planned: PlannedNotification | PlannedDelivery) -> dict[str, Any]:
    """The fields of a planned value. `asdict` copies every value deeply: 50 us an event, for strings and instants."""
    return {name: getattr(planned, name) for name in planned.__slots__}
