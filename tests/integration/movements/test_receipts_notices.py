"""Stops reach every shop that speaks through the sender that heard them; templates go as the provider says."""

from __future__ import annotations

from threading import Event
from typing import Any

import pytest

from notifier.drain import drain
from notifier.ledger import breakers, plans
from notifier.policy.breaker import Breaker
from notifier.policy.reasons import Reason
from tests.fixtures.ledger import NOW
from tests.fixtures.runtime import World, make_runtime
from tests.integration.movements.arriving import (
    MINUTE,
    PHONE,
    note_of,
    receive,
    said,
    standing,
    state_of,
    twilio,
    under_way,
    webhook,
)
from tests.integration.movements.incoming import an_order, hand_in, rows, take_all


@pytest.fixture
def shared(ledger: Any, redis_client: Any, clock: Any) -> World:
    """`nile` and `delta` speak through nile-wa and nile-sms, `sinai` through senders of its own."""
    shop = {"country": "EG", "display_name": "A shop"}
    published: list[str] = []
    meta = {"channel": "whatsapp", "provider": "meta", "base_url": "http://127.0.0.1:9", "rate": 80}
    runtime = make_runtime(
        ledger,
        redis_client,
        clock=clock,
        published=published,
        shops={
            "delta": {**shop, "routes": [{"countries": ["SA"], "whatsapp": "nile-wa"}]},
            "sinai": {**shop, "routes": [{"whatsapp": "sinai-wa"}]},
        },
        senders={"sinai-wa": {**meta, "account": {"phone_number_id": "100000000000009", "waba_id": "200000000000001"}}},
    )
    return World(runtime, clock, published)


def test_a_stop_is_a_record_of_every_shop_that_speaks_through_the_sender(shared: World) -> None:
    receive(shared, webhook(messages=[said("STOP")]))

    records = rows(shared.ledger, "consent", "shop", "phone", "channel", "purpose", "granted", "source")
    everything = (f"+{PHONE}", None, None, False, "whatsapp:stop_word")
    assert records == [("delta", *everything), ("nile", *everything)]


def test_a_stop_that_came_twice_is_heard_once_and_a_word_after_it_counts(shared: World) -> None:
    for _ in range(2):
        receive(shared, webhook(messages=[said("STOP")]), webhook(messages=[said("STOP")]))
    receive(shared, webhook(messages=[said("START", NOW + MINUTE)]))

    assert rows(shared.ledger, "consent", "shop", "granted") == [
        ("delta", False),
        ("delta", True),
        ("nile", False),
        ("nile", True),
    ]


def test_a_stop_by_sms_is_heard_once_by_number_and_messaging_service(
    ledger: Any, redis_client: Any, clock: Any
) -> None:
    accounts = {"from": "+15005550006", "messaging_service_sid": "MG1"}
    runtime = make_runtime(ledger, redis_client, clock=clock, senders={"nile-sms": {"account": accounts}})
    form = {"SmsStatus": "received", "From": f"+{PHONE}", "To": "+15005550006", "MessagingServiceSid": "MG1"}
    receive(World(runtime, clock, []), twilio(**form, Body="STOP"), provider="twilio")

    assert rows(ledger, "consent", "shop", "granted", "source") == [("nile", False, "sms:stop_word")]


def test_a_stop_to_a_number_that_is_not_ours_is_nobodys(world: World) -> None:
    receive(world, webhook(messages=[said("STOP")]).replace(b"100000000000001", b"100000000000404"))
    assert rows(world.ledger, "consent", "id") == []


def test_a_queued_message_of_who_said_stop_is_suppressed_when_it_is_claimed(world: World) -> None:
    made = under_way(world, "queued", None)
    world.clock.move(MINUTE)
    receive(world, webhook(messages=[said("STOP", world.clock())]))
    transport = world.runtime.transport()
    drain(world.runtime, "nile-wa", transport, Event())
    transport.close()

    assert state_of(world, made) == "cancelled"
    note = note_of(world, made)
    assert (note["state"], note["reason"]) == ("suppressed", "opted_out")


def test_who_said_stop_is_not_told_of_the_next_event_though_the_shop_still_has_the_tick(world: World) -> None:
    receive(world, webhook(messages=[said("STOP")]))
    hand_in(world.runtime, an_order("1"))
    take_all(world.runtime)
    assert rows(world.ledger, "notification", "state", "reason") == [("suppressed", "opted_out")]


def template(world: World, lane: str = "nile-wa", language: str = "en") -> Breaker | None:
    with world.ledger.read() as conn:
        return breakers.find(conn, "template", f"order_created/{language}@{lane}")


def test_a_paused_template_stops_on_every_sender_of_its_account_until_the_provider_lifts_it(shared: World) -> None:
    receive(shared, standing("order_created", "PAUSED"))
    for lane in ("nile-wa", "sinai-wa"):
        stopped = template(shared, lane)
        assert stopped is not None
        assert (stopped.state, stopped.reason, stopped.code) == ("open", Reason.TEMPLATE_STOPPED, "PAUSED")
        assert (stopped.opened_at, stopped.retry_at) == (NOW, None)
    assert template(shared, "nile-sms") is None
    assert template(shared, language="ar") is None

    receive(shared, standing("order_created", "UNPAUSED", at=NOW + MINUTE))
    assert [one.state for lane in ("nile-wa", "sinai-wa") if (one := template(shared, lane))] == ["closed", "closed"]


def test_a_standing_without_a_language_is_about_all_of_them(world: World) -> None:
    receive(world, standing("order_created", "DISABLED", None))
    found = [template(world, language=language) for language in ("ar", "en", "pt_BR")]
    assert [one.state for one in found if one] == ["open"] * 3


def test_of_two_words_in_a_batch_the_providers_later_one_counts(world: World) -> None:
    lifted = standing("order_created", "REINSTATED", at=NOW + MINUTE)
    receive(world, lifted, standing("order_created", "PAUSED"))
    found = template(world)
    assert found is not None
    assert found.state == "closed"


def test_a_stop_by_the_provider_ends_the_probes_of_a_breaker_that_opened_by_outcome(world: World) -> None:
    name = breakers.template_name("order_created", "en", "nile-wa")
    by_outcome = Breaker("template", name, "open", Reason.TEMPLATE_STOPPED, "132015", NOW, NOW + MINUTE)
    with world.ledger.begin() as conn:
        breakers.store(conn, by_outcome, NOW, "drain")
    world.clock.move(MINUTE)
    receive(world, standing("order_created", "PAUSED"), standing("order_created", "PAUSED"))

    found = template(world)
    assert found is not None
    assert (found.state, found.code, found.opened_at, found.retry_at) == ("open", "PAUSED", NOW, None)


def test_a_stop_of_one_shops_customer_says_nothing_about_others(shared: World) -> None:
    with shared.ledger.begin() as conn:
        plans.insert_consents(conn, [plans.NewConsent("sinai", f"+{PHONE}", None, None, True, "test", NOW)], NOW)
    receive(shared, webhook(messages=[said("STOP", NOW + MINUTE)]))
    assert [row for row in rows(shared.ledger, "consent", "shop", "granted") if row[0] == "sinai"] == [("sinai", True)]
