from __future__ import annotations

from dataclasses import replace

import pytest

from notifier.policy.shop import Route, ShopRules, find_route, lane_for

EGYPT = Route({"whatsapp": "nile-wa", "sms": "nile-sms"}, countries=("EG",))
PARCELS = Route({"whatsapp": "parcels-wa"}, countries=("SA", "AE"), events=("shipment.*", "order.shipped"))
REST = Route({"sms": "rest-sms"})
RULES = ShopRules("nile", "Nile", "ar", "EG", ("whatsapp", "sms"), (EGYPT, PARCELS, REST), {})


@pytest.mark.parametrize(
    ("country", "event", "route"),
    [
        ("EG", "order.created", EGYPT),
        ("SA", "shipment.delayed", PARCELS),
        ("AE", "order.shipped", PARCELS),
        ("SA", "order.created", REST),
        ("SA", "order.shipped_back", REST),
        ("GB", "shipment.delayed", REST),
        (None, "order.created", REST),
    ],
)
def test_the_first_route_that_fits_country_and_event_is_taken(country: str | None, event: str, route: Route) -> None:
    assert find_route(RULES.routes, country, event) is route


@pytest.mark.parametrize(
    ("country", "channel", "lane"),
    [("EG", "whatsapp", "nile-wa"), ("EG", "sms", "nile-sms"), ("EG", "email", None), ("GB", "whatsapp", None)],
)
def test_the_lane_is_the_routes_sender_for_the_channel(country: str, channel: str, lane: str | None) -> None:
    """A route that lacks the channel ends the search: the operator said who serves this country."""
    assert lane_for(RULES, country, "order.created", channel) == lane


def test_without_a_route_there_is_no_lane() -> None:
    assert lane_for(replace(RULES, routes=(EGYPT,)), "SA", "order.created", "sms") is None
