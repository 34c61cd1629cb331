"""A body that cannot be applied is set aside, and never keeps the others waiting; an outage is waited for."""

from __future__ import annotations

from dataclasses import replace
from threading import Event
from typing import Any

import pytest

from notifier import receipts
from notifier.channels import meta
from notifier.ledger import LedgerUnavailable
from notifier.loops import receipts_once
from notifier.receipts import take_receipts
from notifier.streams import Receipts
from tests.fixtures.runtime import World
from tests.integration.movements.arriving import (
    counts,
    receipts_reader,
    receive,
    state_of,
    status,
    under_way,
    webhook,
)
from tests.integration.movements.incoming import AT_ONCE, AwayLedger, quarantined, rows


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'{"entry": 5}',
        b'{"entry":[{"changes":[{"field":"messages","value":{"a":1}}]}]}',
    ],
    ids=["empty", "no text", "null", "a list", "no entries", "nothing known"],
)
def test_a_body_that_says_nothing_is_read_and_forgotten(world: World, body: bytes) -> None:
    made = under_way(world)
    report = receive(world, body, webhook(status("delivered")))

    assert (counts(report), state_of(world, made)) == ((1, 1, 0, 0), "delivered")
    assert quarantined(world.runtime) == []


def test_a_body_of_a_provider_nobody_knows_is_set_aside_and_the_rest_applied(world: World) -> None:
    made = under_way(world)
    Receipts(world.runtime.redis, "notifier:").append("pigeon", b"{}")
    report = receive(world, webhook(status("delivered")))

    assert (report.applied, state_of(world, made)) == (1, "delivered")
    ((reason, place),) = quarantined(world.runtime)
    assert reason == "poison"
    assert place.startswith("NotifierError at ")
    assert receipts_reader(world.runtime).backlog().length == 0


def test_an_item_without_its_fields_is_set_aside(world: World) -> None:
    world.runtime.redis.xadd("notifier:receipts", {"hello": "world"})
    world.runtime.redis.xadd("notifier:receipts", {"provider": "meta", "body": "{}", "query": b"\xff=\xff"})
    assert receipts_once(world.runtime, Event()) == 2
    assert [reason for reason, _ in quarantined(world.runtime)] == ["poison", "poison"]


class Poison(RuntimeError):
    """What a fault of ours raises; its words could be anybody's phone."""


def test_a_body_that_makes_us_fail_does_not_come_again_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_updates(body: bytes, query: Any) -> Any:
        if b"poison" in body:
            raise Poison("+201001234567")
        return read(body, query)

    read = meta.read_updates
    monkeypatch.setattr(meta, "read_updates", read_updates)
    first, second = under_way(world), under_way(world, provider_id="wamid.2")
    good = [webhook(status("delivered", found)) for found in ("wamid.1", "wamid.2")]
    for body in (good[0], b"poison", good[1]):
        Receipts(world.runtime.redis, "notifier:").append("meta", body)

    assert receipts_once(world.runtime, Event()) == 3
    assert [state_of(world, made) for made in (first, second)] == ["delivered", "delivered"]
    ((reason, place),) = quarantined(world.runtime)
    assert (reason, place.split(" ")[0]) == ("poison", "Poison")
    assert "+20" not in place
    assert receipts_reader(world.runtime).backlog().length == 0


def test_what_fails_while_it_is_applied_takes_nothing_of_the_others_with_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(conn: Any, runtime: Any, updates: Any, now: Any) -> Any:
        report = apply(conn, runtime, updates, now)
        if any(update.provider_id == "wamid.bad" for _, update in updates):
            raise Poison
        return report

    apply = receipts.apply_updates
    monkeypatch.setattr(receipts, "apply_updates", fails)
    good, bad = under_way(world), under_way(world, provider_id="wamid.bad")
    report = receive(world, webhook(status("delivered")), webhook(status("delivered", "wamid.bad")))

    assert (report.applied, state_of(world, good), state_of(world, bad)) == (1, "delivered", "accepted")
    assert rows(world.ledger, "notification", "state") == [("active",), ("told",)]


def test_a_body_that_kills_its_reader_is_set_aside(world: World) -> None:
    made = under_way(world)
    for body in (b"killer", webhook(status("delivered"))):
        Receipts(world.runtime.redis, "notifier:").append("meta", body)
    for death in range(3):
        assert receipts_reader(world.runtime, f"dead-{death}", AT_ONCE).read(10, None)
    heir = receipts_reader(world.runtime, "heir", AT_ONCE)
    while items := heir.read(10, None):
        take_receipts(world.runtime, items, world.clock())
        heir.done([item.id for item in items])

    assert quarantined(world.runtime) == [("poison", "handed out 4 times without an end")]
    assert state_of(world, made) == "delivered"


def test_a_ledger_that_is_away_costs_no_receipt(world: World) -> None:
    away = AwayLedger(world.ledger)
    runtime = replace(world.runtime, ledger=away)
    made = under_way(world)
    Receipts(runtime.redis, "notifier:").append("meta", webhook(status("delivered")))
    reader = receipts_reader(runtime)
    away.dies = True
    for _ in range(5):
        items = reader.read(10, None)
        with pytest.raises(LedgerUnavailable):
            take_receipts(runtime, items, world.clock())
        reader.give_back(items)
    assert (state_of(world, made), reader.backlog().pending) == ("accepted", 1)

    away.dies = False
    take_receipts(runtime, reader.read(10, None), world.clock())
    assert (state_of(world, made), quarantined(runtime)) == ("delivered", [])
