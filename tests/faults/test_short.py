"""A short run with a fixed seed, for every day; and what keeps the harness itself honest."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import islice
from pathlib import Path

import pytest

from tests.faults import kinds
from tests.faults.__main__ import chosen
from tests.faults.house import Broker, Database
from tests.faults.incidents import FAULTS, schedule
from tests.faults.orders import Given, generate, readers
from tests.faults.play import Order, play
from tests.faults.verdict import Shown, Story, Verdict, judge
from tests.faults.worker_entry import PLACES
from tests.fixtures.rabbitmq import require_rabbitmq

_SHORT = (
    "worker_killed",
    "redis_killed",
    "redis_connections_cut",
    "rabbitmq_killed",
    "gateway_killed",
    "provider_resets_after_accepting",
)
_NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_nothing_is_lost_and_nothing_told_twice_in_a_short_run(tmp_path: Path, broker: Broker) -> None:
    if broker == "rabbitmq":
        require_rabbitmq()
    faults = [FAULTS[name] for name in _SHORT if FAULTS[name].fits("sqlite", broker)]
    run = play(Order(7, 120, 15.0, len(faults), "sqlite", faults, keep=tmp_path, broker=broker), lambda _: None)
    assert (run.accepted, run.rested) == (len(run.given), True)
    assert [(one.kind, one.key, one.words) for one in run.verdict.findings if one.kind != "unknown_decided"] == []


def test_the_same_seed_gives_the_same_events_and_incidents() -> None:
    first, second = (generate(3, 50, 10.0) for _ in range(2))
    assert [(one.key, one.at, one.doors) for one in first] == [(one.key, one.at, one.doors) for one in second]
    planned = [schedule(3, list(FAULTS.values()), 20, 60.0) for _ in range(2)]
    assert [(one.fault.name, one.at) for one in planned[0]] == [(one.fault.name, one.at) for one in planned[1]]


def test_no_fault_is_left_out_by_every_seed() -> None:
    planned = [schedule(seed, list(FAULTS.values()), 30, 600.0) for seed in range(20)]
    assert {one.fault.name for incidents in planned for one in incidents} == set(FAULTS)


def test_load_is_made_of_readers_with_a_mark_and_an_order_of_their_own() -> None:
    some = list(islice(readers(1), 300))
    assert (len({one.mark for one in some}), len({one.order for one in some})) == (300, 300)
    assert {one.expected for one in some} == {"told"}
    assert [one.key for one in some] == [one.key for one in islice(readers(1), 300)]


def test_faults_that_touch_the_same_do_not_overlap() -> None:
    planned = schedule(5, list(FAULTS.values()), 60, 300.0)
    for one in planned:
        for other in planned:
            if one is not other and one.fault.touches & other.fault.touches:
                assert one.at + one.lasts <= other.at or other.at + other.lasts <= one.at


@pytest.mark.parametrize("place", sorted(PLACES))
def test_every_crash_place_is_still_in_the_product(place: str) -> None:
    module, path = PLACES[place]
    assert callable(reduce(getattr, path.split("."), importlib.import_module(module)))


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_every_family_has_faults_for_either_database_and_rabbitmq_is_broken_where_it_is_the_broker(
    database: Database,
) -> None:
    families = {one.family for one in FAULTS.values() if one.fits(database, "rabbitmq")}
    assert families == set(kinds.__all__)
    families = {one.family for one in FAULTS.values() if one.fits(database, "redis")}
    assert families == set(kinds.__all__) - {"rabbitmq"}


@pytest.mark.parametrize(
    ("broker", "left_out"),
    [
        ("redis", {"celery_ack"}),
        ("rabbitmq", {"celery_note"}),
    ],
)
def test_a_broker_has_the_crash_points_of_its_own_messages(broker: Broker, left_out: set[str]) -> None:
    crashes = {f"dies_{side}_{place.replace('.', '_')}" for place in PLACES for side in ("before", "after")}
    found = {one.name for one in chosen(("dies_*",), "sqlite", broker)}
    assert found == crashes - {f"dies_{side}_{place}" for place in left_out for side in ("before", "after")}


def an_event(place: int = 0, event: str = "order.created", expected: str = "told") -> Given:
    return Given(
        f"X{place:07d}X",
        0.0,
        ("python",),
        ("nile", "1"),
        f"key{place}",
        event,
        None,
        expected,  # type: ignore[arg-type]
        "+201001234567",
        {},
    )


def shown(place: int = 0, *, after: float = 0.0, channel: str = "whatsapp", visible: bool = True) -> Shown:
    at = _NOW + timedelta(seconds=after) if visible else None
    return Shown(f"X{place:07d}X", 1, channel, "+201001234567", "accepted", "shown", at, 1.0, told=visible)


TOLD = Story("told", None, "whatsapp")
HELD = Story("unreached", "unknown_outcome", None)
LATER = Story("suppressed", "superseded", None)


def verdict_on(*events: Given, record: list[Shown], **stories: Story) -> Verdict:
    by_mark: dict[str, list[Shown]] = {}
    for one in record:
        by_mark.setdefault(one.mark, []).append(one)
    return judge(events, {one.mark: 0.0 for one in events}, by_mark, stories)


@pytest.mark.parametrize(
    ("label", "record", "story", "found"),
    [
        ("told once", [shown()], TOLD, []),
        ("told twice", [shown(), shown(channel="sms", after=1)], TOLD, ["twice"]),
        ("told, the ledger does not know", [shown()], HELD, ["unexplained"]),
        ("told by another channel", [shown(channel="sms")], TOLD, ["unexplained"]),
        ("nobody told, the ledger says so", [], TOLD, ["lost"]),
        ("nobody told, not in the ledger", [], None, ["lost"]),
        ("nobody told, still under way", [], Story("active", None, None), ["lost"]),
        ("nobody told, a lost answer", [], HELD, ["unknown_decided"]),
        ("nobody told, lost receipts", [], Story("unreached", "receipts_lost", None), ["unknown_decided"]),
        ("nobody told, and no channel was tried", [], Story("unreached", "all_channels_failed", None), ["lost"]),
        ("nobody told, overtaken by nothing", [], LATER, ["lost"]),
    ],
)
def test_one_event_is_judged(label: str, record: list[Shown], story: Story | None, found: list[str]) -> None:
    stories = {"key0": story} if story else {}
    assert [one.kind for one in verdict_on(an_event(), record=record, **stories).findings] == found, label


def test_what_a_later_event_overtook_is_explained_by_it() -> None:
    older, newer = an_event(0), an_event(1, "order.shipped")
    assert verdict_on(older, newer, record=[shown(1)], key0=LATER, key1=TOLD).findings == []


def test_what_is_shown_after_a_later_event_is_stale() -> None:
    older, newer = an_event(0), an_event(1, "order.shipped")
    record = [shown(1), shown(0, after=1)]
    assert [one.kind for one in verdict_on(older, newer, record=record, key0=TOLD, key1=TOLD).findings] == ["stale"]


def test_who_must_not_be_told_and_is_is_found() -> None:
    said_no = an_event(expected="silent")
    assert [one.kind for one in verdict_on(said_no, record=[shown()], key0=TOLD).findings] == ["unexplained"]
