"""`notifier worker` as an operator runs it: a process, a broker, a ledger, and a provider at the other end."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from redis import Redis

from notifier.door import notify_many
from notifier.inbox import Inbox
from notifier.ledger import Ledger
from notifier.sandbox.testing import SandboxClient
from notifier.streams import Quarantine
from notifier.sweeps import SWEEPS
from tests.integration.movements.incoming import an_order, rows
from tests.integration.workers.brokers import take_all
from tests.integration.workers.processes import House, until

pytestmark = pytest.mark.timeout(180)


def an_event(order_id: str, **more: Any) -> dict[str, Any]:
    """As a shop would write it now."""
    return an_order(order_id, occurred_at=datetime.now(UTC).isoformat(), **more)


def backend(house: House) -> Celery:
    """The Celery app that a backend has: it knows the broker and the name of the task, and nothing of us."""
    return Celery("shop", broker=house.broker_url)


def test_an_event_sent_as_a_celery_task_is_on_the_customers_phone(
    either_house: House, shop_sandbox: SandboxClient, redis_client: Redis
) -> None:
    with either_house.running("worker") as worker:
        tasks = backend(either_house)
        tasks.send_task("notifier.ingest", args=[an_event("1")], queue="intake")
        tasks.send_task("notifier.ingest", args=[[an_event("2"), {"shop": "nile"}, an_event("3")]], queue="intake")
        until(lambda: len(shop_sandbox.phone("+201001234567")) == 3, "three messages are shown")
        until(lambda: Quarantine(redis_client, "notifier:").length() == 1, "the faulty one is set aside")

        assert worker.stop() == 0
    assert {message["template"] for message in shop_sandbox.phone("+201001234567")} == {"order_created"}
    assert [line for line in worker.other if line] == ["worker: Warm shutdown (MainProcess)"]  # no banner, no traceback
    errors = [line["event"] for line in worker.lines if line["level"] in ("error", "critical")]
    assert set(errors) <= {"receipts.gap"}  # this Redis is new, and has no stream of receipts yet
    (aside,) = Quarantine(redis_client, "notifier:").list(10)
    assert (aside.reason, aside.fields[b"door"]) == ("invalid", b"celery")
    assert [one for one in take_all(either_house.broker_url) if one["task"] == "notifier.ingest"] == []


def test_a_stop_under_load_is_warm_and_the_next_worker_does_the_rest(
    either_house: House, shop_sandbox: SandboxClient, redis_client: Redis, house_ledger: Ledger
) -> None:
    orders = [an_event(str(number), customer={"phone": f"+2010{number:08d}"}) for number in range(200)]
    notify_many(orders, inbox=Inbox(redis_client))
    with either_house.running("worker", "--threads", "4") as first:
        until(lambda: shop_sandbox.arrivals(), "the first message has left")
        assert first.stop() == 0
        assert first.says("worker.stopping")["signal"] == "stop"
    states = {state for (state,) in rows(house_ledger, "delivery", "state")}
    assert states <= {"queued", "accepted"}  # nothing was dropped in the middle: neither claimed nor unknown

    with either_house.running("worker") as second:
        either_house.run("sweep", "wake_due_lanes")
        until(lambda: len(shop_sandbox.arrivals()) >= 200, "all have left")
        assert second.stop() == 0
    arrived = [arrival["ref"] for arrival in shop_sandbox.arrivals()]
    assert (len(arrived), len(set(arrived))) == (200, 200)
    assert rows(house_ledger, "delivery", "state") == [("accepted",)] * 200
    assert Inbox(redis_client).stats().length == 0


def test_a_worker_does_not_start_with_a_template_that_is_broken(house: House, tmp_path: Path) -> None:
    templates = tmp_path / "config" / "templates"
    templates.mkdir(parents=True)
    (templates / "order_created.yaml").write_text("name: [")
    house.more["NOTIFIER_CONFIG_DIR"] = str(tmp_path / "config")
    ended = house.run("worker", "--queues", "whatsapp")

    assert ended.returncode != 0
    assert "order_created.yaml" in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout


@pytest.mark.parametrize(
    ("label", "arguments", "says"),
    [
        ("an unknown queue", ("--queues", "intake,pigeons"), "no queue named pigeons; there are intake, whatsapp,"),
        ("no thread", ("--threads", "0"), "0 is not in the range"),
    ],
)
def test_a_worker_refuses_what_it_cannot_do(house: House, label: str, arguments: tuple[str, ...], says: str) -> None:
    ended = house.run("worker", *arguments)
    assert (ended.returncode, says in ended.stderr) == (2, True)


def test_beat_publishes_the_ticks_and_the_sweeps_each_with_an_end_to_its_life(either_house: House) -> None:
    quick = [f"notifier.sweep '{name}'" for name, (_, pause) in SWEEPS.items() if pause is None]
    expected = {"notifier.intake", "notifier.receipts", *quick}
    expires: dict[str, Any] = {}

    def seen() -> set[str]:
        for one in take_all(either_house.broker_url):
            expires[f"{one['task']} {one['argsrepr'].strip('()[],')}".rstrip()] = one["expires"]
        return set(expires)

    with either_house.running("beat") as beat:
        until(lambda: expected <= seen(), "every tick is published")
        assert beat.stop() == 0
    assert all(expires.values())
    assert beat.other == []
    assert list(either_house.place.glob("beat-schedule*")) != []


def test_beat_makes_the_folder_of_its_schedule(house: House, tmp_path: Path) -> None:
    house.more["NOTIFIER_DATA_DIR"] = str(tmp_path / "not" / "yet")
    with house.running("beat") as beat:
        assert beat.stop() == 0
    assert list((tmp_path / "not" / "yet").glob("beat-schedule*")) != []


def test_a_worker_whose_metrics_port_is_taken_says_so_and_works(
    house: House, shop_sandbox: SandboxClient, redis_client: Redis
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        house.more["NOTIFIER_METRICS_PORT"] = str(port)
        with house.running("worker") as worker:
            notify_many([an_event("1")], inbox=Inbox(redis_client))
            until(lambda: len(shop_sandbox.phone("+201001234567")) == 1, "the message is shown")
            assert worker.says("metrics.unserved")["port"] == port
