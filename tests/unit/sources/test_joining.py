"""What is known of an order, and what an event makes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.events import OrderEvent, parse_event
from notifier.sources.contract import Draft, OrderFacts, Unless
from notifier.sources.joining import Waiting, complete, fill, is_news, merge

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
KNOWN = OrderFacts(
    order_id="5001",
    order_number="#1001",
    phone="0100 123 4567",
    country="EG",
    locale="ar",
    name="Mona",
    currency="EGP",
    total=Decimal("450.00"),
    status="processing",
    payment_method="cod",
    refund_ids=("91",),
    shipment_ids=("61/T1",),
    links={"order_status": "https://shop.example/s"},
    consent={"granted": True, "source": "shopify:checkout"},
    changed_at=NOON,
)
PARTIAL = OrderFacts("5001", partial=True, phone="0100 765 4321", name="Omar")


def an_event(event: str = "shipment.out_for_delivery", **more: Any) -> OrderEvent:
    return parse_event({"shop": "nile", "event": event, "order_id": "5001", **more})


def test_the_first_body_is_what_is_known() -> None:
    assert merge(None, KNOWN) is KNOWN


def test_a_newer_body_goes_over_what_is_known_and_its_holes_do_not() -> None:
    told = OrderFacts("5001", phone="0155 000 0000", status="completed", changed_at=LATER)
    merged = merge(KNOWN, told)

    assert (merged.phone, merged.status, merged.changed_at) == ("0155 000 0000", "completed", LATER)
    assert (merged.locale, merged.total, merged.links) == ("ar", Decimal("450.00"), KNOWN.links)


@pytest.mark.parametrize(
    "told",
    [
        OrderFacts("5001", phone="0155 000 0000", status="pending", changed_at=NOON - timedelta(seconds=1)),
        OrderFacts("5001", phone="0155 000 0000", status="pending", partial=True),
    ],
    ids=["older", "partial"],
)
def test_an_older_or_partial_body_only_fills_gaps(told: OrderFacts) -> None:
    merged = merge(replace(KNOWN, name=None), replace(told, name="Ali"))

    assert merged == replace(KNOWN, name="Ali")


def test_the_orders_own_body_goes_over_a_partial_one() -> None:
    merged = merge(PARTIAL, replace(KNOWN, name=None))

    assert (merged.partial, merged.phone, merged.name) == (False, "0100 123 4567", "Omar")


def test_refunds_and_shipments_add_up_in_their_order() -> None:
    merged = merge(KNOWN, replace(KNOWN, refund_ids=("92", "91"), shipment_ids=("61/T2",)))

    assert (merged.refund_ids, merged.shipment_ids) == (("91", "92"), ("61/T1", "61/T2"))


FACTS = st.builds(
    OrderFacts,
    order_id=st.just("5001"),
    partial=st.booleans(),
    phone=st.sampled_from([None, "1", "2"]),
    status=st.sampled_from([None, "a", "b"]),
    refund_ids=st.lists(st.sampled_from(["x", "y"]), unique=True).map(tuple),
    changed_at=st.sampled_from([None, NOON, LATER]),
)


@given(FACTS, FACTS)
def test_the_same_body_twice_changes_nothing(known: OrderFacts, told: OrderFacts) -> None:
    once = merge(known, told)

    assert merge(once, told) == once


@given(FACTS, FACTS)
def test_nothing_that_was_known_is_lost(known: OrderFacts, told: OrderFacts) -> None:
    merged = merge(known, told)

    assert merged.phone is not None or known.phone is told.phone is None
    assert set(merged.refund_ids) == {*known.refund_ids, *told.refund_ids}
    assert merged.partial is (known.partial and told.partial)


STATUS, OLD_STATUS = Unless("status", "processing"), Unless("status", "processing", known_only=True)
REFUND, SHIPMENT = Unless("refund", "91"), Unless("shipment", "61/T1")


@pytest.mark.parametrize(
    ("unless", "known", "changed_at", "news"),
    [
        (None, KNOWN, NOON, True),
        (STATUS, None, NOON, True),
        (OLD_STATUS, None, NOON, False),
        (OLD_STATUS, PARTIAL, NOON, False),
        (STATUS, PARTIAL, NOON, True),
        (STATUS, KNOWN, LATER, False),
        (Unless("status", "completed"), KNOWN, LATER, True),
        (Unless("status", "completed"), KNOWN, None, True),
        (Unless("status", "completed"), KNOWN, NOON - timedelta(seconds=1), False),
        (REFUND, KNOWN, LATER, False),
        (Unless("refund", "92"), KNOWN, NOON - timedelta(days=1), True),
        (SHIPMENT, KNOWN, LATER, False),
        (SHIPMENT, replace(PARTIAL, shipment_ids=("61/T1",)), LATER, False),
        (Unless("shipment", "61/T2"), KNOWN, LATER, True),
    ],
)
def test_news_is_what_the_order_book_does_not_have(
    unless: Unless | None, known: OrderFacts | None, changed_at: datetime | None, news: bool
) -> None:
    assert is_news(Draft(an_event(), unless=unless), known, changed_at) is news


@pytest.mark.parametrize("known", [None, PARTIAL])
def test_an_event_waits_for_its_orders_own_body(known: OrderFacts | None) -> None:
    event = an_event()

    assert complete(event, known) == Waiting(event)


def test_an_event_is_completed_with_all_that_is_known() -> None:
    event = complete(an_event(customer={"phone": "0111"}, links={"tracking": "https://t.example"}), KNOWN)

    assert isinstance(event, OrderEvent)
    assert event.order_number == "#1001"
    assert (event.customer.phone, event.customer.country, event.customer.locale) == ("0100 123 4567", "EG", "ar")
    assert event.customer.consent is not None
    assert (event.order.total, event.order.currency, event.order.payment_method) == (Decimal("450.00"), "EGP", "cod")
    assert (event.links.order_status, event.links.tracking) == ("https://shop.example/s", "https://t.example")


def test_what_an_event_says_of_itself_stays() -> None:
    said: dict[str, Any] = {
        "order": {"total": "1.00", "currency": "USD"},
        "links": {"order_status": "https://own.example"},
        "customer": {"consent": {"granted": False}},
    }
    event = fill(an_event(**said), KNOWN)

    assert (event.order.total, event.links.order_status) == (Decimal("1.00"), "https://own.example")
    assert event.customer.consent is not None
    assert not event.customer.consent.granted


def test_an_event_whose_time_is_over_takes_the_little_that_there_is() -> None:
    assert fill(an_event(), None) == an_event()
    assert fill(an_event(), PARTIAL).customer.phone == "0100 765 4321"


@pytest.mark.parametrize(
    ("amount", "currency", "event"),
    [
        ("449.99", "EGP", "order.partially_refunded"),
        ("450.00", "EGP", "order.refunded"),
        ("451.00", "EGP", "order.refunded"),
        ("5.00", "USD", "order.refunded"),
    ],
)
def test_a_refund_below_the_total_is_a_part_of_it(amount: str, currency: str, event: str) -> None:
    refund = an_event("order.refunded", refund={"amount": amount, "currency": currency})

    assert fill(refund, KNOWN).event == event


def test_a_refund_of_an_unknown_total_stays_a_refund() -> None:
    refund = an_event("order.refunded", refund={"amount": "1.00", "currency": "EGP"})

    assert fill(refund, replace(KNOWN, total=None)).event == "order.refunded"
    assert fill(an_event("order.refunded"), KNOWN).event == "order.refunded"
