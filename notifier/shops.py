"""From settings to the rules of each shop: plain values that plan and fallback read.

What a shop says about an event goes over what `[events]` says, and that over the event's own defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from notifier.catalog import Catalog
from notifier.events import EVENT_KINDS, Priority
from notifier.policy.fallback import EarlyFallback, refuse_early_fallback
from notifier.policy.quiet import Window
from notifier.policy.shop import Route, ShopRules
from notifier.settings import EventRule, RouteRule, Settings, SettingsError, ShopSettings


def shop_rules(settings: Settings, catalog: Catalog) -> dict[str, ShopRules]:
    """The rules of every shop. Raises SettingsError with every fault: templates that do not exist, early fallback."""
    faults = [*_template_faults(settings, catalog), *_fallback_faults(settings, catalog)]
    if faults:
        raise SettingsError("the settings cannot be used:\n" + "\n".join(faults))
    return {name: _rules(name, shop, settings.events) for name, shop in settings.shops.items()}


def _rules(name: str, shop: ShopSettings, common: Mapping[str, EventRule]) -> ShopRules:
    merged = {event: _merged(common.get(event), shop.events.get(event)) for event in EVENT_KINDS}
    return ShopRules(
        name=name,
        display_name=shop.display_name,
        default_locale=shop.default_locale,
        default_country=shop.country,
        channels=shop.channels,
        routes=tuple(_route(route) for route in shop.routes),
        templates={event: rule.template for event, rule in merged.items() if rule.template},
        timezone=shop.timezone,
        quiet_hours=Window(*shop.quiet_hours) if shop.quiet_hours else None,
        disabled=frozenset(event for event, rule in merged.items() if not rule.enabled),
        shelf_lives={event: rule.shelf_life for event, rule in merged.items() if rule.shelf_life},
        priorities={event: int(Priority[rule.priority.upper()]) for event, rule in merged.items() if rule.priority},
    )


def _merged(common: EventRule | None, own: EventRule | None) -> EventRule:
    said = [rule.model_dump(exclude_unset=True) for rule in (common, own) if rule]
    return EventRule(**{key: value for rule in said for key, value in rule.items()})


def _route(route: RouteRule) -> Route:
    lanes = {"whatsapp": route.whatsapp, "sms": route.sms}
    return Route(
        lanes={channel: lane for channel, lane in lanes.items() if lane},
        countries=route.countries,
        events=route.events,
    )


def _template_faults(settings: Settings, catalog: Catalog) -> list[str]:
    places = {"events": settings.events} | {
        f"shops.{name}.events": shop.events for name, shop in settings.shops.items()
    }
    where, known = f"in {settings.config_dir}/templates", ", ".join(sorted(catalog.templates))
    return [
        f'{place}."{event}".template: no template named {rule.template} {where}; known: {known}'
        for place, rules in places.items()
        for event, rule in rules.items()
        if rule.template and rule.template not in catalog.templates
    ]


def _fallback_faults(settings: Settings, catalog: Catalog) -> list[str]:
    """`silence_after` below a template's time-to-live is a second message for everybody whose phone was off."""
    fallback = settings.fallback
    places: dict[str, timedelta | None] = {"fallback.silence_after": fallback.silence_after}
    for name, sender in settings.senders.items():
        if sender.channel == "whatsapp":
            places[f"senders.{name}.silence_after"] = sender.silence_after
    faults = []
    for place, silence in places.items():
        for template in catalog.templates.values():
            if template.ttl is None:
                continue
            try:
                refuse_early_fallback(
                    f"{place} (template {template.name})",
                    template.ttl,
                    fallback.buffer,
                    silence,
                    allow_double=fallback.allow_double,
                )
            except EarlyFallback as error:
                faults.append(str(error))
    return faults
