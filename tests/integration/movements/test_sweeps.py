"""Every sweep on each side of its edge, with more than a page, twice, two at once, and with the ledger away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Never, cast

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from notifier.ledger import Ledger, LedgerUnavailable, breakers, receipts, steps
from notifier.ledger.instants import to_us
from notifier.ledger.receipts import Parked
from notifier.ledger.schema import delivery, notification, order_event, parked_receipt
from notifier.policy.breaker import Breaker, closed
from notifier.policy.reasons import Reason
from notifier.sweeps import SWEEPS, SweepReport, sweep
from tests.fixtures.drains import (
    LOST,
    Scripted,
    all_deliveries,
    claim,
    deliveries_of,
    delivery_row,
    drain_of,
    due,
    notification_row,
    queued_sms,
    run,
    states,
)
from tests.fixtures.ledger import HOUR, NOW, Queued
from tests.fixtures.runtime import World, make_runtime

TICK = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
Mode = Literal["hold", "fall_back", "resend"]


def configured(world: World, **changes: Any) -> World:
    """The same world under other settings."""
    runtime = make_runtime(world.ledger, world.runtime.redis, clock=world.clock, published=world.published, **changes)
    return World(runtime, world.clock, world.published)


def stopped(world: World, lane: str = "nile-wa") -> None:
    with world.ledger.begin() as conn:
        breakers.store(conn, Breaker("lane", lane, "open", Reason.SENDER_STOPPED, "190", NOW), NOW, "drain")


def overdue(world: World, number: int) -> datetime:
    due(world, number, expires_at=NOW + HOUR)
    return NOW + HOUR


def lapsed(world: World, number: int) -> datetime:
    due(world, number)
    claim(drain_of(world, Scripted()), number)
    return NOW + world.runtime.settings.drain.lease


def sent(world: World, made: Sequence[Queued]) -> None:
    """Receipts that say so: the provider has sent these on their way."""
    with world.ledger.begin() as conn:
        steps.receive(conn, [steps.ReceiptRow(one.delivery.id, "sent", NOW, None) for one in made], NOW)


def silent(world: World, number: int) -> datetime:
    made = due(world, number)
    run(drain_of(world, Scripted()))
    sent(world, made)
    return NOW + 6 * HOUR + MINUTE


def unknown(world: World, number: int) -> datetime:
    due(world, number)
    run(drain_of(world, Scripted(rest=lambda: LOST)))
    return NOW + 6 * HOUR + MINUTE


def behind_a_stopped_sender(world: World, number: int) -> datetime:
    due(world, number, expires_at=NOW + HOUR)
    stopped(world)
    return NOW + HOUR - world.runtime.settings.fallback.margin


def parked(world: World, number: int) -> datetime:
    """Receipts that came at NOW + 1 h, before their delivery was known by the provider's id."""
    made = due(world, number)
    run(drain_of(world, Scripted()))
    with world.ledger.begin() as conn:
        receipts.park(conn, [receipt(one) for one in made], NOW)
    return NOW + HOUR


def receipt(one: Queued, *, received_at: datetime = NOW + HOUR, ref: str | None = None) -> Parked:
    found = ref or one.delivery.id
    return Parked(f"r-{found}", "meta", None, found, "delivered", NOW, None, None, "", received_at)


def forgettable(world: World, number: int) -> datetime:
    """Ended at NOW, forgotten after 90 days: at the edge they are not older than that."""
    made = due(world, number)
    with world.ledger.begin() as conn:
        why = [steps.Suppress(one.notification.id, "expired") for one in made]
        steps.cancel(conn, [steps.Cancel(one.delivery.id, "expired") for one in made], NOW, "test")
        steps.suppress(conn, why, NOW, "test")
    return NOW + world.runtime.settings.sweep.keep_personal + TICK


@dataclass(frozen=True, slots=True)
class Case:
    """A sweep; how rows come to it, and from which moment on it takes them; what it calls its step."""

    sweep: str
    prepare: Callable[[World, int], datetime]
    step: str


