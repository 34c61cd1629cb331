"""What one drain does with each kind of answer, by `turn()`, on a real ledger and a real Redis."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from notifier import carry
from notifier.channels.contract import Request, Sender
from notifier.events import NotifierError
from notifier.handles import NotAllowed
from notifier.ledger import steps
from notifier.sweeps import sweep
from tests.fixtures.drains import (
    LOST,
    NOT_SENT,
    PHONE,
    Says,
    Scripted,
    accepted,
    all_deliveries,
    allow,
    breaker_row,
    claim,
    deliveries_of,
    delivery_row,
    drain_of,
    due,
    notification_row,
    queued_sms,
    refused,
    run,
    states,
    steps_of,
)
from tests.fixtures.ledger import HOUR, NOW
from tests.fixtures.runtime import World, make_runtime

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def us(seconds: float) -> int:
    """NOW and so many seconds, as the ledger keeps it."""
    return int(NOW.timestamp() * 1_000_000) + int(seconds * 1_000_000)


def test_what_is_due_is_sent_once_and_recorded(world: World) -> None:
    made = due(world, 3)
    transport = Scripted([accepted("wamid.1"), accepted("wamid.2"), accepted("wamid.3")])
    work = run(drain_of(world, transport))
    assert sorted(transport.refs) == sorted(one.delivery.id for one in made)
    assert states(world) == {"accepted": 3}
    assert (work.report.claimed, work.report.outcomes["accepted"], work.report.outcomes["lost"]) == (3, 3, 0)
    row = delivery_row(world, transport.refs[0])
    assert (row["attempts"], row["throttles"], row["lease_until"], row["provider_id"]) == (1, 0, None, "wamid.1")
    assert row["fallback_at"] == us(6 * 3600 + 60)  # the template's time-to-live and the buffer


def test_a_second_drain_finds_nothing_to_send(world: World) -> None:
    due(world, 2)
    run(drain_of(world, Scripted()))
    again = Scripted()
    work = run(drain_of(world, again))
    assert (again.sent, work.report.claimed, work.report.turns) == ([], 0, 1)


def test_what_is_due_later_or_has_expired_stays_where_it_is(world: World) -> None:
    due(world, due_at=NOW + SECOND)
    due(world, expires_at=NOW)
    transport = Scripted()
    run(drain_of(world, transport))
    assert transport.sent == []
    assert states(world) == {"queued": 2}


@pytest.mark.parametrize(
    ("label", "says", "state", "reason", "attempts", "throttles", "soonest", "latest"),
    [
        ("a passing fault", refused(131000, 500), "queued", "retry", 1, 0, 0, 2),
        ("never connected", NOT_SENT, "queued", "retry", 1, 0, 0, 2),
        ("the sender was too fast", refused(130429), "queued", "throttle_sender", 0, 1, 1, 2),
        ("the sender is limited for an hour", refused(131048), "queued", "throttle_sender", 0, 1, 3600, 3601),
        ("this person got too many", refused(131056), "queued", "throttle_pair", 0, 1, 6, 6),
        ("the token was refused", refused(190, 401), "queued", "sender_stopped", 0, 0, 60, 60),
    ],
)
def test_a_refusal_that_passes_goes_back_to_the_queue(
    world: World,
    label: str,
    says: Says,
    state: str,
    reason: str,
    attempts: int,
    throttles: int,
    soonest: float,
    latest: float,
) -> None:
    [one] = due(world)
    work = run(drain_of(world, Scripted([says])))
    row = delivery_row(world, one.delivery.id)
    assert (row["state"], row["reason"], row["attempts"], row["throttles"]) == (state, reason, attempts, throttles)
    assert us(soonest) <= row["due_at"] <= us(latest)
    assert (row["lease_until"], row["expires_at"], row["first_due_at"]) == (None, us(24 * 3600), us(0))
    assert work.report.outcomes["requeued"] == 1
    assert notification_row(world, one.notification.id)["state"] == "active"


@pytest.mark.parametrize(
    ("label", "says", "outcome", "code", "reason"),
    [
        ("not on WhatsApp", refused(131026), "FALLBACK", "131026", "undeliverable"),
        ("a parameter is wrong", refused(131009), "DEAD", "131009", "bad_message"),
        ("the template is paused", refused(132015), "TEMPLATE_STOP", "132015", "template_stopped"),
    ],
)
def test_a_definite_no_opens_the_next_channel_at_once_and_wakes_its_lane(
    world: World, label: str, says: Says, outcome: str, code: str, reason: str
) -> None:
    [one] = due(world)
    work = run(drain_of(world, Scripted([says])))
    first, second = deliveries_of(world, one.notification.id)
    assert (first["state"], first["outcome"], first["code"], first["reason"]) == ("failed", outcome, code, reason)
    assert (first["attempts"], work.report.outcomes["failed"]) == (1, 1)
    assert (second["state"], second["lane"], second["channel"], second["position"]) == ("queued", "nile-sms", "sms", 1)
    assert (second["due_at"], second["expires_at"], second["reason"]) == (us(0), first["expires_at"], reason)
    assert world.published == ["nile-sms"]


def test_the_next_channel_carries_the_same_words_to_the_same_person(world: World) -> None:
    [one] = due(world)
    run(drain_of(world, Scripted([refused(131026)])))
    transport = Scripted(rest=queued_sms)
    run(drain_of(world, transport, "nile-sms"))
    [sent] = transport.sent
    assert (sent.claimed.notification_id, sent.outgoing.to) == (one.notification.id, one.notification.phone)
    assert [row["state"] for row in deliveries_of(world, one.notification.id)] == ["failed", "accepted"]


def test_on_the_last_channel_a_definite_no_ends_the_notification(world: World) -> None:
    [one] = due(world, channels=("whatsapp",))
    run(drain_of(world, Scripted([refused(131026)])))
    row = notification_row(world, one.notification.id)
    assert (row["state"], row["reason"], row["detail"]) == ("unreached", "all_channels_failed", "whatsapp:131026")
    assert world.published == []


def test_a_refusal_for_consent_takes_no_other_channel_and_is_remembered(world: World) -> None:
    [one] = due(world)
    run(drain_of(world, Scripted([refused(131050)])))
    [row] = deliveries_of(world, one.notification.id)
    assert (row["state"], row["outcome"]) == ("failed", "SUPPRESS")
    ended = notification_row(world, one.notification.id)
    assert (ended["state"], ended["reason"]) == ("unreached", "refused")
    # The next message to that person is not even tried on this channel.
    [later] = due(world, phone=str(one.notification.phone), consent=False)
    transport = Scripted()
    run(drain_of(world, transport))
    assert transport.sent == []
    assert notification_row(world, later.notification.id)["reason"] == "opted_out"


@pytest.mark.parametrize(
    ("label", "says"), [("silence", LOST), ("a yes that cannot be read", Says(200, b"<html>")), ("a 506", refused(506))]
)
def test_a_lost_answer_is_unknown_and_never_sent_again(world: World, label: str, says: Says) -> None:
    [one] = due(world)
    transport = Scripted([says])
    run(drain_of(world, transport))
    world.clock.move(HOUR)
    run(drain_of(world, transport))
    row = delivery_row(world, one.delivery.id)
    assert (row["state"], row["outcome"], row["attempts"], row["reason"]) == (
        "unknown",
        "UNKNOWN",
        1,
        "unknown_outcome",
    )
    assert row["fallback_at"] == us(6 * 3600 + 60)
    assert len(transport.sent) == 1


def test_an_acceptance_that_comes_after_its_own_receipt_is_harmless(world: World) -> None:
    [one] = due(world)

    def receipt() -> None:
        with world.ledger.begin() as conn:
            steps.receive(conn, [steps.ReceiptRow(one.delivery.id, "delivered", NOW, "wamid.1")], NOW)

    work = run(drain_of(world, Scripted([accepted("wamid.1")], before_poll=receipt)))
    row = delivery_row(world, one.delivery.id)
    assert (row["state"], row["provider_id"], row["attempts"], row["accepted_at"]) == ("delivered", "wamid.1", 1, us(0))
    assert (work.report.outcomes["accepted"], work.report.outcomes["lost"]) == (0, 1)


def test_a_failure_that_comes_after_its_own_receipt_opens_no_other_channel(world: World) -> None:
    [one] = due(world)

    def receipt() -> None:
        with world.ledger.begin() as conn:
            steps.receive(conn, [steps.ReceiptRow(one.delivery.id, "delivered", NOW, "wamid.1")], NOW)

    run(drain_of(world, Scripted([refused(131026)], before_poll=receipt)))
    assert [row["state"] for row in deliveries_of(world, one.notification.id)] == ["delivered"]


def test_a_provider_that_is_too_fast_for_one_person_blocks_that_person_only(world: World) -> None:
    due(world, phone=PHONE)
    run(drain_of(world, Scripted([refused(131056)])))
    waits = world.runtime.limiter.admit_pairs("nile-wa", [PHONE, "+201009999999"])
    assert [bool(wait) for wait in waits] == [True, False]


def test_a_batch_of_throttles_slows_the_sender_once(world: World) -> None:
    due(world, 5)
    transport = Scripted(rest=lambda: refused(130429), hold=True)
    work = drain_of(world, transport)
    while transport.in_flight < 5:
        work.turn()
    transport.hold = False
    run(work)
    state = world.runtime.limiter.state("nile-wa")
    assert state.throttles == 1
    assert 500 <= state.current_rate < 510


def test_too_many_messages_to_one_person_wait_without_an_attempt(world: World) -> None:
    due(world, 47, phone=PHONE)
    transport = Scripted()
    work = run(drain_of(world, transport))
    assert len(transport.sent) == 45
    assert states(world) == {"accepted": 45, "queued": 2}
    assert work.report.outcomes["requeued"] == 2
    denied = [one for one in all_deliveries(world) if one["state"] == "queued"]
    assert {(one["reason"], one["attempts"], one["throttles"]) for one in denied} == {("throttle_pair", 0, 1)}
    first, second = sorted(one["due_at"] for one in denied)
    assert us(5) < first <= us(6) < second <= us(12)


def test_a_denial_that_would_outlast_the_message_takes_the_next_channel(world: World) -> None:
    world.runtime.limiter.block_pair("nile-wa", PHONE, HOUR)
    [one] = due(world, phone=PHONE, expires_at=NOW + HOUR)
    transport = Scripted()
    run(drain_of(world, transport))
    first, second = deliveries_of(world, one.notification.id)
    assert (first["state"], first["reason"], first["code"]) == ("failed", "out_of_time", "throttle_pair")
    assert (second["state"], second["channel"], transport.sent) == ("queued", "sms", [])


def test_a_request_that_the_transport_will_not_take_stops_the_sender_and_keeps_the_message(world: World) -> None:
    [one] = due(world)

    class Refusing(Scripted):
        def submit(self, token: Any, request: Request) -> None:
            raise NotAllowed("transport: header Authorization holds a line break")

    transport = Refusing()
    run(drain_of(world, transport))
    row = delivery_row(world, one.delivery.id)
    assert (row["state"], row["reason"], row["code"], row["attempts"]) == ("queued", "sender_stopped", "not_started", 0)
    assert (breaker_row(world, "nile-wa") or {})["state"] == "open"


def test_a_message_that_cannot_be_built_fails_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from notifier.channels import meta

    made = due(world, 3)
    bad, build = made[1].delivery.id, meta.build

    def picky(outgoing: Any, sender: Sender) -> Request:
        if outgoing.ref == bad:
            raise NotifierError("meta: cannot be built")
        return build(outgoing, sender)

    monkeypatch.setattr(meta, "build", picky)
    run(drain_of(world, Scripted()))
    assert states(world) == {"accepted": 2, "failed": 1, "queued": 1}
    row = delivery_row(world, bad)
    assert (row["state"], row["outcome"], row["reason"]) == ("failed", "DEAD", "bad_message")


def test_a_message_that_makes_us_fail_is_set_aside_and_the_lane_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = due(world, 3)
    bad = made[1].delivery.id

    def failing(runtime: Any, one: Any, *rest: Any) -> Any:
        if one.delivery_id == bad:
            raise KeyError("+201001234567")
        return prepare(runtime, one, *rest)

    prepare = carry.prepare
    monkeypatch.setattr(carry, "prepare", failing)
    transport = Scripted()
    run(drain_of(world, transport))
    row = delivery_row(world, bad)
    assert (len(transport.sent), row["state"], row["code"], row["reason"]) == (2, "failed", "poison", "bad_message")
    assert row["detail"].startswith("KeyError at ")
    assert "+20" not in row["detail"]
    assert [each["channel"] for each in deliveries_of(world, made[1].notification.id)] == ["whatsapp", "sms"]


def test_a_process_that_slept_through_the_lease_sends_nothing(world: World) -> None:
    [one] = due(world)
    transport = Scripted()
    work = drain_of(world, transport)
    claim(work, 1)  # claimed; now the process is stopped for longer than its lease
    world.clock.move(world.runtime.settings.drain.lease)
    assert sweep(world.runtime, "release_expired_leases").moved == {"requeue": 1, "fail": 0, "lose_track": 0}
    run(work)
    assert (transport.sent, work.closing) == ([], True)
    assert delivery_row(world, one.delivery.id)["state"] == "queued"


def test_nothing_starts_whose_answer_might_come_after_its_lease(world: World) -> None:
    """Or a living drain's message would be `unknown`, and fall back to SMS beside the answer."""
    [one] = due(world, phone=PHONE)
    transport, settings = Scripted(), world.runtime.settings.drain
    work = drain_of(world, transport)
    claim(work, 1)
    world.clock.move(settings.lease - settings.request_timeout - settings.connect_timeout)
    run(work)
    row = delivery_row(world, one.delivery.id)
    assert (transport.sent, row["state"], row["attempts"]) == ([], "queued", 0)
    assert not any(world.runtime.limiter.admit_pairs("nile-wa", [PHONE] * 45)), "its token is back"
    world.runtime.limiter.back_pairs("nile-wa", [PHONE] * 45)
    run(drain_of(world, transport))
    assert (transport.refs, delivery_row(world, one.delivery.id)["state"]) == ([one.delivery.id], "accepted")


