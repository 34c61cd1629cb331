"""The sweeps over the order book: events that waited for their order go on, and old orders are forgotten."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from notifier.events import parse_event
from notifier.inbox import InboxFull, RoadUnavailable
from notifier.ledger import orders
from notifier.ledger.orders import OrderKey, WaitingEvent
from notifier.runtime import Runtime
from notifier.sources.contract import OrderFacts
from notifier.sources.joining import fill
from notifier.webhooks import entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from notifier.inbox import Entry
    from notifier.sweeps import SweepReport

# As of every sweep (sweeps.BUDGET).
BUDGET = timedelta(seconds=20)


def join_waiting_events(runtime: Runtime, now: datetime, report: SweepReport) -> None:
    """Lets events go on whose order has become known, or whose time to wait is over; those then tell nobody, for lack
    of a phone, unless their own body had one.

    Every 5 s. Safe because the inbox knows the id that an event has kept since it waits: who dies between append and
    commit appends it again, and it is in once.
    """
    size, end = runtime.settings.sweep.page, time.monotonic() + BUDGET.total_seconds()
    while time.monotonic() < end:
        with runtime.ledger.begin() as conn:
            found = orders.due(conn, now, size)
            known = orders.known_orders(conn, sorted({(one.shop, one.order_id) for one in found}))
            _append(runtime, [_entry(one, known) for one in found])
            orders.joined(conn, [one.key for one in found])
        whole = sum(1 for one in found if _is_whole(known.get((one.shop, one.order_id))))
        report.seen += len(found)
        report.add("joined", whole, whole)
        report.add("gave_up", len(found) - whole, len(found) - whole)
        if len(found) < size:
            return
    report.finished = False


def _entry(one: WaitingEvent, known: Mapping[OrderKey, OrderFacts]) -> Entry:
    return entry(fill(parse_event(one.body), known.get((one.shop, one.order_id))), one.door, one.id)


def _is_whole(known: OrderFacts | None) -> bool:
    return known is not None and not known.partial


def _append(runtime: Runtime, entries: list[Entry]) -> None:
    """A full inbox is an inbox that is away, for a sweep: it comes again."""
    try:
        if entries:
            runtime.inbox.append(entries)
    except InboxFull as error:
        raise RoadUnavailable(str(error)) from error


def forget_old_orders(runtime: Runtime, now: datetime, report: SweepReport) -> None:
    """Forgets orders of which no webhook has spoken for sweep.keep_personal: names, phones and links of people.

    Every hour. A body about such an order that comes later is taken for the first one: WooCommerce's old orders are
    then only stored (sources/woocommerce.py, OLD), so keep_personal should not be below 30 days.
    """
    size, end = runtime.settings.sweep.page, time.monotonic() + BUDGET.total_seconds()
    while time.monotonic() < end:
        with runtime.ledger.begin() as conn:
            forgotten = orders.forget_orders(conn, now - runtime.settings.sweep.keep_personal, size)
        report.seen += forgotten
        report.add("forgotten", forgotten, forgotten)
        if forgotten < size:
            return
    report.finished = False
