"""Stopped senders and templates: what still goes, what probes, and what closes them again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from notifier.ledger import breakers
from notifier.ledger.instants import to_us
from notifier.policy.breaker import Breaker, closed, paused
from tests.fixtures.drains import (
    LOST,
    Says,
    Scripted,
    accepted,
    allow,
    breaker_row,
    deliveries_of,
    delivery_row,
    drain_of,
    due,
    notification_row,
    refused,
    run,
    states,
)
from tests.fixtures.ledger import HOUR, NOW
from tests.fixtures.runtime import World

MINUTE = timedelta(minutes=1)
TEMPLATE = "order_created/ar@nile-wa"
TOKEN_GONE = refused(190, 401)
PAUSED = refused(132015)


def test_a_stopped_sender_parks_its_message_and_claims_no_more(world: World) -> None:
    due(world)
    run(drain_of(world, Scripted([TOKEN_GONE])))
    row = breaker_row(world, "nile-wa") or {}
    assert (row["state"], row["reason"], row["code"], row["by_whom"]) == ("open", "sender_stopped", "190", "drain")
    assert row["retry_at"] == to_us(NOW + MINUTE)
    due(world, 3)
    transport = Scripted()
    work = run(drain_of(world, transport))
    assert (transport.sent, work.report.claimed, states(world)) == ([], 0, {"queued": 4})


def open_lane(world: World) -> None:
    """The sender was refused at NOW, and its first pause is over."""
    due(world, expires_at=NOW + 30 * MINUTE)
    run(drain_of(world, Scripted([TOKEN_GONE])))
    world.clock.move(MINUTE)


def test_after_the_pause_one_message_probes_and_its_success_lets_all_go(world: World) -> None:
    open_lane(world)
    due(world, 3)
    transport = Scripted(hold=True)
    work = drain_of(world, transport)
    for _ in range(30):
        work.turn()
    assert (len(transport.sent), work.report.claimed) == (1, 1)
    assert (breaker_row(world, "nile-wa") or {})["state"] == "half_open"
    transport.hold = False
    run(work)
    assert (breaker_row(world, "nile-wa") or {})["state"] == "closed"
    assert (len(transport.sent), states(world)) == (4, {"accepted": 4})


def test_a_failed_probe_doubles_the_pause(world: World) -> None:
    open_lane(world)
    run(drain_of(world, Scripted([TOKEN_GONE])))
    row = breaker_row(world, "nile-wa") or {}
    assert (row["state"], row["retry_at"]) == ("open", to_us(NOW + 2 * MINUTE))
    world.clock.move(MINUTE)
    run(drain_of(world, Scripted([TOKEN_GONE])))
    assert (breaker_row(world, "nile-wa") or {})["retry_at"] == to_us(NOW + 4 * MINUTE)


def test_a_probe_without_an_answer_is_followed_by_another_after_the_pause(world: World) -> None:
    open_lane(world)
    due(world, 2)
    transport = Scripted([LOST])
    run(drain_of(world, transport))
    assert (len(transport.sent), (breaker_row(world, "nile-wa") or {})["state"]) == (1, "half_open")
    world.clock.move(MINUTE)
    run(drain_of(world, transport))
    assert (breaker_row(world, "nile-wa") or {})["state"] == "closed"
    assert len(transport.sent) == 3


def test_a_message_that_a_guard_holds_back_uses_up_no_probe(world: World) -> None:
    open_lane(world)
    silent = due(world, 3, due_at=NOW - HOUR)
    with world.ledger.begin() as conn:
        allow(conn, [str(one.notification.phone) for one in silent], granted=False)
    transport = Scripted()
    run(drain_of(world, transport))
    assert (breaker_row(world, "nile-wa") or {})["state"] == "closed"
    assert (len(transport.sent), states(world)) == (1, {"accepted": 1, "cancelled": 3})


def by_hand(world: World, breaker: Breaker) -> None:
    with world.ledger.begin() as conn:
        assert breakers.store(conn, breaker, world.clock(), "amal")


def test_a_lane_paused_by_hand_sends_nothing_until_a_hand_lets_it_go(world: World) -> None:
    due(world, 2)
    by_hand(world, paused(Breaker("lane", "nile-wa"), NOW))
    world.clock.move(HOUR)
    transport = Scripted()
    run(drain_of(world, transport))
    assert (transport.sent, states(world)) == ([], {"queued": 2})
    by_hand(world, closed(Breaker("lane", "nile-wa")))
    run(drain_of(world, transport))
    assert states(world) == {"accepted": 2}


def test_answers_that_come_during_a_pause_by_hand_do_not_end_it(world: World) -> None:
    due(world, 2)
    pause = paused(Breaker("lane", "nile-wa"), NOW)
    transport = Scripted([TOKEN_GONE, accepted()], before_poll=lambda: by_hand(world, pause))
    run(drain_of(world, transport))
    row = breaker_row(world, "nile-wa") or {}
    assert (row["state"], row["reason"], row["by_whom"]) == ("open", "paused", "amal")


def test_a_stopped_template_goes_over_the_next_channel_at_once_and_others_still_go(world: World) -> None:
    due(world)
    run(drain_of(world, Scripted([PAUSED])))
    assert (breaker_row(world, TEMPLATE) or {})["reason"] == "template_stopped"
    [held] = due(world)
    due(world, event="order.shipped", rank=70)
    due(world, locale="en")
    transport = Scripted()
    run(drain_of(world, transport))
    first, second = deliveries_of(world, held.notification.id)
    assert (first["state"], first["reason"], first["code"]) == ("failed", "template_stopped", "breaker")
    assert (second["state"], second["channel"]) == ("queued", "sms")
    assert {(one.claimed.template, one.claimed.locale) for one in transport.sent} == {
        ("order_shipped", "ar"),
        ("order_created", "en"),
    }


@pytest.mark.parametrize(
    ("label", "says", "state", "retry_at"),
    [
        ("accepted again", accepted(), "closed", None),
        ("still paused", PAUSED, "open", to_us(NOW + 2 * MINUTE)),
        ("an answer that proves nothing", refused(131026), "half_open", to_us(NOW + 2 * MINUTE)),
    ],
)
def test_after_the_pause_one_message_finds_out_about_the_template(
    world: World, label: str, says: Says, state: str, retry_at: int | None
) -> None:
    due(world)
    run(drain_of(world, Scripted([PAUSED])))
    world.clock.move(MINUTE)
    waiting = due(world, 3)
    transport = Scripted([says])
    run(drain_of(world, transport))
    assert len(transport.sent) == 1
    rest = [one for one in waiting if one.delivery.id not in transport.refs]
    assert {delivery_row(world, one.delivery.id)["reason"] for one in rest} == {"template_stopped"}
    row = breaker_row(world, TEMPLATE) or {}
    assert (row["state"], row["retry_at"]) == (state, retry_at)


def test_a_closed_template_carries_all_again(world: World) -> None:
    due(world)
    run(drain_of(world, Scripted([PAUSED])))
    world.clock.move(MINUTE)
    due(world)
    run(drain_of(world, Scripted()))
    due(world, 3)
    transport = Scripted()
    run(drain_of(world, transport))
    assert len(transport.sent) == 3


def test_a_template_that_the_provider_took_back_is_never_probed(world: World) -> None:
    by_hand(world, Breaker("template", TEMPLATE, "open", opened_at=NOW))
    world.clock.move(10 * HOUR)
    [one] = due(world, channels=("whatsapp",))
    transport = Scripted()
    run(drain_of(world, transport))
    assert transport.sent == []
    assert notification_row(world, one.notification.id)["state"] == "unreached"
