"""Receipts that were lost on our side: the silence of what was on its way then means nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
import sqlalchemy as sa

from notifier import loops
from notifier.hearing import Hearing, hear, newest_receipts
from notifier.ledger import hearing, steps
from notifier.ledger.instants import to_us
from notifier.ledger.schema import delivery
from notifier.loops import receipts_once
from notifier.policy.hearing import Neighbours, Window, windows
from notifier.streams import Receipts
from notifier.sweeps import sweep
from notifier.telling.lanes import overview
from tests.fixtures.drains import Scripted, deliveries_of, drain_of, due, notification_row, run
from tests.fixtures.ledger import HOUR, NOW, Queued
from tests.fixtures.runtime import World
from tests.integration.movements.arriving import receive, status, under_way, webhook
from tests.integration.movements.test_sweeps import configured

MINUTE = timedelta(minutes=1)
# Time-to-live and buffer are over for what was accepted at NOW; then also the time that late receipts have.
SILENT = NOW + 6 * HOUR + MINUTE
LATER = SILENT + HOUR


def carry(world: World, number: int, at: datetime = NOW) -> list[Queued]:
    """So many accepted by the provider at that time."""
    world.clock.now = at
    made = due(world, number)
    run(drain_of(world, Scripted()))
    with world.ledger.begin() as conn:
        ids = [one.delivery.id for one in made]
        conn.execute(sa.update(delivery).where(delivery.c.id.in_(ids)).values(accepted_at=to_us(at)))
    return made


def hear_of(world: World, made: Sequence[Queued], at: datetime = NOW) -> None:
    """`sent` of all of these, and nothing more: their phones are off."""
    with world.ledger.begin() as conn:
        steps.receive(conn, [steps.ReceiptRow(one.delivery.id, "sent", at, None) for one in made], at)


def silence(world: World, at: datetime = LATER) -> dict[str, int]:
    world.clock.now = at
    return sweep(world.runtime, "fall_back_silent").moved


def ears(world: World, at: datetime) -> Hearing:
    with world.ledger.read() as conn:
        return hear(conn, "nile-wa", at, world.runtime.settings.fallback)


def test_with_receipts_of_its_neighbours_missing_nobody_falls_back(world: World) -> None:
    off, *_ = made = carry(world, 10)
    hear_of(world, made[:5])
    assert ears(world, LATER).lost_until == NOW + MINUTE
    assert silence(world) == {"expire": 5}
    note = notification_row(world, off.notification.id)
    assert (note["state"], note["reason"]) == ("unreached", "receipts_lost")
    assert len(deliveries_of(world, off.notification.id)) == 1


def test_receipts_that_are_only_late_are_waited_for_and_then_silence_means_silence(world: World) -> None:
    off, *_ = made = carry(world, 10)
    hear_of(world, made[:5])
    assert silence(world, SILENT) == {"postpone": 5}
    assert silence(world, SILENT) == {}
    hear_of(world, made[5:])
    silence(world, SILENT + MINUTE)
    assert [row["channel"] for row in deliveries_of(world, off.notification.id)] == ["whatsapp", "sms"]


def test_where_the_operator_says_so_they_fall_back(world: World) -> None:
    chosen = configured(world, fallback={"unknown": "fall_back"})
    off, *_ = made = carry(chosen, 10)
    hear_of(chosen, made[:5])
    silence(chosen)
    assert [row["channel"] for row in deliveries_of(chosen, off.notification.id)] == ["whatsapp", "sms"]


@pytest.mark.parametrize(("label", "unheard", "sms"), [("one fewer than the floor", 4, True), ("the floor", 5, False)])
def test_a_few_odd_messages_are_an_accident(world: World, label: str, unheard: int, sms: bool) -> None:
    off, *_ = made = carry(world, 10)
    hear_of(world, made[unheard:] if sms else made[: 10 - unheard])
    one = made[-1] if sms else off
    silence(world)
    assert (len(deliveries_of(world, one.notification.id)) == 2) == sms, label


@pytest.mark.parametrize(("last", "lost_until"), [(24, NOW + MINUTE), (25, None)])
def test_five_among_more_neighbours_than_the_share_allows_are_an_accident(
    world: World, last: int, lost_until: datetime | None
) -> None:
    made = sorted(carry(world, 30), key=lambda one: one.delivery.id)
    odd = [made[place] for place in (0, 6, 12, 18, last)]
    hear_of(world, [one for one in made if one not in odd])
    assert ears(world, LATER) == Hearing(lost_until, 5 / (last + 1))


@pytest.mark.parametrize(("heard", "lost"), [(20, True), (21, False)])
def test_neighbours_are_those_made_between_them(world: World, heard: int, lost: bool) -> None:
    made = carry(world, 5 + heard)
    with world.ledger.begin() as conn:
        ids = [f"{place + 1000:012x}{one.delivery.id[12:]}" for place, one in enumerate(made)]
        for one, new in zip(made, ids, strict=True):
            conn.execute(sa.update(delivery).where(delivery.c.id == one.delivery.id).values(id=new))
        unheard = (ids[0], *ids[-4:])
        rows = [steps.ReceiptRow(one, "sent", NOW, None) for one in ids if one not in unheard]
        steps.receive(conn, rows, NOW)
        [window] = windows(hearing.unheard(conn, "nile-wa", LATER), 5, 9)
        whole = hearing.neighbours(conn, "nile-wa", [window])
    assert whole == [Neighbours(heard, 1.0)]
    assert (ears(world, LATER).lost_until is not None) == lost


def test_what_was_accepted_after_the_loss_is_silent_as_ever(world: World) -> None:
    carry(world, 5)
    after = carry(world, 1, NOW + 2 * MINUTE)
    hear_of(world, after)
    silence(world, LATER + 2 * MINUTE)
    assert [row["channel"] for row in deliveries_of(world, after[0].notification.id)] == ["whatsapp", "sms"]


def test_a_loss_while_it_was_on_its_way_counts_hours_after_its_own_receipt(world: World) -> None:
    off = carry(world, 1)
    hear_of(world, off)
    carry(world, 5, NOW + 5 * HOUR)
    silence(world)
    assert notification_row(world, off[0].notification.id)["reason"] == "receipts_lost"


def test_what_may_still_be_heard_of_is_not_counted(world: World) -> None:
    carry(world, 5, LATER - MINUTE + timedelta(microseconds=1))
    assert ears(world, LATER) == Hearing(None, 0.0)


def test_another_lane_says_nothing_about_this_one(world: World) -> None:
    carry(world, 5)
    with world.ledger.begin() as conn:
        conn.execute(sa.update(delivery).values(lane="other"))
    assert ears(world, LATER) == Hearing(None, 0.0)


def test_what_the_provider_keeps_back_is_not_unheard(world: World) -> None:
    carry(world, 5)
    with world.ledger.begin() as conn:
        conn.execute(sa.update(delivery).values(reason="held"))
    assert ears(world, LATER) == Hearing(None, 0.0)


def test_a_receipt_that_comes_after_all_tells(world: World) -> None:
    off, *_ = made = carry(world, 10)
    hear_of(world, made[:5])
    silence(world)
    receive(world, webhook(status("delivered", "nobody", ref=off.delivery.id)))
    assert notification_row(world, off.notification.id)["state"] == "told"


def test_while_a_receipt_of_its_time_waits_in_our_stream_no_silence_is_decided(world: World) -> None:
    """Its reader died, and the batch waits until another takes it over; the sweep sent the SMS meanwhile."""
    off = carry(world, 1)
    hear_of(world, off)
    now = datetime.now(UTC)
    with world.ledger.begin() as conn:
        conn.execute(sa.update(delivery).values(fallback_at=to_us(now + MINUTE)))
    Receipts(world.runtime.redis, "notifier:").append("meta", webhook(status("delivered", "x", ref=off[0].delivery.id)))
    assert silence(world, now + 2 * MINUTE) == {}
    receipts_once(world.runtime, Event())
    assert silence(world, now + 2 * MINUTE) == {}
    assert notification_row(world, off[0].notification.id)["state"] == "told"


def test_what_came_after_the_end_of_its_time_holds_up_nothing(world: World) -> None:
    off = carry(world, 1)
    hear_of(world, off)
    Receipts(world.runtime.redis, "notifier:").append("meta", webhook(status("delivered", "nobody's")))
    assert silence(world, datetime.now(UTC) + HOUR) == {"expire": 1}


def test_receipts_that_were_lost_with_an_emptied_server_are_no_silence(world: World) -> None:
    made = under_way(world)
    receive(world, webhook(status("sent")))
    with world.ledger.begin() as conn:
        conn.execute(sa.update(delivery).values(fallback_at=to_us(LATER)))
    world.runtime.redis.flushdb()
    world.clock.now = NOW + HOUR
    receipts_once(world.runtime, Event())
    assert silence(world) == {"expire": 1}
    assert notification_row(world, made.notification.id)["reason"] == "receipts_lost"


@pytest.mark.parametrize("turned_back", [True, False])
def test_receipts_that_were_lost_with_the_last_second_of_the_server_are_no_silence(
    world: World, turned_back: bool
) -> None:
    door, reader = Receipts(world.runtime.redis, "notifier:"), loops._receipts_reader(world.runtime)
    reader.read(1, None)  # the very first start
    made = under_way(world)
    for _ in range(2):
        door.append("meta", webhook(status("sent")))
        loops._receipts(world.runtime, reader, reader.read(1, None))
        if turned_back:
            world.runtime.redis.decr("notifier:receipts:done")
    with world.ledger.begin() as conn:
        conn.execute(sa.update(delivery).values(fallback_at=to_us(LATER)))
    world.clock.now = NOW + HOUR
    reader.read(1, None)
    silence(world)
    assert deliveries_of(world, made.notification.id)[0]["reason"] == ("receipts_lost" if turned_back else "silent")


def test_after_a_loss_every_sender_pauses_and_starts_at_half_its_rate(world: World) -> None:
    carry(world, 1)
    world.runtime.redis.flushdb()
    receipts_once(world.runtime, Event())
    lease = world.runtime.limiter.lease("nile-wa", 1)
    state = world.runtime.limiter.state("nile-wa")
    assert (lease.starts, round(lease.wait.total_seconds(), 1), state.throttles) == ((), 0.8, 0)
    assert 500 <= state.current_rate <= 510
    assert world.runtime.limiter.state("nile-sms").current_rate <= 510


def test_at_the_very_first_start_nothing_was_lost_and_nobody_is_slow(world: World) -> None:
    due(world)
    receipts_once(world.runtime, Event())
    assert world.runtime.limiter.state("nile-wa").current_rate == 1000
    with world.ledger.read() as conn:
        assert hearing.last_gap(conn) is None


def test_a_gap_says_nothing_about_what_was_accepted_after_it(world: World) -> None:
    with world.ledger.begin() as conn:
        hearing.note_gap(conn, NOW - MINUTE)
    made = carry(world, 1)
    hear_of(world, made)
    silence(world)
    assert len(deliveries_of(world, made[0].notification.id)) == 2


def test_lanes_show_the_newest_receipt_and_until_when_they_were_lost(world: World) -> None:
    carry(world, 5)
    one = due(world)[0]
    run(drain_of(world, Scripted()))
    receive(world, webhook(status("sent", "x", at=NOW + MINUTE, ref=one.delivery.id)))
    receive(world, webhook(status("sent", "x", at=NOW, ref=one.delivery.id)))
    assert newest_receipts(world.runtime.redis, "notifier:") == {"nile-wa": NOW + MINUTE}
    row = next(row for row in overview(world.runtime, LATER).lanes if row.lane == "nile-wa")
    assert (row.newest_receipt, row.lost_until, row.unheard_share) == (NOW + MINUTE, NOW + MINUTE, 1.0)


def test_of_a_long_stretch_the_beginning_stands_for_the_rest() -> None:
    window = Window(f"{0:012x}a", f"{1000:012x}z", NOW, NOW)
    assert [hearing.share_read(window, last) for last in (f"{100:012x}m", window.last_id, window.first_id)] == [
        0.1,
        1.0,
        0.001,
    ]
