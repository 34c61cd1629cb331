"""WooCommerce look-ups: the order as the webhook would have brought it, and all that changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from notifier.lookups.contract import Answer, Ask
from notifier.lookups.woocommerce import PAGE, PLATFORM
from notifier.sources.contract import LookUp
from tests.unit.lookups.talking import hold, shop, told

SHOP = shop("woocommerce")
ORDER: dict[str, Any] = {
    "id": 727,
    "number": "727",
    "status": "completed",
    "currency": "EGP",
    "total": "450.00",
    "date_created_gmt": "2026-11-05T09:00:00",
    "date_modified_gmt": "2026-11-05T10:00:00",
    "billing": {"first_name": "Mona", "phone": "0100 123 4567", "country": "EG"},
}


def test_key_and_secret_go_by_basic() -> None:
    assert PLATFORM.headers({"key": "ck_1", "secret": "cs_1"}) == {"Authorization": "Basic Y2tfMTpjc18x"}


def test_the_order_of_an_action_is_told_by_its_status() -> None:
    asked, parsed = hold("woocommerce", LookUp("727", "woocommerce_order_status_completed"), SHOP, [ORDER])
    assert asked == [Ask("/wp-json/wc/v3/orders/727")]
    assert told(parsed) == [("order.shipped", "727", "0100 123 4567")]
    assert parsed.events[0].unless is not None


def test_the_instant_is_asked_in_utc_and_the_oldest_change_first() -> None:
    [ask] = PLATFORM.changed(datetime(2026, 11, 5, 11, tzinfo=timezone(timedelta(hours=3))))
    assert dict(ask.query) == {
        "modified_after": "2026-11-05T08:00:00",
        "dates_are_gmt": "true",
        "orderby": "modified",
        "order": "asc",
        "per_page": str(PAGE),
        "page": "1",
    }


def test_a_full_page_has_a_next_one_and_a_shorter_is_the_last() -> None:
    [first] = PLATFORM.changed(datetime(2026, 11, 5, 8, tzinfo=UTC))
    parsed, second = PLATFORM.page(first, Answer([{**ORDER, "id": n} for n in range(1, PAGE + 1)]), SHOP)
    assert len(parsed.orders) == PAGE
    assert second is not None and second.given("page") == "2" and second.given("order") == "asc"
    assert PLATFORM.page(second, Answer([ORDER]), SHOP)[1] is None
