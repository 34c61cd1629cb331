"""The tasks as functions: what a message of each does, without a worker around it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from threading import Event
from typing import Any
from unittest.mock import Mock

import orjson
import pytest
from celery import Celery
from celery.exceptions import Reject
from celery.worker import state
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from notifier.inbox import Inbox
from notifier.streams import Quarantine
from tests.fixtures.runtime import World
from tests.integration.movements.incoming import an_order, quarantined, rows
from workers import app as workers_app
from workers import tasks


@pytest.fixture
def stop(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """The process's runtime is the test's world, and its stop flag a fresh one."""
    fresh = Event()
    monkeypatch.setattr(workers_app, "runtime", lambda: world.runtime)
    monkeypatch.setattr(workers_app, "STOP", fresh)
    monkeypatch.setattr(tasks, "PAUSE", 0.01)
    yield fresh
    fresh.set()


@pytest.mark.usefixtures("stop")
def test_one_event_or_a_list_goes_into_the_inbox_and_intake_takes_it(world: World) -> None:
    tasks.ingest(an_order("1"))
    tasks.ingest([an_order("2"), an_order("1"), an_order("3")])
    tasks.ingest([])
    assert world.runtime.inbox.stats().length == 3

    tasks.intake()
    assert rows(world.ledger, "order_event", "order_id", "door") == [(str(n), "celery") for n in (1, 2, 3)]
    assert world.runtime.inbox.stats().length == 0


@pytest.mark.usefixtures("stop")
def test_what_is_faulty_in_a_list_is_set_aside_and_the_rest_goes_in(world: World) -> None:
    faulty: list[Any] = [{"shop": "nile"}, "no event", 7, None, an_order("2", occurred_at="0001-01-01T00:00:00+05:00")]
    tasks.ingest([an_order("1"), *faulty, an_order("3")])

    assert world.runtime.inbox.stats().length == 2
    assert quarantined(world.runtime) == [
        ("invalid", "not an order event: /event: Field required; /order_id: Field required"),
        *[("invalid", "not an order event: /: Input should be an object")] * 3,
        ("invalid", "not an order event: /occurred_at: lies outside the calendar"),
    ]
    assert [orjson.loads(one.fields[b"body"]) for one in world.runtime.quarantine.list(9)] == faulty


@pytest.mark.usefixtures("stop")
def test_a_call_that_holds_no_event_is_set_aside_with_all_that_it_holds(world: World) -> None:
    tasks.ingest.apply(kwargs={"events": [an_order("1")]})
    wrong: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((), {}),
        ((7,), {}),
        ((), {"event": an_order("2")}),
        ((an_order("3"), an_order("4")), {}),
        ((an_order("5"),), {"events": [an_order("6")]}),
    ]
    assert [tasks.ingest.apply(args, kwargs).state for args, kwargs in wrong] == ["SUCCESS"] * len(wrong)

    assert world.runtime.inbox.stats().length == 1
    missing = (
        "invalid",
        "not an order event: /shop: Field required; /event: Field required; /order_id: Field required",
    )
    assert quarantined(world.runtime) == [missing] * len(wrong)
    kept = [orjson.loads(one.fields[b"body"]) for one in world.runtime.quarantine.list(9)]
    assert kept == [{"args": list(args), "kwargs": kwargs} for args, kwargs in wrong]


@pytest.mark.usefixtures("stop")
def test_what_celery_brings_as_an_object_is_handed_in_or_set_aside_as_it_was_published(world: World) -> None:
    faulty = {"shop": "nile", "total": Decimal("1.50"), "at": datetime(2026, 11, 30, tzinfo=UTC)}
    wrong = {"event": {**an_order("1"), "total": Decimal(2)}}
    given: list[Any] = [an_order("2"), [Decimal(1)], faulty]
    assert [tasks.ingest.apply((given,)).state, tasks.ingest.apply((), wrong).state] == ["SUCCESS"] * 2

    assert world.runtime.inbox.stats().length == 1
    kept = [orjson.loads(one.fields[b"body"]) for one in world.runtime.quarantine.list(9)]
    assert kept[:2] == [["1"], {"shop": "nile", "total": "1.50", "at": "2026-11-30 00:00:00+00:00"}]
    assert kept[2]["kwargs"]["event"]["total"] == "2"


@pytest.mark.usefixtures("stop")
def test_a_fault_of_ours_loses_no_event_of_the_list(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise RuntimeError("+201001234567")

    monkeypatch.setattr(tasks, "offer", fails)
    tasks.ingest([an_order("1"), an_order("2")])
    assert [reason for reason, _ in quarantined(world.runtime)] == ["poison", "poison"]
    assert all(detail.startswith("RuntimeError at ") for _, detail in quarantined(world.runtime))


def full(world: World, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    """The inbox of the world's runtime, which has room for one event and holds one."""
    inbox = Inbox(world.runtime.redis, max_length=1)
    runtime = replace(world.runtime, inbox=inbox)
    monkeypatch.setattr(workers_app, "runtime", lambda: runtime)
    tasks.ingest(an_order("first"))
    return inbox


