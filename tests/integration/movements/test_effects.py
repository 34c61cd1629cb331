"""What an outcome means for others: the person's consent, the limiter, the breakers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from notifier import telemetry
from notifier.carry import watch_portfolio
from notifier.channels.contract import OutcomeClass
from notifier.effects import Seen, note_outcomes, store_breaker
from notifier.ledger import plans
from notifier.policy.breaker import Breaker, closed, probing
from notifier.policy.reasons import Reason
from notifier.road import RoadUnavailable
from tests.fixtures.drains import PHONE, breaker_row
from tests.fixtures.ledger import NOW
from tests.fixtures.runtime import World, make_runtime


def seen(outcome: OutcomeClass | None, code: str = "1", **changes: Any) -> Seen:
    about: dict[str, Any] = {
        "lane": "nile-wa",
        "channel": "whatsapp",
        "shop": "nile",
        "event": "order.created",
        "phone": PHONE,
        "template": "order_created",
        "locale": "ar",
    }
    return Seen(**(about | changes), outcome=outcome, code=code)


def note(world: World, *outcomes: Seen, by: str = "drain") -> None:
    with world.ledger.begin() as conn:
        note_outcomes(conn, world.runtime, outcomes, NOW, by)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Everything that is noted, instead of being logged."""
    heard: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(telemetry, "note", lambda name, /, **fields: heard.append((name, fields)))
    return heard


def test_a_stop_that_the_provider_knows_is_written_down_for_that_channel(world: World) -> None:
    note(world, seen(OutcomeClass.SUPPRESS, "131050"), seen(OutcomeClass.SUPPRESS, "131050", phone="+201009999999"))
    with world.ledger.read() as conn:
        records = plans.consents(conn, [("nile", PHONE), ("nile", "+201009999999")])
    assert [(one.channel, one.purpose, one.granted, one.source) for one in records] == [
        ("whatsapp", "order_updates", False, "provider:131050")
    ] * 2


def test_a_batch_of_throttles_is_one_word_to_the_limiter(
    world: World, monkeypatch: pytest.MonkeyPatch, notes: list[tuple[str, dict[str, Any]]]
) -> None:
    calls: list[tuple[Any, ...]] = []
    for name in ("throttled", "block_pair"):
        monkeypatch.setattr(world.runtime.limiter, name, counted(getattr(world.runtime.limiter, name), name, calls))
    slow = [seen(OutcomeClass.THROTTLE_SENDER) for _ in range(50)]
    pairs = [seen(OutcomeClass.THROTTLE_PAIR) for _ in range(5)]
    note(world, *slow, *pairs, seen(OutcomeClass.THROTTLE_PAIR, phone="+201009999999"))
    assert sorted(calls) == [
        ("block_pair", "nile-wa", PHONE),
        ("block_pair", "nile-wa", "+201009999999"),
        ("throttled", "nile-wa"),
    ]
    assert [name for name, _ in notes] == ["lane.throttled"]


