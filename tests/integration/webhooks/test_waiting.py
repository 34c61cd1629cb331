"""Events that wait for their order go on when it is known, or when their time is over; old orders are forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from notifier.inbox import Inbox
from notifier.intake import take_in
from notifier.ledger import Ledger
from notifier.runtime import Runtime
from notifier.sweeps import sweep
from notifier.webhooks import take_webhooks
from tests.fixtures.ledger import NOW
from tests.fixtures.runtime import Clock
from tests.integration.movements.incoming import reader_of as inbox_reader
from tests.integration.movements.incoming import rows
from tests.integration.webhooks.platforms import (
    arrive,
    at,
    keys_in_inbox,
    shopify,
    shopify_order,
    shopify_progress,
    take,
    waiting_in_inbox,
)

KEY = "nile|5001|shipment.out_for_delivery|61|2026-03-01"
WAIT = timedelta(minutes=10)


def wait(runtime: Runtime, **more: object) -> None:
    take(runtime, shopify("fulfillment_events/create", shopify_progress(**more)))  # type: ignore[arg-type]


def test_an_event_whose_order_turned_up_goes_on_with_all_that_is_known(runtime: Runtime) -> None:
    wait(runtime)
    take(runtime, shopify("orders/updated", shopify_order()))

    report = sweep(runtime, "join_waiting_events")

    assert (report.moved, report.seen, report.finished) == ({"joined": 1, "gave_up": 0}, 1, True)
    [event] = waiting_in_inbox(runtime)
    assert (event["order_number"], event["customer"]["phone"]) == ("#1001", "0100 123 4567")
    assert rows(runtime.ledger, "waiting_event", "key") == []


def test_an_event_whose_order_never_comes_waits_to_the_end_and_then_tells_nobody(
    runtime: Runtime, clock: Clock
) -> None:
    wait(runtime)
    clock.move(WAIT - timedelta(microseconds=1))
    assert sweep(runtime, "join_waiting_events").moved == {"joined": 0, "gave_up": 0}
    clock.move(timedelta(microseconds=1))
    assert sweep(runtime, "join_waiting_events").moved == {"joined": 0, "gave_up": 1}

    assert keys_in_inbox(runtime) == [KEY]
    reader = inbox_reader(runtime)
    take_in(runtime, reader, reader.read(10, None))
    assert rows(runtime.ledger, "notification", "state", "reason") == [("suppressed", "no_recipient")]


def test_an_address_on_the_parcel_is_not_the_order_but_better_than_nothing(runtime: Runtime, clock: Clock) -> None:
    parcel = {"id": 61, "order_id": 5001, "status": "success", "tracking_number": "T1", "created_at": at(2)}
    take(runtime, shopify("fulfillments/create", {**parcel, "destination": {"phone": "0100 765 4321"}}))
    wait(runtime)
    assert sweep(runtime, "join_waiting_events").seen == 0

    clock.move(WAIT)
    sweep(runtime, "join_waiting_events")

    assert {event["customer"]["phone"] for event in waiting_in_inbox(runtime)} == {"0100 765 4321"}


def test_more_than_a_page_goes_on_in_one_run_and_a_second_run_finds_nothing(runtime: Runtime) -> None:
    small = replace(runtime, settings=runtime.settings.model_copy(update={"sweep": _pages_of_two(runtime)}))
    for order_id in range(5):
        wait(runtime, order_id=order_id + 1)
        take(runtime, shopify("orders/updated", shopify_order(order_id + 1)))

    assert sweep(small, "join_waiting_events").moved == {"joined": 5, "gave_up": 0}
    assert sweep(small, "join_waiting_events").seen == 0
    assert len(keys_in_inbox(runtime)) == 5


def _pages_of_two(runtime: Runtime) -> object:
    return runtime.settings.sweep.model_copy(update={"page": 2})


def test_a_full_inbox_leaves_everything_waiting_and_is_a_report(runtime: Runtime) -> None:
    wait(runtime)
    take(runtime, shopify("orders/create", shopify_order()))
    full = replace(runtime, inbox=Inbox(runtime.redis, prefix=runtime.settings.key_prefix, max_length=1))

    report = sweep(full, "join_waiting_events")

    assert (report.finished, report.moved) == (False, {})
    assert report.error is not None
    assert "full" in report.error
    assert rows(runtime.ledger, "waiting_event", "key") == [(KEY,)]


def test_a_sweep_that_dies_between_inbox_and_commit_lets_nothing_go_on_twice(runtime: Runtime) -> None:
    wait(runtime)
    take(runtime, shopify("orders/updated", shopify_order()))

    class DiesAfter(Inbox):
        def append(self, entries):  # type: ignore[no-untyped-def]
            super().append(entries)
            raise MemoryError

    with pytest.raises(MemoryError):
        sweep(
            replace(runtime, inbox=DiesAfter(runtime.redis, prefix=runtime.settings.key_prefix)), "join_waiting_events"
        )
    sweep(runtime, "join_waiting_events")

    assert keys_in_inbox(runtime) == [KEY]
    assert rows(runtime.ledger, "waiting_event", "id") == []


def test_orders_of_which_nobody_spoke_for_long_are_forgotten(runtime: Runtime, clock: Clock) -> None:
    take(runtime, shopify("orders/updated", shopify_order()))
    clock.move(timedelta(days=1))
    take(runtime, shopify("orders/updated", shopify_order(5002)))
    clock.move(runtime.settings.sweep.keep_personal - timedelta(hours=1))

    assert sweep(runtime, "forget_old_orders").moved == {"forgotten": 1}
    assert rows(runtime.ledger, "order_book", "order_id") == [("5002",)]
    assert sweep(runtime, "forget_old_orders").moved == {"forgotten": 0}


def test_who_lets_an_event_wait_and_who_writes_its_order_cannot_overlook_each_other(runtime: Runtime) -> None:
    bodies = shopify("fulfillment_events/create", shopify_progress()), shopify("orders/updated", shopify_order())
    step, order = arrive(runtime, *bodies)

    class Meanwhile(Ledger):
        """Between the reading of the book and the writing another worker learns of the order."""

        def __init__(self, ledger: Ledger) -> None:
            self.__dict__ = ledger.__dict__

        def begin(self) -> Any:
            take_webhooks(runtime, [order], NOW)
            return super().begin()

    report = take_webhooks(replace(runtime, ledger=Meanwhile(runtime.ledger)), [step], NOW)

    assert report.waiting == 1
    assert sweep(runtime, "join_waiting_events").moved == {"joined": 1, "gave_up": 0}
