"""Reconciliation: the shop's platform is asked what changed, for the webhooks that never came.

WooCommerce sends each webhook once, and platforms switch off addresses that failed for a while. What is asked here goes
the way of webhooks: what the order book or the inbox knows already tells nothing twice, and what is stale stays untold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from notifier.events import NotifierError
from notifier.inbox import Entry
from notifier.intake import Refusal
from notifier.lookups.replies import UNREADABLE
from notifier.runtime import Runtime
from notifier.shop_sources import ShopSource
from notifier.streams import Item
from notifier.webhooks import Read, take_read


@dataclass(slots=True)
class Reconciled:
    """What asking came to.

    news: events that nobody had told us. known: those that we had. unchanged: states that the order book had already.
    unreadable: why orders could not be read, or taken through.
    """

    pages: int = 0
    orders: int = 0
    news: int = 0
    known: int = 0
    unchanged: int = 0
    unreadable: list[str] = field(default_factory=list)


def sources_to_ask(runtime: Runtime, shop: str, source: str | None = None) -> list[ShopSource]:
    """The sources of a shop that have somebody to ask. Raises NotifierError where there is none."""
    ours = [one for (of_shop, name), one in runtime.sources.items() if of_shop == shop and source in (None, name)]
    found = [one for one in ours if runtime.look_ups.line(shop, one.name)]
    if found:
        return found
    if not ours:
        raise NotifierError(f"shop {shop} has no source{f' {source}' if source else ''}; see `notifier sources list`")
    names = ", ".join(one.name for one in ours)
    raise NotifierError(f"no source of {shop} has a look_up ({names}): write one to its settings (docs/sources)")


def reconcile(runtime: Runtime, source: ShopSource, since: datetime, report: Reconciled) -> Iterator[None]:
    """Asks one source for all that changed since an instant (aware), a page a step, and keeps the report.

    Raises LookUpFailed, LedgerUnavailable, RoadUnavailable, InboxFull; what the report counts was taken through, and
    may be asked for again.
    """
    for parsed in runtime.look_ups.pages(source.reading, source.name, since):
        now = runtime.clock()
        refused: list[Refusal] = []

        def hand_in(entries: Sequence[Entry]) -> None:
            for ticket in runtime.inbox.append(entries):
                report.news += ticket.status == "queued"
                report.known += ticket.status == "duplicate"

        read = Read(Item(b"%d-0" % int(now.timestamp() * 1000), {}, 1), source, now, parsed)
        taken = take_read(runtime, [read], refused, hand_in, now)
        report.pages += 1
        report.orders += len(parsed.orders)
        report.unchanged += taken.unchanged
        report.unreadable += [reason for reason in (parsed.ignored or "").split("; ") if UNREADABLE in reason]
        report.unreadable += [refusal.detail for refusal in refused]
        yield