@pytest.mark.usefixtures("stop")
def test_an_event_is_held_while_the_inbox_is_full(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = full(world, monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(tasks.ingest, an_order("second"))
        assert (inbox.stats().length, held.done()) == (1, False)
        tasks.intake()
        held.result(timeout=30)
    tasks.intake()
    assert rows(world.ledger, "order_event", "order_id") == [("first",), ("second",)]


def test_what_is_held_goes_back_to_the_broker_when_the_worker_stops(
    world: World, monkeypatch: pytest.MonkeyPatch, stop: Event
) -> None:
    full(world, monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(tasks.ingest, an_order("second"))
        stop.set()
        with pytest.raises(Reject) as rejected:
            held.result(timeout=30)
    assert rejected.value.requeue is True  # type: ignore[attr-defined]  # celery-types leaves it out


def test_redis_away_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch, stop: Event) -> None:
    nowhere = Redis(port=1, retry=Retry(NoBackoff(), 0))
    away = replace(world.runtime, redis=nowhere, inbox=Inbox(nowhere), quarantine=Quarantine(nowhere, "notifier:"))
    asked: list[datetime] = []

    def runtime() -> Any:
        asked.append(datetime.now(UTC))
        return away if len(asked) < 3 else world.runtime

    monkeypatch.setattr(workers_app, "runtime", runtime)
    tasks.ingest([an_order("1"), {"shop": "nile"}])
    assert (len(asked), world.runtime.inbox.stats().length, world.runtime.quarantine.length()) == (3, 1, 1)


@pytest.mark.usefixtures("stop")
def test_a_wake_up_for_a_lane_that_was_configured_away_does_nothing(world: World) -> None:
    tasks.deliver("no-such-lane")
    assert rows(world.ledger, "delivery", "id") == []


@pytest.mark.usefixtures("stop")
def test_the_backstops_end_when_the_stores_are_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = Redis(port=1, retry=Retry(NoBackoff(), 0))
    away = replace(world.runtime, redis=nowhere, inbox=Inbox(nowhere))
    monkeypatch.setattr(workers_app, "runtime", lambda: away)
    tasks.intake()
    tasks.receipts()
    tasks.run_sweep("wake_due_lanes")


def test_the_app_listens_to_our_settings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://somebody-else/0")
    monkeypatch.setenv("CELERY_RESULT_BACKEND", "redis://somebody-else/1")
    app = workers_app.make_app()
    assert "somebody-else" not in str((app.conf.broker_read_url, app.conf.broker_write_url, app.conf.result_backend))


@pytest.fixture
def fresh_app(monkeypatch: pytest.MonkeyPatch) -> Celery:
    """An app of the test's own, which makes no worker."""
    app = workers_app.make_app()
    monkeypatch.setattr(workers_app, "app", app)
    monkeypatch.setattr(app, "Worker", Mock())
    return app


@pytest.mark.usefixtures("fresh_app")
def test_a_worker_is_crowded_when_a_task_would_wait_for_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    reserved: set[str] = set()
    monkeypatch.setattr(state, "reserved_requests", reserved)
    workers_app.run_worker(["whatsapp"], 2, "")
    seen = []
    for task in ("one", "two", "three"):
        reserved.add(task)
        seen.append(workers_app.crowded())
    assert seen == [False, True, True]


@pytest.mark.usefixtures("fresh_app")
def test_a_pool_of_celerys_own_choice_counts_as_crowded() -> None:
    """Its processes do not see each other's tasks, and a drain makes way after its slice, as it would in a crowd."""
    assert workers_app.crowded()


@pytest.mark.usefixtures("stop")
def test_a_drain_is_told_who_waits_behind_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    drained = Mock()
    monkeypatch.setattr(tasks, "drain", drained)
    tasks.deliver("nile-wa")
    assert drained.call_args.args[-1] is workers_app.crowded


def test_a_worker_takes_as_many_tasks_after_it_has_lost_its_broker(fresh_app: Celery) -> None:
    """Fewer, and the lanes that it took up first would go on beside idle threads: nobody they knew of waited."""
    assert fresh_app.conf.worker_enable_prefetch_count_reduction is False


def test_every_queue_is_direct_and_needs_no_binding() -> None:
    """A binding on Redis is a key that can be lost, and with it every message."""
    queues = workers_app.app.amqp.queues
    assert {
        (queue.exchange.name, queue.exchange.type, queue.routing_key == name) for name, queue in queues.items()
    } == {("", "direct", True)}
