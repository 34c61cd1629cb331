"""By which door each sample comes: its shop's platform where that has a word for it, else the shop's own backend.

A platform's body is read back by the very parser that reads it in the gateway's worker, and is only sent when it says
what the sample says. So the expectations hold whichever door a line takes; only its business key is the platform's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from notifier.demo.feed import Order, bursts
from notifier.demo.platforms import SPEAKERS
from notifier.demo.platforms.contract import Calls, Speech
from notifier.demo.retime import Timed
from notifier.events import OrderEvent, parse_event
from notifier.shop_sources import ShopSource
from notifier.sources.contract import OrderFacts
from notifier.sources.joining import Waiting, complete, merge

# What a shop's backend does with what its platform has no word for. The fashion shop's knows Celery only, and of
# notifier nothing but the task's name; the homeware shop's and its carriers speak CloudEvents.
BACKENDS: Final[Mapping[str, str]] = {
    "qamar-books": "python",
    "atelie-lume": "celery",
    "fern-and-kiln": "cloudevents",
}
FILE: Final = "file"

# Fields that no platform's body has a place for.
BEYOND: Final = frozenset({"vars", "revision"})


def routed(lines: Sequence[Timed], platforms: Mapping[str, ShopSource], now: datetime) -> list[Timed]:
    """The lines with their doors. platforms: of each shop. now: when their webhooks are signed."""
    plain = _plain_orders(lines)
    return [_routed(line, platforms if line.sample.order in plain else {}, now) for line in lines]


def platform_of(sources: Iterable[ShopSource]) -> dict[str, ShopSource]:
    """The first source of each shop that somebody can speak for."""
    found: dict[str, ShopSource] = {}
    for source in sources:
        if source.source.kind in SPEAKERS:
            found.setdefault(source.shop, source)
    return found


def _routed(line: Timed, platforms: Mapping[str, ShopSource], now: datetime) -> Timed:
    shop = line.body["shop"]
    if line.old:
        return replace(line, door=FILE)
    source = platforms.get(shop)
    calls = _said(line.body, source, now) if source else None
    event = heard(calls, source) if calls and source else None
    if calls is None or source is None or event is None or _gist(event) != _gist(parse_event(line.body)):
        return replace(line, door=BACKENDS.get(shop, "python"))
    return replace(line, sample=replace(line.sample, key=event.key), door=source.source.kind, calls=calls)


def _said(body: dict[str, Any], source: ShopSource, now: datetime) -> Calls | None:
    if BEYOND & body.keys():
        return None
    return SPEAKERS[source.source.kind](Speech(body, source.reading.options, source.secrets[0], now))


def heard(calls: Calls, source: ShopSource) -> OrderEvent | None:
    """The one event that comes of these webhooks, as webhooks.py makes it; None when it is none, or waits."""
    book: OrderFacts | None = None
    events: list[OrderEvent | Waiting] = []
    for call in calls:
        headers = {name.lower(): value for name, value in call.headers.items()}
        parsed = source.source.parse(call.body, headers, source.reading)
        events += [complete(draft.event, book) if draft.joins else draft.event for draft in parsed.events]
        for facts in parsed.orders:
            book = merge(book, facts)
    return events[0] if len(events) == 1 and isinstance(events[0], OrderEvent) else None


def _gist(event: OrderEvent) -> tuple[Any, ...]:
    """What decides who is told what, and in which words."""
    customer, parcel, back = event.customer, event.shipment, event.refund
    return (
        (event.event, event.order_id, event.order_number, event.occurred_at),
        (customer.phone, customer.country, customer.locale, customer.consent and customer.consent.granted),
        (event.order.total, event.order.currency) if event.event == "order.cod_confirmation" else None,
        (parcel.carrier, parcel.tracking_number) if parcel and event.event == "order.shipped" else None,
        (back.amount, back.currency) if back else None,
    )


def _plain_orders(lines: Sequence[Timed]) -> set[Order]:
    """The orders whose story a platform tells without a twist: one person and one parcel all along, in its order.

    Platforms tell states: what comes in the wrong order they never say. And events that a shop says in one breath come
    in one call; webhooks are two, and which is read first is a matter of chance.
    """
    stories: dict[Order, list[Timed]] = {}
    for line in lines:
        stories.setdefault(line.sample.order, []).append(line)
    together = {order for order, chain in bursts(lines).items() if any(_differ(burst) for burst in chain)}
    return {order for order, story in stories.items() if order not in together and _is_plain(story)}


def _differ(burst: Sequence[Timed]) -> bool:
    return len({line.sample.key for line in burst}) > 1


def _is_plain(story: Sequence[Timed]) -> bool:
    people = [{name: value for name, value in line.body["customer"].items() if name != "consent"} for line in story]
    who = {tuple(person.get(name) for name in ("phone", "country", "locale", "name")) for person in people}
    said = {tuple(sorted(consent.items())) for line in story if (consent := line.body["customer"].get("consent"))}
    parcels = {parcel["id"] for line in story if (parcel := line.body.get("shipment")) and parcel.get("id")}
    in_order = all(one.sample.occurred_at <= other.sample.occurred_at for one, other in pairwise(story))
    simple = all(name in ("granted", "source", "at") for consent in said for name, _ in consent)
    return max(len(who), len(said), len(parcels)) <= 1 and in_order and simple
