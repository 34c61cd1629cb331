"""A whole drain over the real transport against the sandbox: what a customer's phone would have shown."""

from __future__ import annotations

import threading

from redis import Redis

from notifier.drain import DrainReport, drain
from notifier.ledger import Ledger
from notifier.sandbox.testing import SandboxClient
from tests.fixtures.drains import all_deliveries, breaker_row, due, states
from tests.fixtures.runtime import Clock, World, make_runtime


def shop_at(ledger: Ledger, redis: Redis, sandbox: SandboxClient) -> World:
    clock, published = Clock(), list[str]()
    runtime = make_runtime(
        ledger,
        redis,
        base_url=sandbox.base_url,
        clock=clock,
        published=published,
        senders={"nile-wa": {"rate": 80}, "nile-sms": {"rate": 50}},
    )
    return World(runtime, clock, published)


def go(world: World, lane: str) -> DrainReport:
    with world.runtime.transport() as transport:
        return drain(world.runtime, lane, transport, threading.Event())


def test_each_message_arrives_once_at_its_own_phone(
    ledger: Ledger, redis_client: Redis, shop_sandbox: SandboxClient
) -> None:
    world = shop_at(ledger, redis_client, shop_sandbox)
    made = due(world, 12)
    report = go(world, "nile-wa")
    assert (report.claimed, report.outcomes["accepted"], states(world)) == (12, 12, {"accepted": 12})
    arrivals = shop_sandbox.arrivals(provider="meta")
    assert sorted(arrival["ref"] for arrival in arrivals) == sorted(one.delivery.id for one in made)
    assert {arrival["recipient"] for arrival in arrivals} == {one.notification.phone for one in made}
    assert {row["provider_id"] for row in all_deliveries(world)} == {arrival["provider_id"] for arrival in arrivals}


def test_who_cannot_be_reached_on_whatsapp_gets_the_sms(
    ledger: Ledger, redis_client: Redis, shop_sandbox: SandboxClient
) -> None:
    world = shop_at(ledger, redis_client, shop_sandbox)
    shop_sandbox.faults([{"path": "/messages$", "action": "refuse", "code": 131026}])
    [one] = due(world)
    go(world, "nile-wa")
    assert world.published == ["nile-sms"]
    go(world, "nile-sms")
    assert states(world) == {"failed": 1, "accepted": 1}
    [sms] = shop_sandbox.arrivals(provider="twilio")
    assert sms["recipient"] == one.notification.phone


def test_a_connection_that_breaks_after_the_request_left_is_unknown(
    ledger: Ledger, redis_client: Redis, shop_sandbox: SandboxClient
) -> None:
    world = shop_at(ledger, redis_client, shop_sandbox)
    shop_sandbox.faults([{"path": "/messages$", "action": "reset_after", "count": 1}])
    due(world)
    go(world, "nile-wa")
    assert states(world) == {"unknown": 1}
    go(world, "nile-wa")
    assert len(shop_sandbox.arrivals(provider="meta")) == 1


def test_a_sender_at_nobodys_address_sends_nothing_and_loses_nothing(
    ledger: Ledger, redis_client: Redis, shop_sandbox: SandboxClient
) -> None:
    clock = Clock()
    world = World(make_runtime(ledger, redis_client, clock=clock), clock, [])
    due(world, 3)
    report = go(world, "nile-wa")
    assert (states(world), report.outcomes["requeued"]) == ({"queued": 3}, 3)
    assert {(row["reason"], row["code"], row["attempts"]) for row in all_deliveries(world)} == {
        ("retry", "not_sent", 1)
    }


def test_a_refused_token_stops_the_sender_after_one_batch(
    ledger: Ledger, redis_client: Redis, shop_sandbox: SandboxClient
) -> None:
    world = shop_at(ledger, redis_client, shop_sandbox)
    shop_sandbox.faults([{"path": "/messages$", "action": "refuse", "code": 190}])
    due(world, 40)
    report = go(world, "nile-wa")
    assert report.claimed < 40
    assert (states(world), (breaker_row(world, "nile-wa") or {})["state"]) == ({"queued": 40}, "open")
