"""What comes after the end of a delivery: the next channel only where consent, route and time allow it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from notifier.follow import carry_on
from notifier.ledger import steps
from notifier.policy.reasons import Reason
from tests.fixtures.drains import allow, deliveries_of, due, notification_row
from tests.fixtures.ledger import HOUR, NOW, Queued, history_of
from tests.fixtures.runtime import World, make_runtime


def fail(world: World, one: Queued, outcome: str = "FALLBACK", reason: str = "undeliverable", code: str = "1") -> None:
    """The delivery ends with a definite no, as a receipt would tell."""
    with world.ledger.begin() as conn:
        conn.exec_driver_sql(f"UPDATE delivery SET state = 'accepted' WHERE id = '{one.delivery.id}'")
        steps.fail(conn, [steps.Fail(one.delivery.id, outcome, code, "", reason, NOW)], NOW, "receipts")


def follow(world: World, *ended: Queued) -> set[str]:
    with world.ledger.begin() as conn:
        return carry_on(conn, world.runtime, [one.delivery.id for one in ended], world.clock(), "receipts")


def ending(world: World, one: Queued) -> tuple[str, str | None, str | None]:
    row = notification_row(world, one.notification.id)
    return row["state"], row["reason"], row["detail"]


def test_the_next_channel_takes_over_at_once(world: World) -> None:
    [one] = due(world, priority=0, expires_at=NOW + 2 * HOUR)
    world.clock.move(HOUR)
    fail(world, one)
    assert follow(world, one) == {"nile-sms"}
    _, opened = deliveries_of(world, one.notification.id)
    assert (opened["lane"], opened["channel"], opened["position"]) == ("nile-sms", "sms", 1)
    assert (opened["priority"], opened["state"], opened["reason"]) == (0, "queued", "undeliverable")
    expires = int((NOW + 2 * HOUR).timestamp()) * 1_000_000
    assert (opened["due_at"], opened["expires_at"]) == (int((NOW + HOUR).timestamp()) * 1_000_000, expires)
    assert opened["attempts"] == 0


def test_it_is_done_once_however_often_the_end_is_seen(world: World) -> None:
    [one] = due(world)
    fail(world, one)
    follow(world, one)
    assert follow(world, one) == set()
    assert len(deliveries_of(world, one.notification.id)) == 2
    with world.ledger.read() as conn:
        assert [line[0] for line in history_of(conn, [one.notification.id])] == ["fail", "open_delivery"]


def test_a_batch_is_decided_one_by_one(world: World) -> None:
    [reached, alone] = [*due(world), *due(world, channels=("whatsapp",))]
    fail(world, reached)
    fail(world, alone)
    assert follow(world, reached, alone) == {"nile-sms"}
    assert ending(world, reached)[0] == "active"
    assert ending(world, alone) == ("unreached", "all_channels_failed", "whatsapp:1")


def test_a_refusal_for_consent_or_policy_is_never_gone_round(world: World) -> None:
    [one] = due(world)
    fail(world, one, outcome="SUPPRESS", reason="refused", code="131050")
    assert follow(world, one) == set()
    assert ending(world, one) == ("unreached", "refused", "whatsapp:131050")
    assert len(deliveries_of(world, one.notification.id)) == 1


@pytest.mark.parametrize("stopped", [None, "sms"])
def test_without_consent_for_the_next_channel_it_is_not_taken(world: World, stopped: str | None) -> None:
    [one] = due(world)
    with world.ledger.begin() as conn:
        allow(conn, [str(one.notification.phone)], granted=False, channel=stopped)
    world.clock.move(HOUR)
    fail(world, one)
    assert follow(world, one) == set()
    assert ending(world, one) == ("unreached", "all_channels_failed", "whatsapp:1")


def test_consent_for_the_first_channel_alone_does_not_allow_the_next(world: World) -> None:
    [one] = due(world, consent=False)
    with world.ledger.begin() as conn:
        allow(conn, [str(one.notification.phone)], channel="whatsapp")
    fail(world, one)
    assert follow(world, one) == set()


def without_sms(world: World) -> World:
    runtime = make_runtime(
        world.ledger, world.runtime.redis, clock=world.clock, shops={"nile": {"routes": [{"whatsapp": "nile-wa"}]}}
    )
    return World(runtime, world.clock, world.published)


def test_without_a_route_for_the_next_channel_it_is_not_taken(world: World) -> None:
    [one] = due(world)
    fail(world, one)
    assert follow(without_sms(world), one) == set()
    assert ending(world, one)[:2] == ("unreached", "all_channels_failed")


def test_a_shop_that_left_the_configuration_gets_no_other_channel_and_stops_nobody(world: World) -> None:
    [gone] = due(world)
    [one] = due(world)
    for each in (gone, one):
        fail(world, each)
    with world.ledger.begin() as conn:
        conn.exec_driver_sql(f"UPDATE delivery SET shop = 'gone' WHERE id = '{gone.delivery.id}'")
    assert follow(world, gone, one) == {"nile-sms"}
    assert ending(world, gone)[:2] == ("unreached", "all_channels_failed")


@pytest.mark.parametrize(("left", "lanes"), [(timedelta(microseconds=1), {"nile-sms"}), (timedelta(0), set())])
def test_after_its_time_no_channel_is_taken(world: World, left: timedelta, lanes: set[str]) -> None:
    [one] = due(world, expires_at=NOW + HOUR)
    world.clock.now = NOW + HOUR - left
    fail(world, one)
    assert follow(world, one) == lanes


def test_a_newer_event_silences_the_fallback(world: World) -> None:
    [old] = due(world, order_id="o1", rank=10)
    due(world, order_id="o1", event="order.shipped", rank=70)
    fail(world, old)
    assert follow(world, old) == set()
    assert ending(world, old) == ("suppressed", "superseded", "order.shipped")


def test_a_message_that_always_goes_falls_back_past_newer_events(world: World) -> None:
    [refund] = due(world, order_id="o1", rank=10, always=True)
    due(world, order_id="o1", event="order.shipped", rank=70)
    fail(world, refund)
    assert follow(world, refund) == {"nile-sms"}


@pytest.mark.parametrize(
    ("label", "reason", "position", "attempts", "state", "said"),
    [
        ("never tried", Reason.EXPIRED, 0, 0, "suppressed", "expired"),
        ("tried, on the first channel", Reason.EXPIRED, 0, 2, "unreached", "expired"),
        ("on the second channel", Reason.EXPIRED, 1, 0, "unreached", "expired"),
        ("silent", Reason.SILENT, 0, 1, "unreached", "silent"),
        ("a lost answer", Reason.UNKNOWN_OUTCOME, 0, 1, "unreached", "unknown_outcome"),
    ],
)
def test_what_ends_by_time_says_why(
    world: World, label: str, reason: Reason, position: int, attempts: int, state: str, said: str
) -> None:
    [one] = due(world, position=position, expires_at=NOW + HOUR)
    world.clock.move(HOUR)
    with world.ledger.begin() as conn:
        conn.exec_driver_sql(f"UPDATE delivery SET attempts = {attempts}")
        steps.expire(conn, [steps.Expire(one.delivery.id, reason)], NOW, "test")
    assert follow(world, one) == set()
    assert ending(world, one)[:2] == (state, said)


@pytest.mark.parametrize(("mode", "lanes"), [("hold", set()), ("fall_back", {"nile-sms"})])
def test_a_lost_answer_falls_back_only_when_the_operator_chose_so(world: World, mode: Any, lanes: set[str]) -> None:
    runtime = make_runtime(world.ledger, world.runtime.redis, clock=world.clock, fallback={"unknown": mode})
    [one] = due(world)
    with world.ledger.begin() as conn:
        steps.expire(conn, [steps.Expire(one.delivery.id, Reason.UNKNOWN_OUTCOME)], NOW, "test")
    assert follow(World(runtime, world.clock, []), one) == lanes


def test_a_notification_that_was_told_meanwhile_gets_nothing_more(world: World) -> None:
    [one] = due(world)
    fail(world, one)
    with world.ledger.begin() as conn:
        steps.tell(conn, [steps.Tell(one.notification.id, "whatsapp", NOW)], NOW)
    assert follow(world, one) == set()
    assert ending(world, one)[0] == "told"


def test_an_unknown_delivery_is_passed_over(world: World) -> None:
    with world.ledger.begin() as conn:
        assert carry_on(conn, world.runtime, ["nobody's"], NOW, "receipts") == set()
