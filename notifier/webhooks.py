"""Webhooks: a batch of raw bodies becomes events in the inbox, and what is known of orders.

The order is: read the book, append to the inbox, write the book, acknowledge. Whoever dies in between leaves the batch
to another, which finds the book as it was, makes the same events, and has them recognised by their keys. Events that
wait go on by the sweep `join_waiting_events` once their order is written, or their time is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from notifier import telemetry
from notifier.demands import apply_consents, forget_people
from notifier.events import OrderEvent
from notifier.ids import new_id
from notifier.inbox import Entry, InboxFull, RoadUnavailable
from notifier.intake import Refusal, refusal_of, say_fault, set_aside
from notifier.ledger import LedgerUnavailable, orders
from notifier.ledger.orders import OrderKey, WaitingEvent
from notifier.lookups.contract import LookUpFailed
from notifier.runtime import Runtime
from notifier.shop_sources import ShopSource
from notifier.sources.contract import DataRequest, Draft, Malformed, OrderFacts, Parsed, Redact
from notifier.sources.joining import Waiting, complete, is_news, merge
from notifier.streams import Item
from notifier.webhook_stream import read_webhook

HandIn = Callable[[Sequence[Entry]], object]


@dataclass(slots=True)
class WebhookReport:
    """What became of a batch. unchanged: drafts that told nothing new."""

    bodies: int = 0
    events: int = 0
    waiting: int = 0
    unchanged: int = 0
    ignored: int = 0
    quarantined: int = 0

    def add(self, other: WebhookReport) -> None:
        """Takes in what a part of the batch came to."""
        self.events += other.events
        self.waiting += other.waiting
        self.unchanged += other.unchanged
        self.ignored += other.ignored


@dataclass(frozen=True, slots=True)
class Read:
    """A readable body with the item that brought it. at: when it arrived, aware UTC. unasked: why no look-up helped."""

    item: Item
    source: ShopSource
    at: datetime
    parsed: Parsed
    unasked: str = ""

    @property
    def shop(self) -> str:
        return self.source.shop


@dataclass(slots=True)
class _Outcome:
    """What a batch comes to, before anything is written."""

    book: dict[OrderKey, OrderFacts]
    entries: list[Entry] = field(default_factory=list)
    waiting: list[WaitingEvent] = field(default_factory=list)
    unchanged: int = 0


def take_webhooks(runtime: Runtime, items: Sequence[Item], now: datetime) -> WebhookReport:
    """Takes a batch of raw bodies through. The caller acknowledges them after.

    Raises LedgerUnavailable, RoadUnavailable, InboxFull: nothing may be acknowledged, and the batch comes again.
    """
    begun = time.monotonic()
    read = _looked_up(runtime, [read_item(runtime, item) for item in items])
    refused = [one for one in read if isinstance(one, Refusal)]
    report = take_read(runtime, [one for one in read if isinstance(one, Read)], refused, runtime.inbox.append, now)
    refused += [refusal for one in read if isinstance(one, Read) for refusal in left_over(one)]
    for one in refused:  # after the commit, as intake does
        set_aside(runtime, one)
    report.bodies, report.quarantined = len(items), len(refused)
    telemetry.note(
        "webhooks.batch",
        bodies=report.bodies,
        events=report.events,
        waiting=report.waiting,
        unchanged=report.unchanged,
        ignored=report.ignored,
        quarantined=report.quarantined,
        seconds=time.monotonic() - begun,
    )
    return report


def read_item(runtime: Runtime, item: Item) -> Read | Refusal:
    """What one item says, or why it cannot be taken through."""
    if item.deliveries > runtime.settings.inbox.poison_after:
        return Refusal(item, "poison", f"handed out {item.deliveries} times without an end")
    try:
        webhook = read_webhook(item.fields)
    except (KeyError, ValueError) as error:
        return Refusal(item, "invalid", f"no door wrote this item: {type(error).__name__}")
    found = runtime.sources.get((webhook.shop, webhook.source))
    if found is None:
        detail = f"no [shops.{webhook.shop}.sources.{webhook.source}] in the configuration: add it, then feed it again"
        return Refusal(item, "unknown_source", detail)
    try:
        parsed = found.source.parse(webhook.body, webhook.headers, found.reading)
    except Malformed as error:
        return Refusal(item, "invalid", f"{found.source.kind}: {error}")
    except Exception as error:  # a fault of ours: this body alone is set aside with the place
        say_fault(error, "webhooks")
        return refusal_of(item, error)
    return Read(item, found, _arrived_at(item), parsed)


def _looked_up(runtime: Runtime, read: Sequence[Read | Refusal]) -> list[Read | Refusal]:
    """The same bodies, with the orders that thin ones name, where the shop's platform gives them."""
    thin = [one for one in read if isinstance(one, Read) and one.parsed.needs_order]
    if not thin:
        return list(read)
    answers = runtime.look_ups.resolved_all([(one.parsed, one.source.reading, one.source.name) for one in thin])
    told = {id(one): answer for one, answer in zip(thin, answers, strict=True)}
    return [_with(one, told[id(one)]) if isinstance(one, Read) and id(one) in told else one for one in read]


def _with(one: Read, answer: Parsed | Exception) -> Read:
    if isinstance(answer, Parsed):
        return replace(one, parsed=answer)
    if not isinstance(answer, LookUpFailed):
        say_fault(answer, "webhooks")
    return replace(one, unasked=str(answer) if isinstance(answer, LookUpFailed) else type(answer).__name__)


