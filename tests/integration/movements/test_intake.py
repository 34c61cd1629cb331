"""A batch of order events becomes notifications and deliveries: what is written, and in which order with the road."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from notifier.inbox import RoadUnavailable
from notifier.intake import take_in
from notifier.ledger import LedgerUnavailable
from notifier.runtime import Runtime
from notifier.streams import Item, StreamReader
from tests.fixtures.ledger import HOUR, NOW, put_in_state
from tests.fixtures.runtime import World, make_runtime
from tests.integration.movements.incoming import (
    AT_ONCE,
    AwayLedger,
    an_order,
    append_event,
    hand_in,
    reader_of,
    rows,
    snapshot,
    take_all,
)


def decided(world: World) -> list[tuple[Any, ...]]:
    return rows(world.ledger, "notification", "order_id", "state", "reason")


def test_a_batch_is_written_whole_then_acknowledged_then_its_lane_is_woken_once(world: World) -> None:
    hand_in(world.runtime, *(an_order(str(number)) for number in range(5)))
    report = take_all(world.runtime)

    assert (report.events, report.new, report.duplicates, report.quarantined) == (5, 5, 0, 0)
    assert decided(world) == [(str(number), "active", None) for number in range(5)]
    assert rows(world.ledger, "delivery", "lane", "state") == [("nile-wa", "queued")] * 5
    assert (world.runtime.inbox.stats().length, reader_of(world.runtime).backlog().pending) == (0, 0)
    assert world.published == ["nile-wa"]


def test_nothing_is_acknowledged_and_nobody_woken_before_the_commit(world: World) -> None:
    away = AwayLedger(world.ledger)
    runtime = replace(world.runtime, ledger=away)
    hand_in(runtime, an_order("1"), {**an_order("2"), "shop": "unknown"})
    reader = reader_of(runtime)
    away.dies = True

    with pytest.raises(LedgerUnavailable):
        take_in(runtime, reader, reader.read(10, None))
    assert (reader.backlog().pending, world.published, decided(world)) == (2, [], [])
    assert runtime.quarantine.length() == 0  # set aside only after the commit, or each try would do it again

    away.dies = False
    reader.again()
    take_in(runtime, reader, reader.read(10, None))
    assert (decided(world), runtime.quarantine.length(), world.published) == ([("1", "active", None)], 1, ["nile-wa"])


class DiesBeforeDone(StreamReader):
    def done(self, ids: Any) -> None:
        raise RoadUnavailable("cut between commit and acknowledgement")


def test_a_second_reading_after_a_crash_between_commit_and_acknowledgement_changes_nothing(world: World) -> None:
    hand_in(world.runtime, an_order("1"), an_order("2", "order.shipped"))
    dying = DiesBeforeDone(world.runtime.redis, world.runtime.inbox.stream, "intake", "a", reclaim_after=AT_ONCE)
    with pytest.raises(RoadUnavailable):
        take_in(world.runtime, dying, dying.read(10, None))
    before = snapshot(world.ledger)
    assert rows(world.ledger, "order_event", "copies") == [(1,), (1,)]

    heir = reader_of(world.runtime, "b", AT_ONCE)
    report = take_in(world.runtime, heir, heir.read(10, None))

    assert (report.events, report.new, report.duplicates) == (2, 0, 2)
    assert snapshot(world.ledger) == before
    assert heir.backlog().length == 0


def test_a_dead_consumers_batch_is_taken_over(world: World) -> None:
    hand_in(world.runtime, an_order("1"), an_order("2"))
    assert len(reader_of(world.runtime, "dead").read(10, None)) == 2

    assert take_all(world.runtime, reader_of(world.runtime, "heir", AT_ONCE)).new == 2
    assert len(decided(world)) == 2


def test_a_copy_in_the_same_batch_is_counted_and_told_once(world: World) -> None:
    for number in range(3):
        append_event(world.runtime, an_order("1"), f"e{number}")
    report = take_all(world.runtime)

    assert (report.new, report.duplicates) == (1, 2)
    assert rows(world.ledger, "order_event", "id", "copies") == [("e0", 3)]
    assert len(decided(world)) == 1


def test_a_copy_in_a_later_batch_by_another_door_is_counted_and_not_told(world: World) -> None:
    runtime = world.runtime
    (first,) = hand_in(runtime, an_order("1"), door="http:shopify")
    take_all(runtime)
    (known,) = hand_in(runtime, an_order("1"), door="celery")
    runtime.inbox.forget(["nile|1|order.created||"])  # remembered for a few days; the ledger remembers for ever
    (late,) = hand_in(runtime, an_order("1"), door="cli")
    report = take_all(runtime)

    assert (first.status, known.status, known.event_id) == ("queued", "duplicate", first.event_id)
    assert (late.status, report.new, report.duplicates) == ("queued", 0, 1)
    assert rows(world.ledger, "order_event", "id", "door", "copies") == [(first.event_id, "http:shopify", 2)]
    assert len(decided(world)) == 1


def test_two_intakes_with_the_same_events_at_once_tell_each_once(world: World) -> None:
    """Each thread has every event, under ids of its own: as after a forgotten mark, or through two doors."""
    orders = [an_order(str(number)) for number in range(40)]
    batches = [
        [_item(f"{thread}-{number}", order) for number, order in enumerate(orders[:: 1 if thread else -1])]
        for thread in range(2)
    ]
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda batch: _take(world.runtime, batch), batches))

    assert sum(report.new for report in reports) == 40
    assert sum(report.duplicates for report in reports) == 40
    assert sorted(rows(world.ledger, "order_event", "copies")) == [(2,)] * 40
    assert len(decided(world)) == len(rows(world.ledger, "delivery", "id")) == 40


def _item(event_id: str, event: dict[str, Any]) -> Item:
    fields = {b"id": event_id.encode(), b"key": event_id.encode(), b"door": b"python", b"body": orjson.dumps(event)}
    return Item(b"1-1", fields, 1)


def _take(runtime: Runtime, batch: list[Item]) -> Any:
    """A batch in parts, so that the two meet more than once; a deadlock is a reason to come again, as in the pump."""
    total = None
    for start in range(0, len(batch), 5):
        report = None
        while report is None:
            try:
                report = take_in(runtime, reader_of(runtime, "x"), batch[start : start + 5])
            except LedgerUnavailable:
                continue
        total = report if total is None else total
        if report is not total:
            total.add(report)
    return total


def test_the_same_item_read_by_two_at_once_is_no_copy_of_itself(world: World) -> None:
    items = [_item(f"e{number}", an_order(str(number))) for number in range(20)]
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda batch: _take(world.runtime, batch), [items, items]))

    assert sorted(report.new + report.duplicates for report in reports) == [20, 20]
    assert sum(report.new for report in reports) == 20
    assert rows(world.ledger, "order_event", "copies") == [(1,)] * 20


def test_an_event_nobody_is_told_of_is_stored_and_not_notified(world: World) -> None:
    hand_in(world.runtime, an_order("1", "warehouse.counted"))
    report = take_all(world.runtime)

    assert (report.new, report.quarantined, world.published) == (1, 0, [])
    assert rows(world.ledger, "order_event", "event") == [("warehouse.counted",)]
    assert decided(world) == []


def test_what_is_not_due_yet_wakes_nobody(ledger: Any, redis_client: Any) -> None:
    published: list[str] = []
    shops = {"nile": {"quiet_hours": "13:00-23:00"}}  # NOW is 14:00 in Cairo
    runtime = make_runtime(ledger, redis_client, published=published, shops=shops)
    hand_in(runtime, an_order("1"))
    take_all(runtime)

    assert rows(ledger, "delivery", "state", "due_at") == [("queued", _us(NOW + 9 * HOUR))]
    assert published == []


def _us(at: Any) -> int:
    return int(at.timestamp() * 1_000_000)


def test_a_newer_event_in_the_same_batch_supersedes_the_older_one(world: World) -> None:
    hand_in(world.runtime, an_order("1"), an_order("1", "order.shipped"))
    take_all(world.runtime)

    assert rows(world.ledger, "notification", "event", "state", "reason", "detail") == [
        ("order.created", "suppressed", "superseded", "order.shipped"),
        ("order.shipped", "active", None, ""),
    ]
    assert rows(world.ledger, "delivery", "state") == [("cancelled",), ("queued",)]


def test_a_newer_event_in_a_later_batch_supersedes_the_older_one(world: World) -> None:
    hand_in(world.runtime, an_order("1"))
    take_all(world.runtime)
    hand_in(world.runtime, an_order("1", "order.shipped"))
    take_all(world.runtime)

    assert decided(world) == [("1", "active", None), ("1", "suppressed", "superseded")]


def test_an_older_event_that_comes_late_is_not_told(world: World) -> None:
    hand_in(world.runtime, an_order("1", "order.shipped"), an_order("1"), an_order("2", "order.shipped"))
    take_all(world.runtime)
    hand_in(world.runtime, an_order("2"))
    take_all(world.runtime)

    silenced = [("order.created", "suppressed", "superseded"), ("order.shipped", "active", None)]
    assert rows(world.ledger, "notification", "event", "state", "reason") == sorted(silenced * 2, key=str)


def test_an_event_below_what_the_customer_was_told_is_stale(world: World) -> None:
    hand_in(world.runtime, an_order("1", "order.shipped"))
    take_all(world.runtime)
    ((told,),) = rows(world.ledger, "notification", "id")
    with world.ledger.begin() as conn:
        put_in_state(conn, "notification", told, "told")
    hand_in(world.runtime, an_order("1"))
    take_all(world.runtime)

    assert decided(world) == [("1", "suppressed", "stale"), ("1", "told", None)]


def test_a_carried_consent_is_stored_once_and_allows_what_carries_none(world: World) -> None:
    hand_in(world.runtime, an_order("1"), an_order("2"), an_order("3", customer={"consent": None}))
    take_all(world.runtime)

    assert decided(world) == [("1", "active", None), ("2", "active", None), ("3", "active", None)]
    assert rows(world.ledger, "consent", "phone", "granted", "source") == [("+201001234567", True, "checkout")]


def test_without_a_consent_nobody_is_told(world: World) -> None:
    hand_in(world.runtime, an_order("1", customer={"consent": None}))
    take_all(world.runtime)
    assert decided(world) == [("1", "suppressed", "no_consent")]


def test_a_stop_in_a_batch_silences_what_comes_after_it_and_what_comes_later(world: World) -> None:
    stop = {"granted": False, "source": "support", "at": NOW.isoformat()}
    hand_in(world.runtime, an_order("1"), an_order("2", customer={"consent": stop}), an_order("3"))
    take_all(world.runtime)
    hand_in(world.runtime, an_order("4"))
    take_all(world.runtime)

    assert decided(world) == [
        ("1", "active", None),
        ("2", "suppressed", "opted_out"),
        ("3", "suppressed", "opted_out"),
        ("4", "suppressed", "opted_out"),
    ]


def test_the_senders_own_event_id_may_repeat_between_orders(world: World) -> None:
    hand_in(world.runtime, an_order("1", id="1"), an_order("2", id="1"))
    assert take_all(world.runtime).new == 2


def test_unknown_fields_are_in_the_ledgers_body(world: World) -> None:
    hand_in(world.runtime, an_order("1", gift={"wrapped": True, "card": "Alles Gute"}, customer={"tier": "gold"}))
    take_all(world.runtime)

    ((body,),) = rows(world.ledger, "order_event", "body")
    kept = orjson.loads(body)
    assert (kept["gift"], kept["customer"]["tier"]) == ({"wrapped": True, "card": "Alles Gute"}, "gold")


def test_an_event_from_tomorrow_counts_as_of_now(world: World) -> None:
    hand_in(world.runtime, an_order("1", occurred_at=(NOW + timedelta(days=1)).isoformat()))
    take_all(world.runtime)
    assert rows(world.ledger, "delivery", "due_at", "expires_at") == [(_us(NOW), _us(NOW + 24 * HOUR))]
