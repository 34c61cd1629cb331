"""What must hold between settings: each rule yields a line per fault, with the place, the rule and the remedy.

Every rule is also a row of docs/configuration.md (cli/config_reference.py); a test counts both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from notifier.channels import ADAPTERS
from notifier.events import EVENT_KINDS
from notifier.sources import SOURCES, option_faults

if TYPE_CHECKING:
    from notifier.settings import RouteRule, Settings


def faults(settings: Settings) -> list[str]:
    """Everything that contradicts itself in these settings, all at once."""
    return [fault for rule in RULES for fault in rule(settings)]


def _drain_faults(settings: Settings) -> Iterator[str]:
    needed = settings.drain.request_timeout + settings.drain.connect_timeout + settings.drain.slice
    if settings.drain.lease <= needed:
        yield (
            f"drain.lease: must be longer than request_timeout + connect_timeout + slice ({needed.total_seconds():g}s),"
            " or a living drain loses its claims; raise drain.lease or lower the others"
        )


def _pause_faults(settings: Settings) -> Iterator[str]:
    if settings.retry.cap < settings.retry.base:
        yield "retry.cap: the longest step must not be below retry.base, the first; raise retry.cap"
    if settings.breaker.cool_down_max < settings.breaker.cool_down:
        yield (
            "breaker.cool_down_max: the longest pause must not be below breaker.cool_down, the first;"
            " raise breaker.cool_down_max"
        )


def _inbox_faults(settings: Settings) -> Iterator[str]:
    if settings.inbox.max_age > settings.inbox.remember:
        yield (
            "inbox.max_age: must not be longer than inbox.remember, or a door forgets an event that still waits and"
            " takes its copy for new; raise inbox.remember"
        )


def _event_faults(settings: Settings) -> Iterator[str]:
    places = [
        ("events", settings.events),
        *((f"shops.{name}.events", shop.events) for name, shop in settings.shops.items()),
    ]
    for place, rules in places:
        for event in rules:
            if event not in EVENT_KINDS:
                yield f"{place}.{event}: no such event; the known ones are {', '.join(EVENT_KINDS)}"


def _route_faults(settings: Settings) -> Iterator[str]:
    for name, shop in settings.shops.items():
        for number, route in enumerate(shop.routes):
            place = f"shops.{name}.routes.{number}"
            for pattern in route.events:
                if not any(_fits(pattern, event) for event in EVENT_KINDS):
                    yield f"{place}.events: {pattern} fits no event; the known ones are {', '.join(EVENT_KINDS)}"
            for channel, sender in _named(route):
                if sender not in settings.senders:
                    known = ", ".join(settings.senders) or "none yet"
                    remedy = f"add [senders.{sender}] or choose one of {known}"
                    yield f"{place}.{channel}: no sender named {sender}; {remedy}"
                elif settings.senders[sender].channel != channel:
                    yield f"{place}.{channel}: sender {sender} is a {settings.senders[sender].channel} sender"


def _fits(pattern: str, event: str) -> bool:
    return pattern == event or (pattern.endswith("*") and event.startswith(pattern[:-1]))


def _named(route: RouteRule) -> list[tuple[str, str]]:
    return [(channel, sender) for channel, sender in (("whatsapp", route.whatsapp), ("sms", route.sms)) if sender]


def _sender_faults(settings: Settings) -> Iterator[str]:
    names: dict[str, str] = {}
    for name, sender in settings.senders.items():
        key = folded(name)
        if key in names:
            yield f"senders.{name}: its secrets are named like those of {names[key]}; rename one of the two"
        names[key] = name
        if sender.provider not in ADAPTERS:
            yield f"senders.{name}.provider: no provider is called {sender.provider}; there are {', '.join(ADAPTERS)}"
        if (sender.portfolio is None) != (sender.portfolio_tier is None):
            yield f"senders.{name}: portfolio and portfolio_tier limit only together; give both, or neither"


def _source_faults(settings: Settings) -> Iterator[str]:
    names: dict[str, str] = {}
    for shop_name, shop in settings.shops.items():
        for name, source in shop.sources.items():
            place = f"shops.{shop_name}.sources.{name}"
            key = f"{folded(shop_name)}_{folded(name)}"
            if key in names:
                yield f"{place}: its secret is named like that of {names[key]}; rename one of the two"
            names[key] = place
            if source.kind not in SOURCES:
                yield f"{place}.kind: no platform is called {source.kind}; there are {', '.join(SOURCES)}"
                continue
            for fault in option_faults(source.kind, source.options):
                yield f"{place}.options.{fault}"


def folded(name: str) -> str:
    """A name as it appears in the names of environment variables."""
    return re.sub(r"[^A-Za-z0-9]", "_", name).upper()


RULES = (_drain_faults, _inbox_faults, _pause_faults, _event_faults, _route_faults, _sender_faults, _source_faults)
