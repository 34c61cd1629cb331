"""What operators and movements read: ended deliveries, breakers, the story of an order, the counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from notifier.channels.contract import OutcomeClass
from notifier.ledger import Ledger, breakers, counts, followups, plans, receipts, steps, stories
from notifier.ledger.counts import Counts, DeliveryCount, LaneDepth, NotificationCount
from notifier.ledger.receipts import Parked
from notifier.ledger.stories import Story
from notifier.policy.breaker import Breaker
from notifier.policy.reasons import Reason
from tests.fixtures.ledger import HOUR, NOW, a_delivery, put_in_state, queue


def test_an_ended_delivery_comes_with_its_notification_as_it_stands(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        made = queue(conn, rank=10)[0]
        queue(conn, event={"order_id": made.event.order_id, "event": "order.shipped"}, rank=70)
        put_in_state(conn, "delivery", made.delivery.id, "claimed")
        steps.fail(conn, [steps.Fail(made.delivery.id, "FALLBACK", "131026", "no", "fallback", NOW)], NOW, "drain")
        (ended,) = followups.ended(conn, [made.delivery.id, "nobody"], NOW)
    assert (ended.delivery_id, ended.notification_id) == (made.delivery.id, made.notification.id)
    assert (ended.outcome, ended.code, ended.reason, ended.attempts) == ("FALLBACK", "131026", "fallback", 1)
    assert (ended.channels, ended.channel, ended.position, ended.lane) == (
        ("whatsapp", "sms"),
        "whatsapp",
        0,
        "nile-wa",
    )
    assert (ended.notification_state, ended.obsolete_by, ended.always) == ("active", "order.shipped", False)
    assert (ended.phone, ended.country, ended.expires_at) == ("+201001234567", "EG", NOW + 24 * HOUR)


# Breakers.

OPEN = Breaker("lane", "nile-wa", "open", Reason.SENDER_STOPPED, "190", NOW, NOW + HOUR)


def test_a_breaker_that_was_never_written_is_none(ledger: Ledger) -> None:
    with ledger.read() as conn:
        assert breakers.find(conn, "lane", "nile-wa") is None
        assert breakers.breakers(conn) == []


def test_a_breaker_comes_back_as_it_was_stored(ledger: Ledger) -> None:
    template = Breaker("template", breakers.template_name("order_shipped", "ar", "nile-wa"), "half_open", None, "", NOW)
    with ledger.begin() as conn:
        assert breakers.store(conn, OPEN, NOW, "drain")
        assert breakers.store(conn, template, NOW, "receipts")
        assert breakers.breakers(conn) == [OPEN, template]
        assert breakers.find(conn, "template", "order_shipped/ar@nile-wa") == template
        assert breakers.store(conn, Breaker("lane", "nile-wa"), NOW, "drain")
        assert breakers.find(conn, "lane", "nile-wa") == Breaker("lane", "nile-wa")
        assert breakers.by_whom(conn) == {("lane", "nile-wa"): "drain", ("template", template.name): "receipts"}


def test_a_pause_by_hand_stands_until_a_hand_ends_it(ledger: Ledger) -> None:
    paused = Breaker("lane", "nile-wa", "open", Reason.PAUSED, "", NOW, None)
    with ledger.begin() as conn:
        assert breakers.store(conn, paused, NOW, "layla")
        for machine in ("drain", "receipts"):
            assert not breakers.store(conn, OPEN, NOW, machine)
            assert not breakers.store(conn, Breaker("lane", "nile-wa"), NOW, machine)
        assert breakers.find(conn, "lane", "nile-wa") == paused
        assert breakers.store(conn, Breaker("lane", "nile-wa"), NOW, "layla")
        assert breakers.store(conn, OPEN, NOW, "drain")


# The story.


@pytest.mark.parametrize(("order", "shop"), [("o-1", "nile"), ("o-1", None), ("#1", None), ("#1", "nile")])
def test_the_story_of_an_order_holds_everything_the_ledger_knows(ledger: Ledger, order: str, shop: str | None) -> None:
    with ledger.begin() as conn:
        made = queue(conn, event={"order_id": "o-1", "order_number": "#1"})[0]
        queue(conn, event={"order_id": "o-2", "order_number": "#2"})
        put_in_state(conn, "delivery", made.delivery.id, "claimed")
        steps.fail(conn, [steps.Fail(made.delivery.id, "FALLBACK", "131026", "no", "fallback", NOW)], NOW, "drain")
        following = a_delivery(made.notification, lane="nile-sms", channel="sms", position=1)
        steps.open_delivery(conn, [following], NOW + HOUR, "drain", "fallback")
        late = Parked("r-1", "meta", None, following.id, "failed", NOW, "1", OutcomeClass.DEAD, "d", NOW)
        receipts.park(conn, [late, replace(late, id="r-2", ref="nobody")], NOW)
        told = stories.story(conn, order, shop)
    assert [(one.id, one.received_at, one.copies) for one in told.events] == [(made.event.id, NOW, 1)]
    assert [(one.id, one.state, one.channels, one.always) for one in told.notifications] == [
        (made.notification.id, "active", ("whatsapp", "sms"), False)
    ]
    assert [(one.id, one.state, one.failed_at, one.code) for one in told.deliveries] == [
        (made.delivery.id, "failed", NOW, "131026"),
        (following.id, "queued", None, None),
    ]
    assert [(one.step, one.at, one.by_whom, one.to_state, one.detail) for one in told.history] == [
        ("fail", NOW, "drain", "failed", "no"),
        ("open_delivery", NOW + HOUR, "drain", "queued", "nile-sms"),
    ]
    assert [(one.ref, one.status, one.at) for one in told.parked] == [(following.id, "failed", NOW)]
    assert "+201001234567" not in repr(told)


def test_a_story_is_of_one_shop_when_one_is_named(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        queue(conn, event={"order_id": "o-1"})
        queue(conn, event={"order_id": "o-1", "shop": "ganges"})
        assert {one.shop for one in stories.story(conn, "o-1").events} == {"nile", "ganges"}
        assert [one.shop for one in stories.story(conn, "o-1", "ganges").events] == ["ganges"]
        assert stories.story(conn, "nobody") == Story([], [], [], [], [])


# Counts.


def test_the_counts_are_of_everything_by_what_makes_it_different(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        made = queue(conn, 3)
        plans.count_copies(conn, [made[0].event.key] * 2, NOW)
        put_in_state(conn, "notification", made[0].notification.id, "told")
        put_in_state(conn, "delivery", made[0].delivery.id, "read")
        put_in_state(conn, "notification", made[1].notification.id, "suppressed")
        steps.note_double(conn, [made[0].notification.id], NOW)
        found = counts.by_state(conn)
    assert found == Counts(
        events=3,
        copies=2,
        doubles=1,
        notifications=[
            NotificationCount("active", None, None, 1),
            NotificationCount("suppressed", "superseded", None, 1),
            NotificationCount("told", None, "whatsapp", 1),
        ],
        deliveries=[
            DeliveryCount("nile-wa", "whatsapp", "queued", 2),
            DeliveryCount("nile-wa", "whatsapp", "read", 1),
        ],
    )


def test_an_empty_ledger_counts_nothing(ledger: Ledger) -> None:
    with ledger.read() as conn:
        assert counts.by_state(conn) == Counts(0, 0, 0, [], [])
        assert counts.lane_depths(conn, NOW) == []


def test_a_lane_is_as_deep_as_what_waits_in_it(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        queue(conn, due_at=NOW - HOUR)
        queue(conn, due_at=NOW)
        queue(conn, due_at=NOW + HOUR)
        queue(conn, due_at=NOW - 2 * HOUR, expires_at=NOW)
        for state in ("claimed", "unknown", "accepted", "delivered"):
            put_in_state(conn, "delivery", queue(conn, lane="nile-sms", channel="sms")[0].delivery.id, state)
        assert counts.lane_depths(conn, NOW) == [
            LaneDepth("nile-sms", "sms", 0, 0, None, 1, 1),
            LaneDepth("nile-wa", "whatsapp", 4, 2, NOW - HOUR, 0, 0),
        ]
