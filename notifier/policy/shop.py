"""A shop's rules as plain values: what the settings are turned into, and what plan and fallback read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from notifier.policy.quiet import Window

ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Route:
    """lanes: channel -> sender. countries: ISO codes or "*". events: names, a prefix such as "shipment.*", or "*"."""

    lanes: Mapping[str, str]
    countries: tuple[str, ...] = (ANY,)
    events: tuple[str, ...] = (ANY,)

    def fits(self, country: str | None, event: str) -> bool:
        """Whether this route carries the event to the country; None (not known) fits only "*"."""
        if ANY not in self.countries and country not in self.countries:
            return False
        return any(name == event or (name.endswith(ANY) and event.startswith(name[:-1])) for name in self.events)


def find_route(routes: Sequence[Route], country: str | None, event: str) -> Route | None:
    """The first route that fits, or None."""
    return next((route for route in routes if route.fits(country, event)), None)


@dataclass(frozen=True, slots=True)
class ShopRules:
    """What one shop wants.

    channels: in the order they are tried. templates: event -> template name. disabled: events nobody is told of.
    timezone: one zone for every customer; None: the recipient's own. shelf_lives, priorities: over the event's own.
    """

    name: str
    display_name: str
    default_locale: str
    default_country: str
    channels: tuple[str, ...]
    routes: tuple[Route, ...]
    templates: Mapping[str, str]
    timezone: str | None = None
    quiet_hours: Window | None = None
    disabled: frozenset[str] = frozenset()
    shelf_lives: Mapping[str, timedelta] = field(default_factory=dict)
    priorities: Mapping[str, int] = field(default_factory=dict)


def lane_for(rules: ShopRules, country: str | None, event: str, channel: str) -> str | None:
    """The sender that carries this event to this country over this channel, or None."""
    route = find_route(rules.routes, country, event)
    return route.lanes.get(channel) if route else None


def lanes_of(shop: ShopRules) -> frozenset[str]:
    """Every sender that some route of the shop names."""
    return frozenset(lane for route in shop.routes for lane in route.lanes.values())
