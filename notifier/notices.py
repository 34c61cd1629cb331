"""What providers report beside receipts: a customer's stop (or its taking back), and the standing of a template."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from notifier.channels.contract import StopRequest, TemplateStatus
from notifier.effects import store_breaker
from notifier.ledger import Connection, breakers, plans
from notifier.policy.breaker import Breaker, closed
from notifier.policy.consent import ConsentLike, is_news
from notifier.policy.reasons import Reason
from notifier.policy.shop import lanes_of
from notifier.runtime import Runtime


def apply_stops(conn: Connection, runtime: Runtime, stops: Sequence[StopRequest], now: datetime) -> None:
    """A customer's word to one sender becomes a record of every shop that speaks through it, once.

    What waits for this person is guarded again when it is claimed. A webhook that came twice, or names the same sender
    in two ways, is heard once.
    """
    wanted = [
        plans.NewConsent(shop, stop.phone, stop.channel, stop.purpose, stop.granted, stop.source, stop.at)
        for stop in stops
        for shop in _shops_of(runtime, stop.sender_account)
    ]
    said: dict[tuple[str, str], list[ConsentLike]] = defaultdict(list)
    for known in plans.consents(conn, sorted({(row.shop, row.phone) for row in wanted})):
        said[known.shop, known.phone].append(known)
    news = []
    for row in wanted:
        if is_news(row, said[row.shop, row.phone]):
            said[row.shop, row.phone].append(row)
            news.append(row)
    plans.insert_consents(conn, news, now)


def _shops_of(runtime: Runtime, account: str) -> list[str]:
    lanes = _lanes_of(runtime, account)
    return [name for name, shop in runtime.rules.items() if lanes & lanes_of(shop)]


def _lanes_of(runtime: Runtime, account: str) -> set[str]:
    """The senders that a provider may mean by this id of its own."""
    return {name for name, sender in runtime.senders.items() if account in sender.account.values()}


def apply_templates(conn: Connection, runtime: Runtime, statuses: Sequence[TemplateStatus], now: datetime) -> None:
    """The provider changed the standing of templates: stop them, or let them go again, on every sender of the account.

    In the provider's order, whatever order the webhooks came in: the last word of a batch must be the last one said.
    """
    for status in sorted(statuses, key=lambda status: status.at):
        for language in _languages(runtime, status):
            for lane in sorted(_lanes_of(runtime, status.account)):
                _move(conn, breakers.template_name(status.template, language, lane), status, now)


def _languages(runtime: Runtime, status: TemplateStatus) -> list[str]:
    """The one that was named; without a name, all that the template has here."""
    known = runtime.catalog.templates.get(status.template)
    return [status.language] if status.language else sorted(known.locales if known else ())


def _move(conn: Connection, name: str, status: TemplateStatus, now: datetime) -> None:
    before = breakers.find(conn, "template", name) or Breaker("template", name)
    after = closed(before) if status.usable else _stopped(before, status.reason, now)
    if after != before:
        store_breaker(conn, after, now, "receipts")


def _stopped(before: Breaker, code: str, now: datetime) -> Breaker:
    """Open without a time to try again: only the provider can lift it, so no probe goes until its next word."""
    opened_at = before.opened_at or now
    return Breaker("template", before.name, "open", Reason.TEMPLATE_STOPPED, code, opened_at, retry_at=None)
