"""Callbacks that met a dead gateway never come again: the provider is asked what became of the messages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from redis import Redis

from notifier.asking import MOST_ASKED
from notifier.ledger import Ledger, breakers
from notifier.ledger.schema import delivery
from notifier.policy.breaker import Breaker
from notifier.policy.reasons import Reason
from notifier.sandbox.testing import SandboxClient
from notifier.sweeps import SweepReport, sweep
from tests.fixtures.drains import all_deliveries, deliveries_of, due, notification_row
from tests.fixtures.ledger import HOUR, NOW
from tests.fixtures.runtime import World
from tests.integration.movements.test_drain_sandbox import go, shop_at

MINUTE = timedelta(minutes=1)
SMS: dict[str, Any] = {"lane": "nile-sms", "channel": "sms", "channels": ("sms",)}


@pytest.fixture
def world(ledger: Ledger, redis_client: Redis, shop_sandbox: SandboxClient) -> World:
    """The shop at a sandbox whose callbacks reach nobody."""
    return shop_at(ledger, redis_client, shop_sandbox)


def carried(world: World, number: int = 1) -> list[str]:
    """So many SMS that Twilio took; their delivery ids."""
    made = due(world, number, **SMS)
    go(world, "nile-sms")
    return [one.delivery.id for one in made]


def ask(world: World, after: timedelta = 5 * MINUTE) -> SweepReport:
    world.clock.move(after)
    return sweep(world.runtime, "ask_after_silence")


def test_a_message_whose_callbacks_were_lost_is_told(world: World, shop_sandbox: SandboxClient) -> None:
    [one] = due(world, **SMS)
    go(world, "nile-sms")
    shop_sandbox.advance(60)
    report = ask(world)
    assert (report.seen, report.moved, report.error) == (1, {"learned": 1}, None)
    [row] = deliveries_of(world, one.notification.id)
    note = notification_row(world, one.notification.id)
    assert (row["state"], note["state"], note["told_by"]) == ("delivered", "told", "sms")


def test_nobody_is_asked_before_its_time_nor_twice_within_it(world: World, shop_sandbox: SandboxClient) -> None:
    carried(world)
    assert ask(world, 5 * MINUTE - timedelta(microseconds=1)).seen == 0
    assert ask(world, timedelta(microseconds=1)).seen == 1
    assert ask(world, MINUTE).seen == 0


def test_what_is_still_on_its_way_at_the_provider_moves_nothing(world: World) -> None:
    carried(world)
    report = ask(world)
    assert (report.seen, report.moved) == (1, {"learned": 0})
    assert [row["state"] for row in all_deliveries(world)] == ["accepted"]


def test_what_was_sent_and_never_delivered_is_asked_after_before_its_silence_is_decided(
    world: World, shop_sandbox: SandboxClient
) -> None:
    carried(world)
    with world.ledger.begin() as conn:
        conn.execute(sa.update(delivery).values(state="sent", sent_at=delivery.c.accepted_at))
    shop_sandbox.advance(60)
    assert ask(world).seen == 0
    world.clock.now = NOW + 10 * HOUR
    assert ask(world, timedelta(0)).moved == {"learned": 1}
    assert [row["state"] for row in all_deliveries(world)] == ["delivered"]


def test_one_run_asks_so_often_and_no_more(world: World, shop_sandbox: SandboxClient) -> None:
    carried(world, MOST_ASKED + 3)
    assert ask(world).seen == MOST_ASKED
    assert ask(world, timedelta(seconds=15)).seen == 3


def test_a_stopped_sender_is_not_asked_for(world: World) -> None:
    carried(world)
    with world.ledger.begin() as conn:
        breakers.store(conn, Breaker("lane", "nile-sms", "open", Reason.SENDER_STOPPED, "20003", NOW), NOW, "drain")
    assert ask(world).seen == 0


def test_a_provider_that_is_away_is_left_alone_until_the_next_run(world: World, shop_sandbox: SandboxClient) -> None:
    carried(world, 3)
    with world.ledger.begin() as conn:  # Twilio knows none of them
        conn.execute(sa.update(delivery).values(provider_id="SM" + "0" * 32))
    report = ask(world)
    assert (report.seen, report.moved, report.finished) == (3, {"learned": 0}, True)


def test_meta_is_never_asked(world: World) -> None:
    due(world)
    go(world, "nile-wa")
    assert ask(world).seen == 0