CASES = [
    Case("expire_overdue", overdue, "expire"),
    Case("release_expired_leases", lapsed, "requeue"),
    Case("fall_back_silent", silent, "expire"),
    Case("decide_unknown", unknown, "expire"),
    Case("leave_stopped_senders", behind_a_stopped_sender, "cancel"),
    Case("join_parked_receipts", parked, "joined"),
    Case("forget_old", forgettable, "forgotten"),
]
each_sweep = pytest.mark.parametrize("case", CASES, ids=lambda case: case.sweep)


def moved(report: SweepReport, case: Case) -> int:
    return report.moved.get(case.step, 0)


def test_every_sweep_of_deliveries_is_tried_here() -> None:
    """Those of waiting events live, and are tried, with the webhooks."""
    ours = {name for name, (run_, _) in SWEEPS.items() if run_.__module__ == "notifier.sweeps"}
    assert {case.sweep for case in CASES} | {"wake_due_lanes"} == ours


@each_sweep
def test_it_takes_a_row_at_its_edge_and_not_before(world: World, case: Case) -> None:
    world.clock.now = case.prepare(world, 1) - TICK
    before = sweep(world.runtime, case.sweep)
    assert (before.seen, moved(before, case), before.finished, before.error) == (0, 0, True, None)
    world.clock.move(TICK)
    after = sweep(world.runtime, case.sweep)
    assert (after.seen, moved(after, case), after.lost, after.finished) == (1, 1, 0, True)


@each_sweep
def test_a_second_run_finds_nothing(world: World, case: Case) -> None:
    world.clock.now = case.prepare(world, 3)
    assert moved(sweep(world.runtime, case.sweep), case) == 3
    again = sweep(world.runtime, case.sweep)
    assert (again.seen, moved(again, case), again.lost) == (0, 0, 0)


@each_sweep
def test_more_than_a_page_is_done_in_one_run(world: World, case: Case) -> None:
    small = configured(world, sweep={"page": 2})
    small.clock.now = case.prepare(small, 5)
    report = sweep(small.runtime, case.sweep)
    assert (report.seen, moved(report, case), report.finished) == (5, 5, True)


