"""From settings to the rules of each shop."""

from __future__ import annotations

from datetime import time, timedelta
from typing import Any

import pytest

from notifier.events import EVENT_KINDS
from notifier.policy.quiet import Window
from notifier.policy.shop import Route
from notifier.settings import SettingsError
from notifier.shops import shop_rules
from tests.fixtures.runtime import CONFIG, make_settings, shipped_catalog


def rules(**nile: Any) -> Any:
    return shop_rules(make_settings(shops={"nile": nile}), shipped_catalog())["nile"]


def faults(**changes: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        shop_rules(make_settings(**changes), shipped_catalog())
    head, *lines = str(caught.value).splitlines()
    assert head == "the settings cannot be used:"
    return lines


def test_a_shop_is_what_its_section_says() -> None:
    found = rules(quiet_hours="21:00-08:00", timezone="Asia/Dubai", channels=["sms", "whatsapp"])
    assert (found.name, found.display_name, found.default_locale, found.default_country) == (
        "nile",
        "Nile Books",
        "ar",
        "EG",
    )
    assert (found.channels, found.timezone) == (("sms", "whatsapp"), "Asia/Dubai")
    assert found.quiet_hours == Window(time(21), time(8))
    assert rules().quiet_hours is None


def test_a_route_names_the_senders_it_has() -> None:
    routes = [{"countries": ["SA"], "events": ["order.*"], "whatsapp": "nile-wa"}, {"sms": "nile-sms"}, {}]
    assert rules(routes=routes).routes == (
        Route({"whatsapp": "nile-wa"}, ("SA",), ("order.*",)),
        Route({"sms": "nile-sms"}),
        Route({}),
    )


def test_what_a_shop_says_about_an_event_goes_over_what_is_said_for_all_key_by_key() -> None:
    common = {
        "order.created": {"template": "order_created", "shelf_life": "1h", "priority": "bulk"},
        "order.shipped": {"template": "order_shipped", "enabled": False},
    }
    own = {"order.created": {"shelf_life": "2h"}, "order.shipped": {"enabled": True, "priority": "urgent"}}
    found = shop_rules(make_settings(events=common, shops={"nile": {"events": own}}), shipped_catalog())["nile"]

    assert found.templates["order.created"] == "order_created"
    assert found.shelf_lives == {"order.created": timedelta(hours=2)}
    assert found.priorities == {"order.created": 2, "order.shipped": 0}
    assert found.disabled == frozenset()


def test_an_event_that_is_switched_off_for_all_is_off_for_each() -> None:
    found = shop_rules(make_settings(events={"order.created": {"enabled": False}}), shipped_catalog())["nile"]
    assert found.disabled == {"order.created"}
    assert set(found.templates) <= set(EVENT_KINDS)


def test_a_template_that_does_not_exist_is_named_with_those_that_do() -> None:
    said = faults(
        events={"order.created": {"template": "no_such"}},
        shops={"nile": {"events": {"order.shipped": {"template": "nor_this"}}}},
    )
    known = ", ".join(sorted(shipped_catalog().templates))
    assert said == [
        f'events."order.created".template: no template named no_such in {CONFIG}/templates; known: {known}',
        f'shops.nile.events."order.shipped".template: no template named nor_this in {CONFIG}/templates; known: {known}',
    ]


def late_enough() -> float:
    """Seconds of the longest time-to-live, and the buffer."""
    longest = max(template.ttl for template in shipped_catalog().templates.values() if template.ttl)
    return longest.total_seconds() + 60


@pytest.mark.parametrize(
    ("place", "changes"),
    [
        ("fallback.silence_after", {"fallback": {"silence_after": "30s"}}),
        ("senders.nile-wa.silence_after", {"senders": {"nile-wa": {"silence_after": "30s"}}}),
    ],
)
def test_a_fallback_before_the_time_to_live_is_refused_for_each_template(place: str, changes: dict[str, Any]) -> None:
    said = faults(**changes)
    with_ttl = [template.name for template in shipped_catalog().templates.values() if template.ttl]
    assert [line.partition(")")[0] for line in said] == [f"{place} (template {name}" for name in with_ttl]
    assert said[0].endswith(", lower the template's ttl, or say allow_double = true")


def test_a_fallback_at_the_edge_is_taken_and_one_before_it_when_doubles_are_welcome() -> None:
    edge = late_enough()
    shop_rules(make_settings(fallback={"silence_after": edge}), shipped_catalog())
    shop_rules(make_settings(fallback={"silence_after": 30, "allow_double": True}), shipped_catalog())
    assert faults(fallback={"silence_after": edge - 1}) != []


def test_the_silence_of_an_sms_sender_has_no_time_to_live_to_wait_for() -> None:
    soon = {"silence_after": "30s"}
    assert shop_rules(make_settings(senders={"nile-sms": soon}), shipped_catalog())
    assert faults(senders={"nile-wa": soon}) != []


def test_all_faults_are_told_at_once() -> None:
    said = faults(events={"order.created": {"template": "no_such"}}, fallback={"silence_after": "30s"})
    assert said[0].startswith('events."order.created".template: ')
    assert said[1].startswith("fallback.silence_after (template ")
