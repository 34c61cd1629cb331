"""Magento look-ups: orders by id and by number, the tracks that an order does not hold, and all that changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from notifier.lookups.contract import Answer, LookUpFailed
from notifier.lookups.magento import PAGE, PLATFORM
from notifier.sources.contract import LookUp
from tests.unit.lookups.talking import hold, shop, told

SHOP = shop("adobe_io", locales={"1": "ar"})
ORDER: dict[str, Any] = {
    "entity_id": 3,
    "increment_id": "000000003",
    "state": "processing",
    "status": "processing",
    "store_id": 1,
    "created_at": "2026-11-05 09:00:00",
    "updated_at": "2026-11-05 10:00:00",
    "order_currency_code": "EGP",
    "grand_total": 450,
    "billing_address": {"telephone": "+201001234567", "country_id": "EG", "firstname": "Mona"},
}
SHIPMENTS = {
    "items": [
        {
            "entity_id": 9,
            "order_id": 3,
            "created_at": "2026-11-05 10:00:00",
            "tracks": [{"track_number": "AX1", "title": "Aramex", "carrier_code": "custom"}],
        }
    ],
    "total_count": 1,
}


def test_the_token_is_a_bearer() -> None:
    assert PLATFORM.headers({"token": "t"}) == {"Authorization": "Bearer t"}


def test_an_order_that_asked_for_itself_is_told_by_its_state() -> None:
    asked, parsed = hold("magento", LookUp("3", "order"), SHOP, [ORDER])
    assert [ask.path for ask in asked] == ["/rest/V1/orders/3"]
    assert told(parsed) == [("order.processing", "3", "+201001234567")]
    assert parsed.needs_order == ()


def test_an_increment_id_is_searched_for() -> None:
    asked, parsed = hold("magento", LookUp("000000003", "order"), SHOP, [{"items": [ORDER]}])
    assert asked[0].path == "/rest/V1/orders"
    assert asked[0].given("searchCriteria[filter_groups][0][filters][0][field]") == "increment_id"
    assert asked[0].given("searchCriteria[filter_groups][0][filters][0][value]") == "000000003"
    assert told(parsed) == [("order.processing", "3", "+201001234567")]
    with pytest.raises(LookUpFailed, match="no order has that number"):
        hold("magento", LookUp("000000003", "order"), SHOP, [{"items": [], "total_count": 0}])


@pytest.mark.parametrize("hint", ["shipment", "track"])
def test_a_shipment_is_told_with_its_track_and_the_orders_phone(hint: str) -> None:
    asked, parsed = hold("magento", LookUp("3", hint), SHOP, [ORDER, SHIPMENTS])
    assert [ask.path for ask in asked] == ["/rest/V1/orders/3", "/rest/V1/shipments"]
    [draft] = parsed.events
    assert (draft.event.key, draft.joins) == ("nile|3|order.shipped|9|", False)
    assert draft.event.shipment is not None and draft.event.shipment.tracking_number == "AX1"
    assert (draft.event.customer.phone, draft.event.customer.locale) == ("+201001234567", "ar")


def test_what_else_belongs_to_an_order_asks_for_its_facts_only() -> None:
    _, parsed = hold("magento", LookUp("3", "invoice"), SHOP, [ORDER])
    assert (parsed.events, [facts.phone for facts in parsed.orders]) == ((), ["+201001234567"])


def test_all_that_changed_is_orders_and_then_what_belongs_to_them() -> None:
    asks = PLATFORM.changed(datetime(2026, 11, 5, 8, tzinfo=UTC))
    assert [ask.path.rpartition("/")[2] for ask in asks] == ["orders", "invoices", "shipments", "creditmemos"]
    assert {ask.given("searchCriteria[filter_groups][0][filters][0][value]") for ask in asks} == {"2026-11-05 08:00:00"}


def test_the_count_says_when_to_stop_for_magento_repeats_its_last_page() -> None:
    orders = PLATFORM.changed(datetime(2026, 11, 5, 8, tzinfo=UTC))[0]
    _, second = PLATFORM.page(orders, Answer({"items": [ORDER], "total_count": PAGE + 1}), SHOP)
    assert second is not None and second.given("searchCriteria[currentPage]") == "2"
    assert PLATFORM.page(second, Answer({"items": [ORDER], "total_count": PAGE + 1}), SHOP)[1] is None
    assert PLATFORM.page(orders, Answer({"items": None, "total_count": 0}), SHOP)[1] is None


def test_shipments_of_a_page_are_joined_with_the_order_book() -> None:
    shipments = PLATFORM.changed(datetime(2026, 11, 5, 8, tzinfo=UTC))[2]
    parsed, following = PLATFORM.page(shipments, Answer(SHIPMENTS), SHOP)
    assert ([one.joins for one in parsed.events], following) == ([True], None)
