"""Receipts in any order and number: deliveries only rise, and a customer is told, or told twice, exactly once."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from notifier.ledger.instants import from_us
from notifier.limits.sender import SenderState
from notifier.sweeps import SweepReport, join_parked_receipts, sweep
from tests.fixtures.ledger import NOW, queue
from tests.fixtures.runtime import World, make_runtime
from tests.integration.movements.arriving import (
    MINUTE,
    counts,
    ids,
    next_channel,
    note_of,
    receive,
    state_of,
    status,
    twilio,
    under_way,
    webhook,
)
from tests.integration.movements.incoming import rows


def test_delivered_tells_the_notification_over_its_channel_since_then(world: World) -> None:
    made = under_way(world)
    report = receive(world, webhook(status("delivered", at=NOW + MINUTE)))

    note = note_of(world, made)
    assert (counts(report), state_of(world, made)) == ((1, 1, 0, 0), "delivered")
    assert (note["state"], note["told_by"], from_us(note["told_at"])) == ("told", "whatsapp", NOW + MINUTE)


@pytest.mark.parametrize("order", list(permutations(("sent", "delivered", "read"))), ids="-".join)
@pytest.mark.parametrize("together", [True, False], ids=["one-batch", "three-batches"])
def test_in_any_order_it_ends_read_with_every_instant(world: World, order: tuple[str, ...], together: bool) -> None:
    made = under_way(world)
    at = {"sent": NOW, "delivered": NOW + MINUTE, "read": NOW + 2 * MINUTE}
    bodies = [webhook(status(kind, at=at[kind])) for kind in order]
    for batch in [bodies] if together else [[body] for body in bodies]:
        receive(world, *batch)

    assert state_of(world, made) == "read"
    ((sent, delivered, read),) = rows(world.ledger, "delivery", "sent_at", "delivered_at", "read_at")
    assert [from_us(one) for one in (sent, delivered, read)] == [at["sent"], at["delivered"], at["read"]]
    assert note_of(world, made)["state"] == "told"


def test_the_second_copy_of_a_webhook_changes_nothing(world: World) -> None:
    made = under_way(world)
    body = webhook(status("sent"), status("delivered"))
    receive(world, body)
    before = (note_of(world, made), rows(world.ledger, "history", "step", "to_state"))

    report = receive(world, body)
    assert counts(report) == (2, 0, 0, 2)
    assert (note_of(world, made), rows(world.ledger, "history", "step", "to_state")) == before


def test_a_receipt_by_our_own_id_is_known_before_our_accept_is_committed(world: World) -> None:
    made = under_way(world, "claimed", None)
    report = receive(world, webhook(status("delivered", "wamid.7", ref=made.delivery.id)))

    assert (counts(report), state_of(world, made)) == ((1, 1, 0, 0), "delivered")
    assert rows(world.ledger, "delivery", "provider_id") == [("wamid.7",)]


def test_what_its_drain_never_recorded_and_the_provider_sent_falls_back_in_time(world: World) -> None:
    made = under_way(world, "claimed", None)
    receive(world, webhook(status("sent", ref=made.delivery.id)))
    world.clock.now = NOW + timedelta(hours=6, minutes=1)  # the template's time-to-live and the buffer
    assert sweep(world.runtime, "fall_back_silent").moved == {"expire": 1}


def test_a_receipt_of_an_unknown_id_is_parked_and_joined_when_its_delivery_is_known(world: World) -> None:
    report = receive(world, webhook(status("delivered", at=NOW + MINUTE)))
    assert counts(report) == (1, 0, 1, 0)
    assert sweep(world.runtime, "join_parked_receipts").seen == 0

    made = under_way(world)
    assert sweep(world.runtime, "join_parked_receipts").moved["joined"] == 1
    assert (state_of(world, made), note_of(world, made)["state"]) == ("delivered", "told")
    assert rows(world.ledger, "parked_receipt", "id") == []


def test_a_parked_receipt_that_nobody_claims_is_dropped_in_the_end(world: World) -> None:
    receive(world, webhook(status("delivered", "wamid.of-somebody-else")))
    report = SweepReport("join_parked_receipts")
    join_parked_receipts(world.runtime, NOW + world.runtime.settings.sweep.parked_for + MINUTE, report)
    assert report.moved["dropped"] == 1
    assert rows(world.ledger, "parked_receipt", "id") == []


@pytest.mark.parametrize(
    ("label", "state", "ends"),
    [
        ("accepted", "accepted", "failed"),
        ("sent", "sent", "failed"),
        ("lost", "unknown", "failed"),
        ("delivered", "delivered", "delivered"),
        ("read", "read", "read"),
    ],
)
def test_failed_counts_below_delivered_only(world: World, label: str, state: str, ends: str) -> None:
    made = under_way(world, state)
    receive(world, webhook(status("failed", code=131026)))
    assert state_of(world, made) == ends


def test_a_failure_falls_back_at_once_and_wakes_the_next_lane(world: World) -> None:
    made = under_way(world)
    report = receive(world, webhook(status("failed", code=131026)))

    assert (report.applied, report.lanes, world.published) == (1, {"nile-sms"}, ["nile-sms"])
    assert rows(world.ledger, "delivery", "lane", "state", "code") == [
        ("nile-sms", "queued", None),
        ("nile-wa", "failed", "131026"),
    ]
    assert note_of(world, made)["state"] == "active"


def test_delivered_and_failed_in_one_batch_end_delivered_whatever_comes_first(world: World) -> None:
    for kinds in (("failed", "delivered"), ("delivered", "failed")):
        made = under_way(world, provider_id=f"wamid.{kinds[0]}")
        receive(world, webhook(*(status(kind, f"wamid.{kinds[0]}", code=131026) for kind in kinds)))
        assert (state_of(world, made), note_of(world, made)["state"]) == ("delivered", "told")
    assert world.published == []


def test_a_failure_that_came_twice_slows_the_sender_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    slowed: list[str] = []
    slow = world.runtime.limiter.throttled

    def throttled(lane: str) -> SenderState:
        slowed.append(lane)
        return slow(lane)

    monkeypatch.setattr(world.runtime.limiter, "throttled", throttled)
    under_way(world)
    failed = status("failed", code=130429)
    report = receive(world, webhook(failed, failed), webhook(failed))
    receive(world, webhook(failed))

    assert (counts(report), slowed) == ((3, 1, 0, 0), ["nile-wa"])


@pytest.mark.parametrize("ended", ["expired", "failed"])
def test_delivered_after_the_fallback_cancels_the_sms_that_has_not_left(world: World, ended: str) -> None:
    made = under_way(world, ended)
    sms = next_channel(world, made, "queued", None)
    report = receive(world, webhook(status("delivered")))

    assert (state_of(world, made), state_of(world, sms), report.doubles) == ("delivered", "cancelled", 0)
    note = note_of(world, made)
    assert (note["state"], note["told_by"], note["doubles"]) == ("told", "whatsapp", 0)


@pytest.mark.parametrize("left", ["claimed", "unknown", "accepted", "sent", "delivered"])
def test_delivered_after_the_sms_left_is_one_double_whatever_is_reported_afterwards(world: World, left: str) -> None:
    made = under_way(world, "expired")
    sms = next_channel(world, made, left)
    report = receive(world, webhook(status("delivered")))
    assert (report.doubles, note_of(world, made)["doubles"]) == (1, 1)

    receive(world, webhook(status("read")))
    for kind in ("sent", "delivered"):
        receive(world, (twilio(MessageSid="SM1", MessageStatus=kind), f"ref={sms}"), provider="twilio")
    assert note_of(world, made)["doubles"] == 1
    assert state_of(world, sms) == "delivered"


def test_both_channels_delivered_in_one_batch_are_one_double(world: World) -> None:
    made = under_way(world, "expired")
    sms = next_channel(world, made, "accepted", "wamid.sms")
    report = receive(world, webhook(status("delivered"), status("delivered", "wamid.sms")))

    assert (state_of(world, made), state_of(world, sms), report.doubles) == ("delivered", "delivered", 1)
    assert note_of(world, made)["doubles"] == 1


def test_an_sms_that_failed_after_the_late_delivered_is_no_double(world: World) -> None:
    made = under_way(world, "expired")
    next_channel(world, made, "failed")
    assert receive(world, webhook(status("delivered"))).doubles == 0
    assert note_of(world, made)["doubles"] == 0


@pytest.mark.parametrize(("told_by", "state"), [("sent", "told"), ("delivered", "active")])
def test_sent_is_told_where_the_route_has_no_handset_receipts(
    ledger: Any, redis_client: Any, world: World, told_by: str, state: str
) -> None:
    runtime = make_runtime(ledger, redis_client, clock=world.clock, senders={"nile-wa": {"told_by": told_by}})
    made = under_way(world)
    receive(World(runtime, world.clock, []), webhook(status("sent")))
    assert note_of(world, made)["state"] == state


def test_a_thousand_updates_in_one_body_are_one_batch(world: World) -> None:
    refs = ids(500)
    with world.ledger.begin() as conn:
        made = queue(conn, 500)
    by_ref = [status("delivered", f"wamid.{one.delivery.id}", ref=one.delivery.id) for one in made]
    report = receive(world, webhook(*by_ref, *(status("delivered", f"wamid.{ref}", ref=ref) for ref in refs)))

    assert counts(report) == (1000, 500, 500, 0)
    assert rows(world.ledger, "notification", "state") == [("told",)] * 500
