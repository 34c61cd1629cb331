"""Claims: the oldest due of each flow, each row to one drain, one message of an order at a time."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from notifier.ledger import Ledger, claims, steps
from notifier.ledger.claims import Claimed, Flow, Quota
from notifier.ledger.instants import to_us
from tests.fixtures.ledger import HOUR, LEASE, NOW, put_in_state, queue, row_of

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def take(conn: Connection, count: int = 100, *, lane: str = "nile-wa", owner: str = "drain-1") -> list[Claimed]:
    return claims.claim(conn, lane, [Quota(1, "nile", count)], owner, NOW, NOW + LEASE)


def test_a_claim_brings_all_that_sending_needs(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        made = queue(conn, event={"event": "order.shipped", "shipment_id": "s-1", "body": '{"a":"ب"}'}, rank=70)[0]
        (claimed,) = take(conn)
    assert claimed == Claimed(
        delivery_id=made.delivery.id,
        notification_id=made.notification.id,
        shop="nile",
        order_id=made.event.order_id,
        event="order.shipped",
        rank=70,
        always=False,
        shipment_id="s-1",
        phone="+201001234567",
        timezone="Africa/Cairo",
        locale="ar",
        template="order_created",
        channels=("whatsapp", "sms"),
        channel="whatsapp",
        position=0,
        lane="nile-wa",
        priority=1,
        attempts=0,
        throttles=0,
        due_at=NOW,
        first_due_at=NOW,
        expires_at=NOW + 24 * HOUR,
        body='{"a":"ب"}',
        obsolete_by=None,
        settled=False,
    )


def test_a_claim_says_that_its_notification_was_told_meanwhile(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        made = queue(conn)[0]
        steps.tell(conn, [steps.Tell(made.notification.id, "whatsapp", NOW)], NOW)
        (claimed,) = take(conn)
    assert claimed.settled


def test_a_claim_writes_owner_lease_and_moment(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        found = queue(conn)[0].delivery.id
        take(conn)
        row = row_of(conn, "delivery", found)
    assert (row["state"], row["owner"], row["lease_until"], row["claimed_at"]) == (
        "claimed",
        "drain-1",
        to_us(NOW + LEASE),
        to_us(NOW),
    )


def test_the_oldest_due_goes_first_and_no_more_than_asked_for(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        made = [queue(conn, due_at=NOW - minutes * MINUTE)[0].delivery.id for minutes in (1, 3, 2)]
        assert [one.delivery_id for one in take(conn, 2)] == [made[1], made[2]]
        assert [one.delivery_id for one in take(conn, 2)] == [made[0]]
        assert take(conn, 2) == []


@pytest.mark.parametrize(
    ("label", "changes", "claimable"),
    [
        ("due this instant", {"due_at": NOW}, True),
        ("due a moment later", {"due_at": NOW + timedelta(microseconds=1)}, False),
        ("expires a moment later", {"expires_at": NOW + timedelta(microseconds=1)}, True),
        ("expires this instant", {"expires_at": NOW}, False),
        ("another lane", {"lane": "nile-sms"}, False),
        ("another priority", {"priority": 0}, False),
    ],
)
def test_a_claim_takes_what_is_due_alive_and_asked_for(
    ledger: Ledger, label: str, changes: dict[str, Any], claimable: bool
) -> None:
    with ledger.begin() as conn:
        queue(conn, **changes)
        assert bool(take(conn)) is claimable, label


def test_quotas_are_kept_apart_by_priority_and_shop(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        queue(conn, 3, priority=0)
        queue(conn, 3, priority=1)
        queue(conn, 3, event={"shop": "ganges"})
        quotas = [Quota(0, "nile", 2), Quota(1, "nile", 1), Quota(1, "ganges", 3)]
        claimed = claims.claim(conn, "nile-wa", quotas, "drain-1", NOW, NOW + LEASE)
        left = claims.claim(conn, "nile-wa", [Quota(1, "nile", 9), Quota(0, "nile", 9)], "drain-1", NOW, NOW + LEASE)
    assert Counter((one.priority, one.shop) for one in claimed) == {(0, "nile"): 2, (1, "nile"): 1, (1, "ganges"): 3}
    assert Counter((one.priority, one.shop) for one in left) == {(0, "nile"): 1, (1, "nile"): 2}


def test_no_quota_is_no_claim(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        queue(conn)
        assert claims.claim(conn, "nile-wa", [], "drain-1", NOW, NOW + LEASE) == []


def test_one_message_of_an_order_is_claimed_at_a_time_and_in_order(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        first = queue(conn, event={"order_id": "o-1"}, due_at=NOW - MINUTE)[0].delivery.id
        second = queue(conn, event={"order_id": "o-1"}, due_at=NOW)[0].delivery.id
        other = queue(conn)[0].delivery.id
        assert {one.delivery_id for one in take(conn)} == {first, other}
        assert take(conn) == []
        steps.accept(conn, [steps.Accept(first, "p-1", NOW, NOW + HOUR)], NOW, "drain")
        assert [one.delivery_id for one in take(conn)] == [second]


def test_the_more_urgent_message_of_an_order_goes_before_the_older_one(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        queue(conn, event={"order_id": "o-1"}, due_at=NOW - MINUTE, priority=2)
        urgent = queue(conn, event={"order_id": "o-1"}, due_at=NOW, priority=0)[0].delivery.id
        quotas = [Quota(0, "nile", 5), Quota(2, "nile", 5)]
        claimed = claims.claim(conn, "nile-wa", quotas, "drain-1", NOW, NOW + LEASE)
    assert [one.delivery_id for one in claimed] == [urgent]


def test_an_order_that_is_claimed_on_another_lane_waits(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        queue(conn, event={"order_id": "o-1"}, lane="nile-sms")
        second = queue(conn, event={"order_id": "o-1"})[0].delivery.id
        assert len(take(conn, lane="nile-sms")) == 1
        assert take(conn) == []
    with ledger.begin() as conn:
        assert row_of(conn, "delivery", second)["state"] == "queued"


def test_many_waiting_messages_of_one_busy_order_do_not_starve_those_behind_them(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        queue(conn, 20, event={"order_id": "o-1"}, due_at=NOW - MINUTE)
        behind = queue(conn)[0].delivery.id
        assert len(take(conn, 1)) == 1
        assert [one.delivery_id for one in take(conn, 1)] == [behind]


@pytest.mark.parametrize(
    ("label", "older", "newer", "newer_state", "expected"),
    [
        ("a higher rank is on its way", {}, {}, "active", "order.shipped"),
        ("a higher rank was told", {}, {}, "told", "order.shipped"),
        ("a higher rank was suppressed", {}, {}, "suppressed", None),
        ("a higher rank reached nobody", {}, {}, "unreached", None),
        ("the same rank", {}, {"rank": 10}, "told", None),
        ("the newer one has no rank", {}, {"rank": None}, "told", None),
        ("this one always goes", {"always": True}, {}, "told", None),
        ("this one has no rank", {"rank": None}, {}, "told", None),
        ("of the same shipment", {"shipment_id": "s-1"}, {"shipment_id": "s-1"}, "told", "order.shipped"),
        ("of another shipment", {"shipment_id": "s-1"}, {"shipment_id": "s-2"}, "told", None),
        ("of a shipment, this of the whole order", {}, {"shipment_id": "s-2"}, "told", "order.shipped"),
        ("of the whole order, this of a shipment", {"shipment_id": "s-1"}, {}, "told", "order.shipped"),
    ],
)
def test_a_newer_comparable_event_makes_a_message_obsolete(
    ledger: Ledger,
    label: str,
    older: dict[str, Any],
    newer: dict[str, Any],
    newer_state: str,
    expected: str | None,
) -> None:
    with ledger.begin() as conn:
        queue(conn, event={"order_id": "o-1"}, **older)
        later = queue(
            conn, event={"order_id": "o-1", "event": "order.shipped"}, due_at=NOW + HOUR, **{"rank": 70, **newer}
        )[0]
        put_in_state(conn, "notification", later.notification.id, newer_state)
        (claimed,) = take(conn)
    assert claimed.obsolete_by == expected, label


def test_an_event_of_another_shop_with_the_same_order_id_says_nothing(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        queue(conn, event={"order_id": "o-1"})
        queue(conn, event={"order_id": "o-1", "shop": "ganges", "event": "order.shipped"}, rank=70)
        (claimed,) = take(conn)
    assert claimed.obsolete_by is None


# Flows.


def test_flows_are_the_priorities_and_shops_with_due_work_and_their_oldest(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        queue(conn, 2, due_at=NOW - MINUTE)
        queue(conn, due_at=NOW - HOUR)
        queue(conn, priority=0, event={"shop": "ganges"})
        queue(conn, priority=2, event={"shop": "tiber"}, due_at=NOW + SECOND)
        queue(conn, priority=2, event={"shop": "rhine"}, expires_at=NOW)
        queue(conn, lane="other", event={"shop": "po"})
        put_in_state(conn, "delivery", queue(conn, event={"shop": "loire"})[0].delivery.id, "accepted")
        assert claims.flows(conn, "nile-wa", NOW) == [Flow(0, "ganges", NOW), Flow(1, "nile", NOW - HOUR)]
        assert claims.flows(conn, "nobody", NOW) == []


def test_lanes_with_due_work_are_told_by_name(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        assert claims.lanes_with_due_work(conn, NOW) == []
        queue(conn, 2)
        queue(conn, lane="ganges-wa")
        queue(conn, lane="later", due_at=NOW + SECOND)
        assert claims.lanes_with_due_work(conn, NOW) == ["ganges-wa", "nile-wa"]


# Races.


def _drain_until_empty(ledger: Ledger, owner: str, start: threading.Barrier, taken: list[str]) -> None:
    start.wait()
    while True:
        with ledger.begin() as conn:
            claimed = take(conn, 7, owner=owner)
            steps.accept(conn, [steps.Accept(one.delivery_id, "p", NOW, NOW + HOUR) for one in claimed], NOW, owner)
        if not claimed:
            return
        taken.extend(one.delivery_id for one in claimed)


def test_drains_that_race_for_the_same_rows_claim_each_once(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        made = {one.delivery.id for one in queue(conn, 120)}
    start = threading.Barrier(4)
    taken: list[list[str]] = [[] for _ in range(4)]
    threads = [
        threading.Thread(target=_drain_until_empty, args=(ledger, f"drain-{number}", start, one))
        for number, one in enumerate(taken)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # An empty claim may only mean that others held the rest for that moment: what they held, they took.
    assert sorted(found for one in taken for found in one) == sorted(made)


def test_a_claim_passes_over_rows_that_another_transaction_holds(ledger: Ledger) -> None:
    if ledger.dialect == "sqlite":
        pytest.skip("SQLite has one writer: there is nobody else's uncommitted row to pass over")
    with ledger.begin() as conn:
        made = {one.delivery.id for one in queue(conn, 4)}
    with ledger.begin() as one, ledger.begin() as other:
        first = {found.delivery_id for found in take(one, 2)}
        second = {found.delivery_id for found in take(other, 4, owner="drain-2")}
    assert len(first) == 2
    assert first | second == made
    assert not first & second


def test_two_lanes_that_reach_for_one_order_at_once_claim_one_message_of_it(ledger: Ledger) -> None:
    for _ in range(5):
        with ledger.begin() as conn:
            order = queue(conn, lane="nile-sms")[0].event.order_id
            queue(conn, event={"order_id": order})
        start = threading.Barrier(2)
        taken: list[int] = []

        def drain(lane: str, start: threading.Barrier = start, taken: list[int] = taken) -> None:
            start.wait()
            with ledger.begin() as conn:
                taken.append(len(take(conn, lane=lane)))

        threads = [threading.Thread(target=drain, args=(lane,)) for lane in ("nile-wa", "nile-sms")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == [0, 1]
        with ledger.begin() as conn:
            rest = [found.delivery_id for lane in ("nile-wa", "nile-sms") for found in take(conn, lane=lane)]
            assert rest == []
            conn.exec_driver_sql("UPDATE delivery SET state = 'failed', lease_until = NULL, finished_at = 1")
