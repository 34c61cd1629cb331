"""What cannot become a plan is set aside with its reason, and never holds up the rest; what is away is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from notifier import intake
from notifier.embedded import RunningServer, start_server
from notifier.inbox import Inbox, RoadUnavailable
from notifier.intake import take_in
from notifier.ledger import LedgerUnavailable
from notifier.loops import intake_once
from notifier.plan import plan
from notifier.replay import feed_again
from notifier.runtime import Runtime
from notifier.streams import Quarantine
from tests.fixtures.redis_server import connect
from tests.fixtures.runtime import World, make_runtime
from tests.integration.movements.incoming import (
    AT_ONCE,
    AwayLedger,
    an_order,
    append_event,
    append_raw,
    hand_in,
    quarantined,
    reader_of,
    rows,
    take_all,
)


def orders(world: World) -> list[str]:
    return [order for (order,) in rows(world.ledger, "order_event", "order_id")]


def test_an_event_that_is_no_event_is_set_aside_with_every_fault_and_the_rest_goes_through(world: World) -> None:
    append_raw(world.runtime, b'{"shop":"Nile!","event":"order.created"}', "k1")
    hand_in(world.runtime, an_order("1"))
    report = take_all(world.runtime)

    assert (report.new, report.quarantined, orders(world)) == (1, 1, ["1"])
    ((reason, detail),) = quarantined(world.runtime)
    assert reason == "invalid"
    assert detail.startswith("not an order event: /shop: String should match pattern")
    assert detail.endswith("; /order_id: Field required")
    assert "Nile!" not in detail


def test_an_item_that_no_door_wrote_is_set_aside(world: World) -> None:
    world.runtime.redis.xadd(world.runtime.inbox.stream, {"hello": "world"})
    world.runtime.redis.xadd(world.runtime.inbox.stream, {"id": b"\xff", "key": b"\xff", "door": "x", "body": "{}"})
    hand_in(world.runtime, an_order("1"))
    report = take_all(world.runtime)

    assert (report.new, report.quarantined, world.runtime.inbox.stats().length) == (1, 2, 0)
    assert quarantined(world.runtime) == [
        ("invalid", "no door wrote this item: KeyError"),
        ("invalid", "no door wrote this item: UnicodeDecodeError"),
    ]


def test_the_event_of_an_unknown_shop_waits_for_its_shop_and_is_told_when_fed_again(
    world: World, ledger: Any, redis_client: Any
) -> None:
    hand_in(world.runtime, an_order("1", shop="delta"), an_order("2"))
    take_all(world.runtime)
    assert quarantined(world.runtime) == [
        ("unknown_shop", "no [shops.delta] in the configuration: add it, then feed it again")
    ]
    (waiting,) = world.runtime.quarantine.list(1)
    assert [fed.problem for fed in feed_again(world.runtime, [waiting])] == [
        "there is still no [shops.delta] in the configuration"
    ]

    delta = {"display_name": "Delta", "country": "EG", "routes": [{"whatsapp": "nile-wa"}]}
    mended = make_runtime(ledger, redis_client, clock=world.clock, shops={"delta": delta})
    assert [fed.problem for fed in feed_again(mended, [waiting])] == [None]
    take_all(mended)
    assert (orders(world), mended.quarantine.length()) == (["1", "2"], 0)


def test_a_mended_copy_of_a_quarantined_event_is_no_duplicate(world: World) -> None:
    hand_in(world.runtime, an_order("1", shop="delta"))
    take_all(world.runtime)
    (again,) = hand_in(world.runtime, an_order("1", shop="delta"))
    assert again.status == "queued"


@pytest.mark.parametrize(
    ("label", "value", "stored"),
    [
        ("a NUL", "a\x00b", False),
        ("a NUL behind a backslash", "a\\\x00b", False),
        ("the letters of one", "a\\u0000b", True),
    ],
)
def test_a_nul_in_the_text_is_refused_and_its_spelling_is_not(
    world: World, label: str, value: str, stored: bool
) -> None:
    hand_in(world.runtime, an_order("1", customer={"name": value}), an_order("2"))
    take_all(world.runtime)

    expected = [] if stored else [("invalid", "the text holds a NUL character, which no database stores: remove it")]
    assert quarantined(world.runtime) == expected
    assert orders(world) == (["1", "2"] if stored else ["2"])


def test_what_the_database_refuses_is_set_aside_without_its_words(world: World) -> None:
    hand_in(world.runtime, an_order("1"), an_order("2"))
    take_all(world.runtime)
    ((taken,), _) = rows(world.ledger, "order_event", "id")
    append_event(world.runtime, an_order("3"), taken)  # an id that another event has: a broken door
    hand_in(world.runtime, an_order("4"))
    report = take_all(world.runtime)

    assert (report.new, report.quarantined, orders(world)) == (1, 1, ["1", "2", "4"])
    ((reason, detail),) = quarantined(world.runtime)
    assert reason == "refused"
    assert detail.startswith("the ledger refused a row: ")
    assert "+20" not in detail


class Poison(RuntimeError):
    """What a fault of ours raises; its words could be anybody's phone."""


