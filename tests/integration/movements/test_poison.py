"""A message that makes us fail, or kills its process, costs itself and nobody else, wherever on its way it does so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest

from notifier import booking, carry, record
from notifier.booking import Entry
from notifier.carry import Triage
from notifier.channels import meta
from notifier.channels.contract import Accepted
from notifier.ledger import LedgerUnavailable
from notifier.sweeps import APART, sweep
from tests.fixtures.drains import (
    Scripted,
    accepted,
    claim,
    deliveries_of,
    delivery_row,
    drain_of,
    due,
    notification_row,
    run,
    states,
)
from tests.fixtures.ledger import Queued
from tests.fixtures.runtime import World

PLACES: Mapping[str, tuple[Any, str]] = {
    "the guards": (carry, "_overtaken"),
    "the template": (carry, "prepare"),
    "the request": (meta, "build"),
}


class Killed(BaseException):
    """In the place of SIGKILL: nothing of ours catches it."""


def _about(args: tuple[Any, ...]) -> str:
    """Whose message a call is about."""
    ids = (getattr(one, "delivery_id", None) or getattr(one, "ref", None) for one in args)
    return str(next(filter(None, ids)))


def touching(monkeypatch: pytest.MonkeyPatch, place: tuple[Any, str], act: Any) -> None:
    """Calls `act` with the id of each message whose content is touched there."""
    home, name = place
    real = getattr(home, name)

    def touched(*args: Any) -> Any:
        act(_about(args))
        return real(*args)

    monkeypatch.setattr(home, name, touched)


@pytest.fixture
def made(world: World) -> list[Queued]:
    return due(world, 5)


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Iterator[tuple[Any, str]]:
    yield PLACES[request.param]


def test_no_message_is_touched_before_its_claim_is_on_record(
    world: World, monkeypatch: pytest.MonkeyPatch, made: list[Queued], place: tuple[Any, str]
) -> None:
    seen = []
    touching(monkeypatch, place, lambda one: seen.append(delivery_row(world, one)["state"]))
    run(drain_of(world, Scripted()))
    assert seen == ["claimed"] * len(made)


def test_a_message_that_makes_us_fail_is_set_aside_and_the_others_go(
    world: World, monkeypatch: pytest.MonkeyPatch, made: list[Queued], place: tuple[Any, str]
) -> None:
    bad = made[1].delivery.id

    def fail(one: str) -> None:
        if one == bad:
            raise KeyError("+201001234567")

    touching(monkeypatch, place, fail)
    transport = Scripted()
    run(drain_of(world, transport))
    row = delivery_row(world, bad)
    assert (row["state"], row["code"], row["reason"]) == ("failed", "poison", "bad_message")
    assert row["detail"].startswith("KeyError at ") and "+20" not in row["detail"]
    assert [each["channel"] for each in deliveries_of(world, made[1].notification.id)] == ["whatsapp", "sms"]
    assert sorted(transport.refs) == sorted(one.delivery.id for one in made if one.delivery.id != bad)


def test_a_message_that_kills_whoever_renders_it_is_set_aside_alone(
    world: World, monkeypatch: pytest.MonkeyPatch, made: list[Queued]
) -> None:
    """Five are claimed with it and die with it twice; then they are due one after the other, and go."""
    bad, deaths = made[1].delivery.id, []

    def die(one: str) -> None:
        if one == bad:
            deaths.append(one)
            raise Killed

    touching(monkeypatch, PLACES["the template"], die)
    lease, transport = world.runtime.settings.drain.lease, Scripted()
    for _ in range(3 * (lease // APART + len(made))):
        with suppress(Killed):
            _drain_that_may_die(world, transport)
        world.clock.move(APART)
        sweep(world.runtime, "release_expired_leases")
    row = delivery_row(world, bad)
    assert (len(deaths), row["state"], row["code"]) == (3, "failed", "poison")
    assert sorted(transport.refs) == sorted(one.delivery.id for one in made if one.delivery.id != bad)
    assert states(world) == {"accepted": 4, "failed": 1, "queued": 1}


def _drain_that_may_die(world: World, transport: Scripted) -> None:
    work = drain_of(world, transport)
    claim(work, 10)
    run(work)


def test_those_that_died_twice_are_due_apart_and_before_they_expire(world: World) -> None:
    expires_at = world.clock() + 2 * world.runtime.settings.drain.lease + timedelta(seconds=3)
    made = due(world, 6, expires_at=expires_at)
    for _ in range(2):
        claim(drain_of(world, Scripted()), 6)
        world.clock.move(world.runtime.settings.drain.lease)
        assert sweep(world.runtime, "release_expired_leases").moved["requeue"] == 6
    times = sorted(delivery_row(world, one.delivery.id)["due_at"] for one in made)
    waits = [round((at - times[0]) / 1_000_000, 1) for at in times]
    assert waits == [0.0, 0.2, 0.5, 0.8, 1.0, 1.2]


def test_an_answer_that_makes_us_fail_is_unknown_and_the_others_are_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch, made: list[Queued]
) -> None:
    def read(status: int, body: bytes) -> Accepted:
        if b"odd" in body:
            raise IndexError
        return Accepted("wamid.1", held=False)

    monkeypatch.setattr(meta, "read_answer", read)
    transport = Scripted([accepted("odd")])
    run(drain_of(world, transport))
    assert states(world) == {"accepted": 4, "unknown": 1}
    assert delivery_row(world, transport.refs[0])["state"] == "unknown"


def test_a_result_that_makes_us_fail_waits_for_its_lease_and_the_others_are_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch, made: list[Queued]
) -> None:
    bad, sort = made[2].delivery.id, record._sort

    def sorting(runtime: Any, lane: str, result: record.Result, *rest: Any) -> None:
        if result.claimed.delivery_id == bad:
            raise ValueError
        sort(runtime, lane, result, *rest)

    monkeypatch.setattr(record, "_sort", sorting)
    run(drain_of(world, Scripted()))
    assert states(world) == {"accepted": 4, "claimed": 1}
    world.clock.move(world.runtime.settings.drain.lease)
    sweep(world.runtime, "release_expired_leases")
    assert delivery_row(world, bad)["state"] == "unknown"


def test_a_drain_that_slept_beyond_its_lease_holds_nothing_back_that_another_has_sent(world: World) -> None:
    """It had claimed both, and would fail the one and silence the other when it wakes."""
    failed, silenced = due(world, 2)
    sleeper = drain_of(world, Scripted())
    sleeper._waiting.open()
    with world.ledger.begin() as conn:
        taken = sleeper._booking._claim(conn, Entry([], 10, world.clock()))
    world.clock.move(world.runtime.settings.drain.lease)
    sweep(world.runtime, "release_expired_leases")
    run(drain_of(world, Scripted()))
    assert states(world) == {"accepted": 2}
    ones = {one.delivery_id: one for one in taken.claimed}
    triage = Triage(
        overtaken=[(ones[silenced.delivery.id], "opted_out", "")],
        failures=[carry.poisoned(ones[failed.delivery.id], ValueError(), world.clock())],
    )
    with world.ledger.begin() as conn:
        assert carry.hold_back(conn, world.runtime, triage, world.clock(), sleeper.owner) == set()
    assert states(world) == {"accepted": 2}
    assert notification_row(world, silenced.notification.id)["state"] == "active"


def test_a_result_that_could_not_be_recorded_is_not_sent_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor when a commit fails after it, and the drain hands back what the ledger counts as its own."""
    (made,) = due(world)
    transport = Scripted(hold=True)
    work = drain_of(world, transport)
    while not transport.in_flight:
        work.turn()
    with monkeypatch.context() as broken:
        broken.setattr(record, "_sort", Mock(side_effect=KeyError))
        transport.hold = False
        while not work._booking._dropped:
            work.turn()
    work._doubtful = work.closing = True
    while work.busy:
        work.turn()
    assert states(world) == {"claimed": 1}
    assert transport.refs == [made.delivery.id]


def test_what_was_recorded_stands_when_what_was_claimed_cannot_be_held_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    due(world)
    transport = Scripted()
    work = drain_of(world, transport)
    while not work._results:
        work.turn()
    due(world, template="no_such_template")
    record_once = Mock(wraps=record.record)
    monkeypatch.setattr(booking, "record", record_once)
    with monkeypatch.context() as broken:
        broken.setattr(booking, "hold_back", Mock(side_effect=LedgerUnavailable("away")))
        with pytest.raises(LedgerUnavailable):
            claim(work, 10)
    assert (states(world), work._results) == ({"accepted": 1, "claimed": 1}, [])
    work.closing = True
    while work.busy:
        work.turn()
    assert record_once.call_count == 1
    assert states(world) == {"accepted": 1, "queued": 1}, "nobody saw the claim, so it goes back"