def counted(real: Callable[..., Any], name: str, calls: list[tuple[Any, ...]]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        calls.append((name, *args))
        return real(*args)

    return call


def test_a_limiter_that_is_away_keeps_nothing_from_the_ledger(
    world: World, monkeypatch: pytest.MonkeyPatch, notes: list[tuple[str, dict[str, Any]]]
) -> None:
    def away(*_: Any) -> None:
        raise RoadUnavailable("away")

    monkeypatch.setattr(world.runtime.limiter, "throttled", away)
    note(world, seen(OutcomeClass.THROTTLE_SENDER), seen(OutcomeClass.SENDER_STOP, "190"))
    assert (breaker_row(world, "nile-wa") or {})["state"] == "open"
    assert [name for name, _ in notes] == ["breaker.opened", "road.away"]


def test_breakers_are_noted_when_they_open_and_close_and_not_when_they_probe(
    world: World, notes: list[tuple[str, dict[str, Any]]]
) -> None:
    opened = Breaker("lane", "nile-wa", "open", Reason.SENDER_STOPPED, "190", NOW, NOW)
    with world.ledger.begin() as conn:
        for breaker in (opened, probing(opened, NOW), closed(opened)):
            store_breaker(conn, breaker, NOW, "drain")
    assert [(name, fields["name"]) for name, fields in notes] == [
        ("breaker.opened", "nile-wa"),
        ("breaker.closed", "nile-wa"),
    ]


def test_a_batch_that_agrees_opens_a_breaker_once_and_good_news_writes_nothing(world: World) -> None:
    note(world, *(seen(OutcomeClass.SENDER_STOP, "190") for _ in range(5)), by="receipts")
    assert (breaker_row(world, "nile-wa") or {})["by_whom"] == "receipts"
    note(world, seen(None, ""))
    assert (breaker_row(world, "nile-wa") or {})["state"] == "open"
    assert breaker_row(world, "order_created/ar@nile-wa") is None


@pytest.mark.parametrize(("people", "warned"), [(7, False), (8, True), (10, True)])
def test_a_portfolio_is_spoken_of_from_four_fifths_on(
    world: World, notes: list[tuple[str, dict[str, Any]]], people: int, warned: bool
) -> None:
    runtime = make_runtime(
        world.ledger, world.runtime.redis, senders={"nile-wa": {"portfolio": "nile", "portfolio_tier": 10}}
    )
    runtime.limiter.admit_portfolio("nile", [f"+2010000000{number:02d}" for number in range(people)], 10)
    watch_portfolio(runtime, "nile-wa")
    watch_portfolio(runtime, "nile-sms")
    said = [("portfolio.filling", {"portfolio": "nile", "used": people, "tier": 10})] if warned else []
    assert notes == said


class TestRuntime:
    """The few answers that the runtime works out."""

    def test_silence_counts_from_the_time_to_live_of_the_template(self, world: World) -> None:
        runtime = world.runtime
        assert runtime.silence_at("nile-wa", "out_for_delivery", NOW) == NOW + timedelta(minutes=31)
        assert runtime.silence_at("nile-wa", "review_request", NOW) == NOW + timedelta(days=30, minutes=1)
        assert runtime.silence_at("nile-sms", "out_for_delivery", NOW) == NOW + timedelta(hours=10, minutes=1)

    def test_what_left_the_configuration_is_waited_for_longest(self, world: World) -> None:
        assert world.runtime.silence_at("gone", "gone", NOW) == NOW + timedelta(days=30, minutes=1)

    def test_a_sender_s_own_measure_of_silence_goes_over_the_common_one(self, world: World) -> None:
        runtime = make_runtime(
            world.ledger,
            world.runtime.redis,
            fallback={"silence_after": "13h"},
            senders={"nile-wa": {"silence_after": "14h"}},
        )
        assert runtime.silence_at("nile-wa", "order_created", NOW) == NOW + timedelta(hours=14)
        assert runtime.silence_at("nile-sms", "order_created", NOW) == NOW + timedelta(hours=13)

    def test_a_lost_answer_waits_an_hour_or_as_long_as_its_message_may_live(self, world: World) -> None:
        runtime = world.runtime
        assert runtime.unknown_until("nile-wa", "out_for_delivery", NOW) == NOW + timedelta(hours=1)
        assert runtime.unknown_until("nile-wa", "order_created", NOW) == NOW + timedelta(hours=6, minutes=1)

    def test_a_sender_may_have_fewer_requests_in_flight_than_a_drain_and_never_more(self, world: World) -> None:
        runtime = make_runtime(
            world.ledger,
            world.runtime.redis,
            drain={"in_flight": 100},
            senders={"nile-wa": {"in_flight": 3}, "nile-sms": {"in_flight": 900}},
        )
        assert (runtime.in_flight("nile-wa"), runtime.in_flight("nile-sms")) == (3, 100)

    def test_a_wake_up_that_cannot_be_published_may_be_asked_for_again(self, world: World) -> None:
        object.__setattr__(world.runtime, "publish", lambda lane, channel: False)
        assert world.runtime.wake(["nile-wa", "nobody"]) == 0
        object.__setattr__(world.runtime, "publish", lambda lane, channel: True)
        assert world.runtime.wake(["nile-wa", "nile-wa"]) == 1
        assert world.runtime.wake(["nile-wa"]) == 0