@each_sweep
def test_two_at_once_move_each_row_once(world: World, case: Case) -> None:
    small = configured(world, sweep={"page": 3})
    small.clock.now = case.prepare(small, 12)
    reports: list[SweepReport] = []
    threads = [threading.Thread(target=lambda: reports.append(sweep(small.runtime, case.sweep))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    sweep(small.runtime, case.sweep)
    assert [report.error for report in reports] == [None, None]
    assert sum(moved(report, case) for report in reports) == 12


class Away:
    """A ledger that cannot be reached."""

    def begin(self) -> Never:
        raise LedgerUnavailable("the ledger is away")

    read = begin


@pytest.mark.parametrize("name", SWEEPS)
def test_a_ledger_that_is_away_is_a_report(world: World, name: str) -> None:
    report = sweep(replace(world.runtime, ledger=cast("Ledger", Away())), name)
    assert (report.finished, report.error, sum(report.moved.values())) == (False, "the ledger is away", 0)


def test_a_ledger_that_goes_away_inside_a_page_is_a_report_of_what_was_committed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = configured(world, sweep={"page": 2})
    small.clock.now = silent(small, 4)
    real, calls = steps.expire, []

    def breaks(*args: Any, **named: Any) -> steps.Moved:
        calls.append(1)
        done = real(*args, **named)
        if len(calls) == 2:
            raise OperationalError("UPDATE", {}, Exception("server closed the connection"))
        return done

    monkeypatch.setattr(steps, "expire", breaks)
    report = sweep(small.runtime, "fall_back_silent")
    assert (report.finished, report.moved, report.seen) == (False, {"expire": 2}, 2)
    assert "unavailable" in (report.error or "")
    assert states(world) == {"expired": 2, "sent": 2, "queued": 2}
    assert world.published == ["nile-sms"]


def test_a_sweep_whose_time_is_up_says_so_and_goes_on_next_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    small = configured(world, sweep={"page": 2})
    small.clock.now = overdue(small, 3)
    monkeypatch.setattr("notifier.sweeps.BUDGET", timedelta(0))
    assert sweep(small.runtime, "expire_overdue").finished is False
    monkeypatch.undo()
    assert sweep(small.runtime, "expire_overdue").moved == {"expire": 3}


def test_a_full_page_of_which_nothing_moves_is_not_a_success(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    small = configured(world, sweep={"page": 2})
    small.clock.now = overdue(small, 2)
    monkeypatch.setattr(steps, "expire", lambda *_: steps.Moved(frozenset(), frozenset()))
    report = sweep(small.runtime, "expire_overdue")
    assert (report.seen, report.lost, report.finished) == (2, 2, False)


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        sweep(cast("Any", None), "sweep_everything")


class TestWakeDueLanes:
    def test_lanes_with_due_work_are_woken_and_others_not(self, world: World) -> None:
        due(world, 2)
        due(world, lane="nile-sms", channel="sms", position=1, due_at=NOW + TICK)
        report = sweep(world.runtime, "wake_due_lanes")
        assert (report.seen, report.moved, world.published) == (1, {"woken": 1}, ["nile-wa"])
        world.clock.move(TICK)
        sweep(world.runtime, "wake_due_lanes")
        assert world.published == ["nile-wa", "nile-sms"]

    def test_a_lane_whose_wake_up_is_unanswered_is_not_asked_again(self, world: World) -> None:
        due(world)
        sweep(world.runtime, "wake_due_lanes")
        assert sweep(world.runtime, "wake_due_lanes").moved == {"woken": 0}
        assert world.published == ["nile-wa"]

    def test_a_lane_that_left_the_configuration_is_left_alone(self, world: World) -> None:
        due(world, lane="gone")
        assert sweep(world.runtime, "wake_due_lanes").moved == {"woken": 0}
        assert world.published == []


class TestWhatBecomesOfThem:
    def test_what_expired_before_it_was_tried_is_suppressed(self, world: World) -> None:
        [one] = due(world, expires_at=NOW + HOUR)
        world.clock.move(HOUR)
        sweep(world.runtime, "expire_overdue")
        row = notification_row(world, one.notification.id)
        assert (row["state"], row["reason"]) == ("suppressed", "expired")
        assert delivery_row(world, one.delivery.id)["state"] == "expired"

    def test_what_was_tried_until_it_expired_is_unreached(self, world: World) -> None:
        [one] = due(world, expires_at=NOW + HOUR)
        run(drain_of(world, Scripted(rest=lambda: LOST)))
        with world.ledger.begin() as conn:
            steps.resend(conn, [steps.Resend(one.delivery.id, NOW + HOUR, "test")], NOW, "test")
        world.clock.move(HOUR)
        sweep(world.runtime, "expire_overdue")
        row = notification_row(world, one.notification.id)
        assert (row["state"], row["reason"]) == ("unreached", "expired")

    def test_silence_takes_the_next_channel_and_wakes_it(self, world: World) -> None:
        [one] = due(world, expires_at=NOW + 24 * HOUR)
        run(drain_of(world, Scripted()))
        sent(world, [one])
        world.clock.move(6 * HOUR + MINUTE)
        sweep(world.runtime, "fall_back_silent")
        first, second = deliveries_of(world, one.notification.id)
        assert (first["state"], first["reason"]) == ("expired", "silent")
        assert (second["state"], second["channel"], second["reason"]) == ("queued", "sms", "silent")
        assert world.published == ["nile-sms"]

    def test_what_was_heard_of_just_now_has_a_buffer_to_be_delivered(self, world: World) -> None:
        """Receipts that were held for longer than the silence come one after the other: `sent`, and then the rest."""
        [one] = due(world, expires_at=NOW + 24 * HOUR)
        run(drain_of(world, Scripted()))
        world.clock.move(6 * HOUR + MINUTE)
        with world.ledger.begin() as conn:
            steps.receive(conn, [steps.ReceiptRow(one.delivery.id, "sent", NOW, None)], world.clock())
        assert sweep(world.runtime, "fall_back_silent").seen == 0
        world.clock.move(world.runtime.settings.fallback.buffer)
        sweep(world.runtime, "fall_back_silent")
        assert [row["channel"] for row in deliveries_of(world, one.notification.id)] == ["whatsapp", "sms"]

    def test_silence_on_the_last_channel_is_unreached(self, world: World) -> None:
        [one] = due(world, lane="nile-sms", channel="sms", position=1, expires_at=NOW + 48 * HOUR)
        run(drain_of(world, Scripted(rest=queued_sms), "nile-sms"))
        sent(world, [one])
        world.clock.move(10 * HOUR + MINUTE)
        sweep(world.runtime, "fall_back_silent")
        row = notification_row(world, one.notification.id)
        assert (row["state"], row["reason"], row["detail"]) == ("unreached", "silent", "sms:")

    def test_silence_of_what_is_not_worth_telling_any_more_is_unreached(self, world: World) -> None:
        [one] = due(world, expires_at=NOW + HOUR)
        run(drain_of(world, Scripted()))
        sent(world, [one])
        world.clock.move(6 * HOUR + MINUTE)
        sweep(world.runtime, "fall_back_silent")
        assert notification_row(world, one.notification.id)["reason"] == "silent"
        assert len(deliveries_of(world, one.notification.id)) == 1

    @pytest.mark.parametrize(
        ("mode", "channels", "ending"),
        [
            ("hold", ["whatsapp"], ("unreached", "unknown_outcome")),
            ("fall_back", ["whatsapp", "sms"], ("active", None)),
            ("resend", ["whatsapp", "sms"], ("active", None)),
        ],
    )
    def test_an_answer_without_any_receipt_is_decided_like_a_lost_one_and_never_resent(
        self, world: World, mode: Mode, channels: list[str], ending: tuple[str, str | None]
    ) -> None:
        chosen = configured(world, fallback={"unknown": mode})
        [one] = due(chosen, expires_at=NOW + 24 * HOUR)
        run(drain_of(chosen, Scripted()))
        chosen.clock.move(6 * HOUR + MINUTE)
        assert sweep(chosen.runtime, "fall_back_silent").seen == 0
        sweep(chosen.runtime, "decide_unknown")
        row = notification_row(chosen, one.notification.id)
        assert [tried["channel"] for tried in deliveries_of(chosen, one.notification.id)] == channels
        assert (row["state"], row["reason"]) == ending

    @pytest.mark.parametrize(
        ("mode", "delivery_state", "channels", "notification_state"),
        [
            ("hold", "expired", ["whatsapp"], "unreached"),
            ("fall_back", "expired", ["whatsapp", "sms"], "active"),
            ("resend", "queued", ["whatsapp"], "active"),
        ],
    )
    def test_a_lost_answer_is_decided_as_the_operator_chose(
        self, world: World, mode: Mode, delivery_state: str, channels: list[str], notification_state: str
    ) -> None:
        chosen = configured(world, fallback={"unknown": mode})
        [one] = due(chosen)
        run(drain_of(chosen, Scripted([LOST])))
        chosen.clock.move(6 * HOUR + MINUTE)
        sweep(chosen.runtime, "decide_unknown")
        rows = deliveries_of(world, one.notification.id)
        assert (rows[0]["state"], [row["channel"] for row in rows]) == (delivery_state, channels)
        assert notification_row(world, one.notification.id)["state"] == notification_state

    def test_a_resent_message_wakes_its_lane_and_goes_once_more(self, world: World) -> None:
        chosen = configured(world, fallback={"unknown": "resend"})
        [one] = due(chosen)
        transport = Scripted([LOST])
        run(drain_of(chosen, transport))
        chosen.clock.move(6 * HOUR + MINUTE)
        sweep(chosen.runtime, "decide_unknown")
        assert world.published == ["nile-wa"]
        run(drain_of(chosen, transport))
        row = delivery_row(world, one.delivery.id)
        assert (row["state"], row["attempts"], len(transport.sent)) == ("accepted", 2, 2)

    def test_a_lapsed_lease_waits_as_long_as_its_message_may_be_under_way(self, world: World) -> None:
        [one] = due(world)
        claim(drain_of(world, Scripted()), 1)
        world.runtime.redis.flushdb()  # who had left is forgotten
        world.clock.move(MINUTE)
        sweep(world.runtime, "release_expired_leases")
        row = delivery_row(world, one.delivery.id)
        assert (row["state"], row["reason"], row["attempts"]) == ("unknown", "lease_ended", 1)
        assert row["fallback_at"] == to_us(NOW + MINUTE + 6 * HOUR + MINUTE)

    def test_a_lapsed_lease_of_a_sender_and_template_that_are_gone_stops_nobody(self, world: World) -> None:
        due(world, 2)
        claim(drain_of(world, Scripted()), 2)
        world.runtime.redis.flushdb()
        with world.ledger.begin() as conn:
            conn.execute(sa.update(delivery).values(lane="gone"))
            conn.execute(sa.update(notification).values(template="gone"))
        world.clock.move(MINUTE)
        assert sweep(world.runtime, "release_expired_leases").moved == {"requeue": 0, "fail": 0, "lose_track": 2}
        assert {row["fallback_at"] for row in all_deliveries(world)} == {
            to_us(NOW + MINUTE + timedelta(days=30) + MINUTE)
        }

    def test_a_stopped_sender_gives_up_what_the_next_channel_can_still_carry(self, world: World) -> None:
        [one] = due(world, expires_at=NOW + 10 * MINUTE)
        stopped(world)
        sweep(world.runtime, "leave_stopped_senders")
        first, second = deliveries_of(world, one.notification.id)
        assert (first["state"], first["reason"]) == ("cancelled", "sender_stopped")
        assert (second["state"], second["channel"], world.published) == ("queued", "sms", ["nile-sms"])

    def test_a_message_on_its_last_channel_waits_for_the_sender_to_the_end(self, world: World) -> None:
        small = configured(world, sweep={"page": 2})
        due(small, 4, channels=("whatsapp",), expires_at=NOW + 2 * MINUTE)
        [behind] = due(small, expires_at=NOW + 5 * MINUTE)
        stopped(small)
        report = sweep(small.runtime, "leave_stopped_senders")
        assert (report.seen, report.moved) == (1, {"cancel": 1})
        assert delivery_row(world, behind.delivery.id)["state"] == "cancelled"
        assert states(world)["queued"] == 5

    def test_a_sender_that_works_keeps_its_messages(self, world: World) -> None:
        due(world, expires_at=NOW + MINUTE)
        with world.ledger.begin() as conn:
            breakers.store(conn, closed(Breaker("lane", "nile-wa")), NOW, "drain")
        assert sweep(world.runtime, "leave_stopped_senders").seen == 0
        assert states(world) == {"queued": 1}

    def test_a_parked_receipt_tells_its_message_once_its_delivery_is_known(self, world: World) -> None:
        world.clock.now = parked(world, 1)
        sweep(world.runtime, "join_parked_receipts")
        assert states(world) == {"delivered": 1}
        with world.ledger.read() as conn:
            assert conn.execute(sa.select(sa.func.count()).select_from(parked_receipt)).scalar_one() == 0

    def test_receipts_that_nobody_knows_hold_up_no_other_and_are_dropped_in_time(self, world: World) -> None:
        small = configured(world, sweep={"page": 2})
        [mine] = due(small)
        run(drain_of(small, Scripted()))
        strangers = [receipt(mine, received_at=NOW, ref=f"stranger-{number}") for number in range(4)]
        with world.ledger.begin() as conn:
            receipts.park(conn, [*strangers, receipt(mine)], NOW)
        small.clock.now = NOW + timedelta(days=7)
        assert sweep(small.runtime, "join_parked_receipts").moved == {"joined": 1, "dropped": 0}
        small.clock.move(TICK)
        assert sweep(small.runtime, "join_parked_receipts").moved == {"dropped": 4}

    def test_forgetting_takes_phones_and_bodies_and_leaves_what_happened(self, world: World) -> None:
        world.clock.now = forgettable(world, 1)
        [alive] = due(world)
        sweep(world.runtime, "forget_old")
        with world.ledger.read() as conn:
            rows = conn.execute(
                sa.select(notification.c.id, notification.c.phone, notification.c.state, order_event.c.body).join(
                    order_event, order_event.c.id == notification.c.event_id
                )
            ).all()
        by_id = {row.id: row for row in rows}
        kept = by_id.pop(alive.notification.id)
        [gone] = by_id.values()
        assert (gone.phone, gone.body, gone.state) == (None, "{}", "suppressed")
        assert kept.phone == alive.notification.phone