def left_over(one: Read) -> Iterator[Refusal]:
    """What of a body an operator, or a look-up, has to see to."""
    if one.parsed.needs_order:
        hints = ", ".join(sorted({thin.hint for thin in one.parsed.needs_order}))
        detail = f"{one.shop}: names an order without telling it ({hints}); {one.unasked or 'it was not asked for'}"
        yield Refusal(one.item, "needs_look_up", detail)
    for demand in one.parsed.demands:
        if isinstance(demand, DataRequest):
            named = ", ".join(demand.order_ids) or "none named"
            detail = f"{one.shop}: a customer asks what is stored about them; `notifier why` tells. Orders: {named}"
            yield Refusal(one.item, "data_request", detail)


def _arrived_at(item: Item) -> datetime:
    """By the clock of Redis, and so the same at every reading."""
    return datetime.fromtimestamp(int(item.id.split(b"-")[0]) / 1000, UTC)


def take_read(
    runtime: Runtime, read: Sequence[Read], refused: list[Refusal], hand_in: HandIn, now: datetime
) -> WebhookReport:
    """Takes a batch through; when one of them is poison, for the database or for us, each by itself."""
    try:
        return _take(runtime, read, hand_in, now)
    except (LedgerUnavailable, RoadUnavailable, InboxFull):
        raise
    except Exception as fault:
        say_fault(fault, "webhooks")
        report = WebhookReport()
        for one in read:
            try:
                report.add(_take(runtime, [one], hand_in, now))
            except (LedgerUnavailable, RoadUnavailable, InboxFull):
                raise
            except Exception as error:
                refused.append(refusal_of(one.item, error))
        return report


def _take(runtime: Runtime, read: Sequence[Read], hand_in: HandIn, now: datetime) -> WebhookReport:
    if not read:
        return WebhookReport()
    with runtime.ledger.read() as conn:
        outcome = _Outcome(orders.known_orders(conn, sorted(_orders_of(read))))
    for one in read:
        _judge(one, outcome, now)
    if outcome.entries:
        hand_in(outcome.entries)
    _write(runtime, read, outcome.waiting, now)
    return WebhookReport(
        events=len(outcome.entries),
        waiting=len(outcome.waiting),
        unchanged=outcome.unchanged,
        ignored=sum(1 for one in read if one.parsed.ignored),
    )


def _orders_of(read: Iterable[Read]) -> set[OrderKey]:
    return {(one.shop, draft.event.order_id) for one in read for draft in one.parsed.events} | {
        (one.shop, facts.order_id) for one in read for facts in one.parsed.orders
    }


def _judge(one: Read, outcome: _Outcome, now: datetime) -> None:
    """The events of one body, by what was known before it; then what it tells is known to those after it."""
    changed = {facts.order_id: facts.changed_at for facts in one.parsed.orders}
    for draft in one.parsed.events:
        known = outcome.book.get((one.shop, draft.event.order_id))
        if not is_news(draft, known, changed.get(draft.event.order_id)):
            outcome.unchanged += 1
            continue
        event = _completed(draft, known)
        if isinstance(event, Waiting):
            outcome.waiting.append(_waiting(event.event, one, now))
        else:
            outcome.entries.append(entry(_dated(event, one.at), one.source.door))
    for facts in one.parsed.orders:
        key = (one.shop, facts.order_id)
        outcome.book[key] = merge(outcome.book.get(key), facts)


def _completed(draft: Draft, known: OrderFacts | None) -> OrderEvent | Waiting:
    return complete(draft.event, known) if draft.joins else draft.event


def _dated(event: OrderEvent, at: datetime) -> OrderEvent:
    return event if event.occurred_at else event.model_copy(update={"occurred_at": at})


def entry(event: OrderEvent, door: str, event_id: str | None = None) -> Entry:
    """The event on its way into the inbox."""
    return Entry(event_id or new_id(), event.key, event_body(event).encode(), door)


def event_body(event: OrderEvent) -> str:
    """The event as JSON."""
    return event.model_dump_json(exclude_none=True, exclude_defaults=True)


def _waiting(event: OrderEvent, one: Read, now: datetime) -> WaitingEvent:
    return WaitingEvent(
        key=event.key,
        id=new_id(),
        shop=one.shop,
        order_id=event.order_id,
        door=one.source.door,
        body=event_body(_dated(event, one.at)),
        until=now + one.source.wait,
        received_at=now,
    )


def _write(runtime: Runtime, read: Sequence[Read], waiting: Sequence[WaitingEvent], now: datetime) -> None:
    """The book, who waits, and what was said of consent and of forgetting, in one transaction."""
    told = [(one.shop, facts) for one in read for facts in one.parsed.orders]
    if not told and not waiting and not any(one.parsed.consents or one.parsed.demands for one in read):
        return
    keys = {(shop, facts.order_id) for shop, facts in told}
    with runtime.ledger.begin() as conn:
        held = orders.hold_orders(conn, sorted(keys | {(one.shop, one.order_id) for one in waiting}), now)
        for shop, facts in told:
            held[shop, facts.order_id] = merge(held[shop, facts.order_id], facts)
        orders.write_orders(conn, {key: held[key] for key in keys}, now)
        orders.wait(conn, waiting)
        orders.hasten(conn, [key for key, facts in held.items() if not facts.partial], now)
        apply_consents(conn, runtime, [(one.shop, said) for one in read for said in one.parsed.consents], now)
        forget_people(conn, runtime, _redactions(read))


def _redactions(read: Sequence[Read]) -> list[tuple[str, Redact]]:
    return [(one.shop, demand) for one in read for demand in one.parsed.demands if isinstance(demand, Redact)]
