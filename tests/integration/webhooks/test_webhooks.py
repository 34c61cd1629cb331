"""Raw bodies become events in the inbox and what is known of orders, on a real ledger and a real Redis."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from notifier.inbox import Inbox, InboxFull
from notifier.intake import take_in
from notifier.ledger import orders, plans
from notifier.replay import feed_again
from notifier.runtime import Runtime
from notifier.streams import Item
from notifier.webhook_stream import Webhook
from notifier.webhooks import WebhookReport, take_webhooks
from tests.fixtures.ledger import NOW
from tests.integration.movements.incoming import reader_of as inbox_reader
from tests.integration.movements.incoming import rows
from tests.integration.webhooks.platforms import (
    E164,
    arrive,
    at,
    keys_in_inbox,
    shopify,
    shopify_order,
    shopify_progress,
    take,
    waiting_in_inbox,
    woo,
    woo_order,
)


def known(runtime: Runtime, order_id: str) -> Any:
    with runtime.ledger.read() as conn:
        return orders.known_orders(conn, [("nile", order_id)])["nile", order_id]


def test_an_order_is_told_and_known(runtime: Runtime) -> None:
    report = take(runtime, shopify("orders/create", shopify_order()))

    assert (report.bodies, report.events, report.quarantined) == (1, 1, 0)
    [event] = waiting_in_inbox(runtime)
    assert event == {
        "shop": "nile",
        "event": "order.created",
        "order_id": "5001",
        "order_number": "#1001",
        "occurred_at": "2026-03-01T12:00:00Z",
        "customer": {
            "phone": "0100 123 4567",
            "country": "EG",
            "locale": "en",
            "name": "Mona",
            "consent": {"granted": True, "source": "shopify:checkout", "at": "2026-03-01T12:00:00Z"},
        },
        "order": {"total": "450.00", "currency": "EGP", "payment_method": "visa"},
    }
    assert known(runtime, "5001").order_number == "#1001"


def test_what_came_by_a_webhook_is_planned_for_the_phone_in_it(runtime: Runtime) -> None:
    take(runtime, shopify("orders/create", shopify_order()))
    reader = inbox_reader(runtime)

    take_in(runtime, reader, reader.read(10, None))

    assert rows(runtime.ledger, "notification", "event", "phone", "locale", "state") == [
        ("order.created", E164, "en", "active")
    ]
    assert rows(runtime.ledger, "order_event", "door") == [("http:shopify",)]


def test_a_carriers_step_gets_phone_and_number_from_the_order_book(runtime: Runtime) -> None:
    take(runtime, shopify("orders/create", shopify_order()))
    take(runtime, shopify("fulfillment_events/create", shopify_progress()))

    _, event = waiting_in_inbox(runtime)
    assert (event["event"], event["order_number"]) == ("shipment.out_for_delivery", "#1001")
    assert event["customer"]["phone"] == "0100 123 4567"
    assert event["customer"]["consent"]["granted"] is True


def test_order_and_step_in_one_batch_are_joined_at_once(runtime: Runtime) -> None:
    bodies = shopify("orders/updated", shopify_order()), shopify("fulfillment_events/create", shopify_progress())

    report = take(runtime, *bodies)

    assert (report.events, report.waiting) == (1, 0)
    assert waiting_in_inbox(runtime)[0]["customer"]["locale"] == "en"


def test_a_step_whose_order_nobody_knows_waits(runtime: Runtime) -> None:
    report = take(runtime, shopify("fulfillment_events/create", shopify_progress()))

    assert (report.events, report.waiting) == (0, 1)
    assert keys_in_inbox(runtime) == []
    [(key, until)] = rows(runtime.ledger, "waiting_event", "key", "until")
    assert key == "nile|5001|shipment.out_for_delivery|61|2026-03-01"
    assert until == int((NOW + timedelta(minutes=10)).timestamp() * 1_000_000)


def test_a_waiting_event_that_is_sent_again_waits_once(runtime: Runtime) -> None:
    for _ in range(2):
        take(runtime, shopify("fulfillment_events/create", shopify_progress()))

    assert len(rows(runtime.ledger, "waiting_event", "key")) == 1


def test_a_small_refund_is_a_partial_one_when_the_total_is_known(runtime: Runtime) -> None:
    moved = [{"kind": "refund", "status": "success", "amount": "50.00", "currency": "EGP"}]
    refund = {"id": 81, "order_id": 5001, "processed_at": at(9), "transactions": moved}
    take(runtime, shopify("orders/create", shopify_order()), shopify("refunds/create", refund))

    assert keys_in_inbox(runtime)[1] == "nile|5001|order.partially_refunded||81"


def test_a_state_that_is_told_twice_is_news_once(runtime: Runtime) -> None:
    take(runtime, woo("order.created", woo_order()))
    report = take(runtime, woo("order.updated", woo_order(date_modified_gmt="2026-03-01T12:03:00")))

    assert (report.events, report.unchanged) == (0, 1)
    assert keys_in_inbox(runtime) == ["nile|727|order.confirmed||"]


def test_a_new_refund_of_an_order_is_told_and_the_old_one_is_not(runtime: Runtime) -> None:
    first, second = {"id": 91, "total": "-10.00"}, {"id": 92, "total": "-20.00"}
    for refunds in ([], [first], [first], [first, second]):
        take(runtime, woo("order.updated", woo_order(refunds=refunds)))

    assert keys_in_inbox(runtime) == [
        "nile|727|order.confirmed||",
        "nile|727|order.partially_refunded||91",
        "nile|727|order.partially_refunded||92",
    ]


def test_an_older_body_that_comes_late_neither_tells_nor_takes_back(runtime: Runtime) -> None:
    take(runtime, woo("order.updated", woo_order(status="completed", date_modified_gmt="2026-03-01T12:30:00")))
    report = take(runtime, woo("order.updated", woo_order(status="on-hold")))

    assert (report.events, report.unchanged) == (0, 1)
    assert known(runtime, "727").status == "completed"


def test_a_shipment_is_told_once_whichever_topics_speak_of_it(runtime: Runtime) -> None:
    parcel = {"id": 61, "order_id": 5001, "status": "success", "tracking_number": "T1", "created_at": at(2)}
    order = shopify_order(fulfillments=[parcel], updated_at=at(2))
    take(runtime, shopify("orders/create", shopify_order()))

    take(runtime, shopify("orders/partially_fulfilled", order))
    take(runtime, shopify("fulfillments/create", parcel), shopify("orders/fulfilled", order))

    assert keys_in_inbox(runtime)[1:] == ["nile|5001|order.partially_shipped|61|T1"]


def test_a_tracking_number_that_was_added_later_is_news(runtime: Runtime) -> None:
    parcel = {"id": 61, "order_id": 5001, "status": "success", "tracking_number": None, "created_at": at(2)}
    take(runtime, shopify("orders/create", shopify_order()), shopify("fulfillments/create", parcel))
    take(runtime, shopify("fulfillments/update", {**parcel, "tracking_number": "T1"}))
    take(runtime, shopify("fulfillments/update", {**parcel, "tracking_number": "T1", "updated_at": at(4)}))

    assert keys_in_inbox(runtime)[1:] == ["nile|5001|order.shipped|61|", "nile|5001|order.shipped|61|T1"]


def test_a_batch_that_is_read_again_after_a_crash_tells_everything_once(runtime: Runtime) -> None:
    items = arrive(runtime, shopify("orders/create", shopify_order()), woo("order.created", woo_order()))

    for _ in range(2):  # the first reader died before it could acknowledge
        take_webhooks(runtime, items, NOW)

    assert keys_in_inbox(runtime) == ["nile|5001|order.created||", "nile|727|order.confirmed||"]


def test_a_reader_that_dies_between_inbox_and_book_loses_nothing(runtime: Runtime) -> None:
    items = arrive(runtime, woo("order.created", woo_order()))

    class DiesAfter(Inbox):
        def append(self, entries: Any) -> Any:
            super().append(entries)
            raise InboxFull.of("inbox", 1, 1)  # as good as any end at this place: nothing may be acknowledged

    broken = replace(runtime, inbox=DiesAfter(runtime.redis, prefix=runtime.settings.key_prefix))
    with pytest.raises(InboxFull):
        take_webhooks(broken, items, NOW)
    report = take_webhooks(runtime, items, NOW)

    assert report.events == 1
    assert keys_in_inbox(runtime) == ["nile|727|order.confirmed||"]


@pytest.mark.parametrize(
    ("webhook", "reason", "detail"),
    [
        (Webhook("nile", "shopify", {"x-shopify-topic": "orders/create"}, b"[]"), "invalid", "expected a JSON object"),
        (Webhook("nile", "shopify", {}, b"{}"), "invalid", "got no topic"),
        (Webhook("nile", "gone", {}, b"{}"), "unknown_source", "[shops.nile.sources.gone]"),
        (woo("action.woocommerce_order_status_completed", {"arg": 7}), "needs_look_up", "order_status_completed"),
        (shopify("customers/data_request", {"orders_requested": [5, 6]}), "data_request", "Orders: 5, 6"),
    ],
    ids=["no object", "no topic", "unknown source", "thin", "data request"],
)
def test_what_cannot_be_taken_through_waits_in_quarantine_and_holds_up_nobody(
    runtime: Runtime, webhook: Webhook, reason: str, detail: str
) -> None:
    report = take(runtime, webhook, woo("order.created", woo_order()))

    assert (report.events, report.quarantined) == (1, 1)
    [aside] = runtime.quarantine.list(10)
    assert aside.reason == reason
    assert detail in aside.detail
    assert aside.fields[b"body"] == webhook.body


def test_a_body_that_was_handed_out_too_often_is_poison(runtime: Runtime) -> None:
    [item] = arrive(runtime, woo("order.created", woo_order()))

    report = take_webhooks(runtime, [Item(item.id, item.fields, 4)], NOW)

    assert (report.events, report.quarantined) == (0, 1)
    assert runtime.quarantine.list(1)[0].reason == "poison"


def test_an_item_that_no_door_wrote_is_set_aside(runtime: Runtime) -> None:
    report = take_webhooks(runtime, [Item(b"1-0", {b"body": b"{}"}, 1)], NOW)

    assert report == WebhookReport(bodies=1, quarantined=1)


def test_marketing_consent_becomes_a_record_once(runtime: Runtime) -> None:
    said = {"state": "unsubscribed", "consent_updated_at": at(3)}
    body = {"phone": "+20 100 123 4567", "sms_marketing_consent": said}
    for _ in range(2):
        take(runtime, shopify("customers_marketing_consent/update", body))

    with runtime.ledger.read() as conn:
        [record] = plans.consents(conn, [("nile", E164)])
    assert (record.granted, record.channel, record.purpose) == (False, "sms", "marketing")
    assert record.at == NOW.replace(minute=3)


def test_a_redacted_customer_is_forgotten_with_everything_that_waits(runtime: Runtime) -> None:
    take(runtime, shopify("orders/updated", shopify_order()), shopify("orders/updated", shopify_order(5002)))
    take(runtime, shopify("fulfillment_events/create", shopify_progress(order_id=5003)))
    take(runtime, shopify("customers/redact", {"orders_to_redact": [5001, 5003], "customer": {}}))

    assert rows(runtime.ledger, "order_book", "order_id") == [("5002",)]
    assert rows(runtime.ledger, "waiting_event", "key") == []


def test_a_redacted_shop_is_forgotten_whole(runtime: Runtime) -> None:
    take(runtime, shopify("orders/updated", shopify_order()), woo("order.updated", woo_order()))
    take(runtime, shopify("shop/redact", {"shop_id": 1}))

    assert rows(runtime.ledger, "order_book", "order_id") == []


def test_a_webhook_that_was_set_aside_is_fed_again_when_its_source_is_there(runtime: Runtime) -> None:
    gone, broken = Webhook("nile", "gone", {}, b"{}"), shopify("orders/create", {})
    take(
        replace(runtime, settings=runtime.settings.model_copy(update={"shops": {}})), woo("order.created", woo_order())
    )
    take(runtime, gone, broken)

    fed = feed_again(runtime, runtime.quarantine.list(10))

    assert [one.problem and one.problem.split(";")[0] for one in fed] == [
        None,
        "there is still no [shops.nile.sources.gone] in the configuration",
        "/id: expected an id of at most 128 characters, got nothing",
    ]
    take(runtime)
    assert keys_in_inbox(runtime) == ["nile|727|order.confirmed||"]
    assert [one.reason for one in runtime.quarantine.list(10)] == ["unknown_source", "invalid"]
