"""Shopify look-ups: the order, the order of a fulfillment order, and all that changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from notifier.lookups.contract import Answer, Ask, LookUpFailed
from notifier.lookups.shopify import PLATFORM
from notifier.sources.contract import LookUp
from tests.unit.lookups.talking import hold, shop, told

SHOP = shop("shopify")
ORDER: dict[str, Any] = {
    "id": 5001,
    "name": "#1001",
    "phone": "+201001234567",
    "currency": "EGP",
    "total_price": "450.00",
    "financial_status": "paid",
    "created_at": "2026-11-05T09:00:00Z",
    "processed_at": "2026-11-05T09:00:05Z",
    "updated_at": "2026-11-05T10:00:00Z",
    "fulfillments": [{"id": 61, "status": "success", "tracking_number": "AX1", "created_at": "2026-11-05T10:00:00Z"}],
    "refunds": [
        {
            "id": 71,
            "created_at": "2026-11-05T10:00:00Z",
            "transactions": [{"kind": "refund", "status": "success", "amount": "450.00", "currency": "EGP"}],
        }
    ],
}


def test_the_token_is_in_shopifys_own_header() -> None:
    assert PLATFORM.headers({"token": "shpat_x"}) == {"X-Shopify-Access-Token": "shpat_x"}


def test_an_order_tells_every_webhook_that_its_state_must_have_caused() -> None:
    asked, parsed = hold("shopify", LookUp("5001", "orders/updated"), SHOP, [{"order": ORDER}])
    assert asked == [Ask("/admin/api/2026-10/orders/5001.json")]
    assert [event for event, _, _ in told(parsed)] == [
        "order.created",
        "payment.received",
        "order.shipped",
        "order.refunded",
    ]
    assert {order for _, order, _ in told(parsed)} == {"5001"}


def test_a_cancelled_order_is_not_created_again() -> None:
    cancelled = {**ORDER, "cancelled_at": "2026-11-05T11:00:00Z", "fulfillments": [], "refunds": []}
    _, parsed = hold("shopify", LookUp("5001", "x"), SHOP, [{"order": cancelled}])
    assert told(parsed) == [("order.cancelled", "5001", "+201001234567")]


def test_a_fulfillment_order_is_asked_for_its_order_and_told_with_its_phone() -> None:
    look_up = LookUp("gid://shopify/FulfillmentOrder/9", "x", "fulfillment_order", "order.ready_for_pickup")
    answers = [{"fulfillment_order": {"id": 9, "order_id": 5001}}, {"order": ORDER}]
    asked, parsed = hold("shopify", look_up, SHOP, answers)
    assert [ask.path.rpartition("2026-10")[2] for ask in asked] == ["/fulfillment_orders/9.json", "/orders/5001.json"]
    assert told(parsed) == [("order.ready_for_pickup", "5001", "+201001234567")]
    assert [facts.order_number for facts in parsed.orders] == ["#1001"]


@pytest.mark.parametrize("order_id", ["5001/..", "a b", "", "5001?x", "gid://shopify/FulfillmentOrder/"])
def test_an_id_that_could_lead_elsewhere_is_never_asked(order_id: str) -> None:
    with pytest.raises(LookUpFailed, match="not one that the platform gives"):
        hold("shopify", LookUp(order_id, "x"), SHOP, [])


@pytest.mark.parametrize("answer", [None, [], {}, {"order": []}, {"errors": "Not Found"}])
def test_an_answer_that_is_no_order_says_what_to_look_at(answer: Any) -> None:
    with pytest.raises(LookUpFailed, match="order is no object: is that the address") as caught:
        hold("shopify", LookUp("5001", "x"), SHOP, [answer])
    assert not caught.value.again


def test_pages_follow_the_cursor_and_never_the_link() -> None:
    [first] = PLATFORM.changed(datetime(2026, 11, 5, 8, tzinfo=UTC))
    assert first.given("updated_at_min") == "2026-11-05T08:00:00+00:00" and first.given("status") == "any"

    link = {"next": "https://evil.example/admin/api/2026-10/orders.json?limit=50&page_info=abc"}
    parsed, second = PLATFORM.page(first, Answer({"orders": [ORDER]}, link), SHOP)
    assert second == Ask("/admin/api/2026-10/orders.json", (("page_info", "abc"), ("limit", "50")))
    assert {facts.order_id for facts in parsed.orders} == {"5001"}
    assert PLATFORM.page(second, Answer({"orders": []}), SHOP)[1] is None


def test_an_order_that_cannot_be_read_holds_up_no_other() -> None:
    [first] = PLATFORM.changed(datetime(2026, 11, 5, 8, tzinfo=UTC))
    parsed, _ = PLATFORM.page(first, Answer({"orders": [{"name": "#1"}, ORDER]}), SHOP)
    assert parsed.ignored is not None and parsed.ignored.startswith("cannot be read: /id:")
    assert {order for _, order, _ in told(parsed)} == {"5001"}