def _poisonous(event: Any, context: Any, now: Any) -> Any:
    if event.order_id == "poison":
        raise Poison("+201001234567")
    return plan(event, context, now)


def test_an_event_that_makes_us_fail_is_set_aside_by_its_place_and_the_rest_goes_through(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "plan", _poisonous)
    hand_in(world.runtime, an_order("1"), an_order("poison"), an_order("2"))
    report = take_all(world.runtime)

    assert (report.events, report.new, report.duplicates, report.quarantined) == (3, 2, 0, 1)
    assert (orders(world), world.published) == (["1", "2"], ["nile-wa"])
    ((reason, detail),) = quarantined(world.runtime)
    assert (reason, detail.split(" ")[:2]) == ("poison", ["Poison", "at"])
    assert "test_intake_faults.py:" in detail
    assert "+20" not in detail
    assert world.runtime.inbox.stats().length == 0


def test_a_poison_event_is_told_once_it_is_fed_to_a_mended_version(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(intake, "plan", _poisonous)
        hand_in(world.runtime, an_order("poison"))
        take_all(world.runtime)
    feed_again(world.runtime, world.runtime.quarantine.list(1))
    take_all(world.runtime)
    assert (orders(world), quarantined(world.runtime)) == (["poison"], [])


def test_an_event_that_kills_its_reader_is_set_aside_and_the_innocent_beside_it_go_through(world: World) -> None:
    """Four readers die with it (settings.inbox.poison_after is 3); from the third on it goes alone."""
    hand_in(world.runtime, an_order("killer"), an_order("1"), an_order("2"))
    for death in range(3):
        items = reader_of(world.runtime, f"dead-{death}", AT_ONCE).read(10, None)
        assert items[0].deliveries == death + 1
    heir = reader_of(world.runtime, "heir", AT_ONCE)
    while items := heir.read(10, None):
        take_in(world.runtime, heir, items)

    assert orders(world) == ["1", "2"]
    assert quarantined(world.runtime) == [("poison", "handed out 4 times without an end")]


def test_however_often_the_ledger_is_away_nobody_becomes_poison(world: World) -> None:
    away = AwayLedger(world.ledger)
    runtime = replace(world.runtime, ledger=away)
    hand_in(runtime, *(an_order(str(number)) for number in range(4)))
    reader = reader_of(runtime)
    for dies in (False, True) * 4:
        away.gone, away.dies = not dies, dies
        items = reader.read(10, None)
        assert [item.deliveries for item in items] == [1, 1, 1, 1]
        with pytest.raises(LedgerUnavailable):
            take_in(runtime, reader, items)
        reader.give_back(items)

    away.gone = away.dies = False
    assert take_in(runtime, reader, reader.read(10, None)).new == 4
    assert (orders(world), quarantined(runtime)) == (["0", "1", "2", "3"], [])


def test_a_tick_takes_nothing_while_the_ledger_is_away(world: World) -> None:
    away = AwayLedger(world.ledger)
    runtime = replace(world.runtime, ledger=away)
    hand_in(runtime, an_order("1"))
    away.gone = True
    assert intake_once(runtime, Event()) == 0
    assert reader_of(runtime).backlog().pending == 0

    away.gone = False
    assert intake_once(runtime, Event()) == 1
    assert orders(world) == ["1"]


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server that this test may stop."""
    with start_server(tmp_path / "redis") as server:
        yield server


def on(server: RunningServer, world: World) -> Runtime:
    redis = connect(server.url)
    return replace(world.runtime, redis=redis, inbox=Inbox(redis), quarantine=Quarantine(redis, "notifier:"))


def test_redis_that_goes_away_after_the_commit_costs_nothing_but_a_second_reading(
    world: World, own_server: RunningServer, tmp_path: Path
) -> None:
    runtime = on(own_server, world)
    hand_in(runtime, an_order("1"), an_order("2", shop="delta"))
    reader = reader_of(runtime)
    items = reader.read(10, None)
    own_server.stop()
    with pytest.raises(RoadUnavailable):
        take_in(runtime, reader, items)
    assert orders(world) == ["1"]

    with start_server(tmp_path / "redis") as back:
        runtime = on(back, world)
        reader = reader_of(runtime)
        report = take_in(runtime, reader, reader.read(10, None))
        assert (report.new, report.duplicates, report.quarantined) == (0, 1, 1)
        assert (quarantined(runtime)[0][0], runtime.inbox.stats().length) == ("unknown_shop", 0)
    assert rows(world.ledger, "order_event", "order_id", "copies") == [("1", 1)]