class TestAtSendTime:
    """The world moved between plan and send."""

    def test_a_newer_event_silences_the_older_one(self, world: World) -> None:
        [old] = due(world, order_id="o1", rank=10)
        [new] = due(world, order_id="o1", event="order.shipped", rank=70, due_at=NOW + HOUR)
        transport = Scripted()
        work = run(drain_of(world, transport))
        row = notification_row(world, old.notification.id)
        assert (row["state"], row["reason"], row["detail"]) == ("suppressed", "superseded", "order.shipped")
        assert delivery_row(world, old.delivery.id)["state"] == "cancelled"
        assert delivery_row(world, new.delivery.id)["state"] == "queued"
        assert (transport.sent, work.report.outcomes["suppressed"]) == ([], 1)

    def test_a_stop_silences_what_waits(self, world: World) -> None:
        [one] = due(world)
        with world.ledger.begin() as conn:
            allow(conn, [str(one.notification.phone)], granted=False)
        transport = Scripted()
        run(drain_of(world, transport))
        row = notification_row(world, one.notification.id)
        assert (row["state"], row["reason"], row["detail"]) == ("suppressed", "opted_out", "whatsapp")
        assert (delivery_row(world, one.delivery.id)["state"], transport.sent) == ("cancelled", [])
        assert deliveries_of(world, one.notification.id)[0]["attempts"] == 0

    def test_what_another_channel_has_told_by_now_is_not_sent(self, world: World) -> None:
        [one] = due(world)
        with world.ledger.begin() as conn:
            steps.tell(conn, [steps.Tell(one.notification.id, "whatsapp", NOW)], NOW)
        transport = Scripted()
        run(drain_of(world, transport))
        assert notification_row(world, one.notification.id)["state"] == "told"
        row = delivery_row(world, one.delivery.id)
        assert (row["state"], row["reason"], transport.sent) == ("cancelled", "late_delivered", [])

    def test_without_any_consent_nothing_is_sent(self, world: World) -> None:
        [one] = due(world, consent=False)
        transport = Scripted()
        run(drain_of(world, transport))
        assert notification_row(world, one.notification.id)["reason"] == "no_consent"
        assert transport.sent == []

    @pytest.mark.parametrize(
        ("label", "changes"),
        [("a template that is gone", {"template": "nobody_wrote"}), ("a locale nobody wrote", {"locale": "tlh"})],
    )
    def test_what_cannot_be_rendered_fails_and_takes_the_next_channel(
        self, world: World, label: str, changes: dict[str, Any]
    ) -> None:
        [one] = due(world, **changes)
        transport = Scripted()
        work = run(drain_of(world, transport))
        first, second = deliveries_of(world, one.notification.id)
        assert (first["state"], first["outcome"], first["code"]) == ("failed", "DEAD", "render")
        assert (second["state"], second["channel"]) == ("queued", "sms")
        assert (transport.sent, work.report.outcomes["failed"], world.published) == ([], 1, ["nile-sms"])

    def test_a_shop_that_left_the_configuration_fails_alone(self, world: World) -> None:
        [gone] = due(world)
        with world.ledger.begin() as conn:
            conn.exec_driver_sql("UPDATE notification SET shop = 'gone'")
            conn.exec_driver_sql("UPDATE delivery SET shop = 'gone'")
            conn.exec_driver_sql("UPDATE consent SET shop = 'gone'")
        [one] = due(world)
        run(drain_of(world, Scripted()))
        assert delivery_row(world, one.delivery.id)["state"] == "accepted"
        row = delivery_row(world, gone.delivery.id)
        assert (row["state"], row["code"]) == ("failed", "no_shop")
        assert notification_row(world, gone.notification.id)["reason"] == "all_channels_failed"


