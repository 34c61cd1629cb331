"""What a platform says about people, not orders: consent given or taken back, and that somebody is to be forgotten."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from notifier import telemetry
from notifier.ledger import Connection, orders, plans
from notifier.policy.consent import UNDATED, ConsentLike, is_news
from notifier.policy.recipient import Recipient, find_recipient
from notifier.runtime import Runtime
from notifier.sources.contract import ConsentSaid, Redact


def apply_consents(conn: Connection, runtime: Runtime, said: Sequence[tuple[str, ConsentSaid]], now: datetime) -> None:
    """Appends what (shop, consent) pairs say, each word once. Without a phone that can be told there is nothing to say.

    An undated grant is the weakest there is, as in `policy.consent.carried_record`; an undated stop counts from now.
    """
    wanted = [row for shop, one in said if (row := _record(runtime, shop, one, now))]
    if not wanted:
        return
    heard: dict[tuple[str, str], list[ConsentLike]] = defaultdict(list)
    for known in plans.consents(conn, sorted({(row.shop, row.phone) for row in wanted})):
        heard[known.shop, known.phone].append(known)
    news = []
    for row in wanted:
        if is_news(row, heard[row.shop, row.phone]):
            heard[row.shop, row.phone].append(row)
            news.append(row)
    plans.insert_consents(conn, news, now)


def _record(runtime: Runtime, shop: str, one: ConsentSaid, now: datetime) -> plans.NewConsent | None:
    person = find_recipient(one.phone, one.country, runtime.settings.shops[shop].country)
    if not isinstance(person, Recipient):
        return None
    at = one.at or (UNDATED if one.granted else now)
    return plans.NewConsent(shop, person.phone, one.channel, one.purpose, one.granted, one.source, at)


def forget_people(conn: Connection, runtime: Runtime, demands: Sequence[tuple[str, Redact]]) -> None:
    """Forgets whom (shop, demand) pairs name, by their orders and by their phone."""
    for shop, demand in demands:
        forgotten = orders.redact(conn, [(shop, found) for found in _orders_of(conn, runtime, shop, demand)])
        telemetry.note(
            "source.redacted",
            shop=shop,
            orders=forgotten.orders,
            waiting=forgotten.waiting,
            events=forgotten.events,
        )


def _orders_of(conn: Connection, runtime: Runtime, shop: str, demand: Redact) -> list[str]:
    if demand.whole_shop:
        return orders.orders_of_shop(conn, shop)
    person = find_recipient(demand.phone, runtime.settings.shops[shop].country)
    told = orders.orders_of_phone(conn, shop, person.phone) if isinstance(person, Recipient) else []
    return sorted({*demand.order_ids, *told})