class TestPortfolio:
    """Senders that share a limit of unique recipients in 24 hours."""

    @pytest.fixture
    def limited(self, world: World) -> World:
        runtime = make_runtime(
            world.ledger,
            world.runtime.redis,
            clock=world.clock,
            published=world.published,
            senders={"nile-wa": {"portfolio": "nile", "portfolio_tier": 2}},
        )
        return World(runtime, world.clock, world.published)

    def test_a_full_portfolio_puts_strangers_off_for_an_hour(self, limited: World) -> None:
        due(limited, phone="+201000000001")
        due(limited, phone="+201000000002")
        [third] = due(limited, phone="+201000000003", due_at=NOW - SECOND)
        transport = Scripted()
        work = run(drain_of(limited, transport))
        assert (len(transport.sent), work.report.outcomes["requeued"]) == (2, 1)
        [put_off] = [row for row in all_deliveries(limited) if row["state"] == "queued"]
        assert (put_off["reason"], put_off["code"]) == ("portfolio_full", "portfolio_full")
        assert (put_off["attempts"], put_off["throttles"], put_off["due_at"]) == (0, 0, us(3600))
        assert third.delivery.id in transport.refs

    def test_who_was_written_to_may_be_written_to_again(self, limited: World) -> None:
        due(limited, phone="+201000000001")
        due(limited, phone="+201000000002")
        run(drain_of(limited, Scripted()))
        due(limited, phone="+201000000002")
        transport = Scripted()
        run(drain_of(limited, transport))
        assert [one.outgoing.to for one in transport.sent] == ["+201000000002"]

    def test_a_token_of_the_pair_comes_back_when_the_portfolio_says_no(self, limited: World) -> None:
        limited.runtime.limiter.admit_portfolio("nile", ["+201000000001", "+201000000002"], 2)
        due(limited, 3, phone=PHONE)
        run(drain_of(limited, Scripted()))
        waits = limited.runtime.limiter.admit_pairs("nile-wa", [PHONE] * 45)
        assert [wait for wait in waits if wait] == []

    def test_what_would_expire_meanwhile_takes_the_next_channel(self, limited: World) -> None:
        limited.runtime.limiter.admit_portfolio("nile", ["+201000000001", "+201000000002"], 2)
        [one] = due(limited, phone="+201000000003", expires_at=NOW + HOUR)
        run(drain_of(limited, Scripted()))
        first, second = deliveries_of(limited, one.notification.id)
        assert (first["state"], first["reason"], first["code"]) == ("failed", "out_of_time", "portfolio_full")
        assert (second["state"], second["channel"]) == ("queued", "sms")
        assert notification_row(limited, one.notification.id)["state"] == "active"


def test_history_keeps_why_a_message_went_back(world: World) -> None:
    [one] = due(world)
    run(drain_of(world, Scripted([refused(130429)])))
    assert steps_of(world, one.delivery.id) == [("requeue", "throttle_sender")]
