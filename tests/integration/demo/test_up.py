"""`notifier up`: all of notifier on one machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from notifier.events import business_key
from notifier.ledger import open_ledger
from notifier.ledger.outcomes import outcomes
from tests.integration.demo.running import descendants, environment, read_until, start

pytestmark = pytest.mark.timeout(240)

EVENT = {
    "shop": "fern-and-kiln",
    "event": "order.created",
    "order_id": "1",
    "order_number": "FK1",
    "customer": {"phone": "07400 000123", "country": "GB", "consent": {"granted": True}},
    "order": {"total": "12.50", "currency": "GBP"},
}


def _environment(tmp_path: Path) -> dict[str, str]:
    data = {"NOTIFIER_DATA_DIR": str(tmp_path / "data"), "NOTIFIER_GATEWAY_PORT": "0"}
    no_quiet_hours = {name: {"quiet_hours": "12:00-12:00"} for name in ("qamar-books", "atelie-lume", "fern-and-kiln")}
    return environment(tmp_path, **data, NOTIFIER_SHOPS=json.dumps(no_quiet_hours))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = start(_environment(tmp_path), "up", "--sandbox")
    read_until(process, "nothing goes to Meta or Twilio")
    yield process
    process.kill()
    process.communicate()


def _running(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "data" / "running.json").read_text())
    return found


def _pid_of(tmp_path: Path, words: str) -> int:
    (pid,) = (pid for pid, command in descendants(tmp_path).items() if words in command)
    return pid


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def _hand_in(tmp_path: Path, order: str) -> None:
    """Through another command, which finds the running house by its data directory; returns when it is told."""
    event = {**EVENT, "order_id": order, "occurred_at": datetime.now(UTC).isoformat()}
    (tmp_path / "event.jsonl").write_text(json.dumps(event))
    assert start(_environment(tmp_path), "ingest", str(tmp_path / "event.jsonl")).wait() == 0
    key = business_key("fern-and-kiln", order, "order.created", None, None)
    ledger = open_ledger(f"sqlite:///{tmp_path}/data/ledger.db")
    state = None
    while state != "told":  # until the suite's own time limit
        with ledger.read() as conn:
            state = getattr(outcomes(conn, [key]).get(key), "state", None)
        time.sleep(0.05)
    ledger.dispose()


def test_it_warns_of_sources_without_a_secret(tmp_path: Path) -> None:
    process = start(_environment(tmp_path), "up", "--sandbox")
    said = read_until(process, "webhooks of these sources are refused until their secret is set")
    assert "NOTIFIER_SOURCE_FERN_AND_KILN_SHOPIFY_SECRET" in said
    process.send_signal(signal.SIGTERM)
    process.communicate()


def test_an_event_handed_in_by_another_command_is_told(house: subprocess.Popen[str], tmp_path: Path) -> None:
    _hand_in(tmp_path, "1")
    phones = _get(f"{_running(tmp_path)['sandbox_url']}/_sandbox/phones/+447400000123")
    assert [(message["channel"], message["template"]) for message in phones["messages"]] == [
        ("whatsapp", "order_created")
    ]


def test_a_crashed_redis_is_started_again_and_work_goes_on(house: subprocess.Popen[str], tmp_path: Path) -> None:
    _hand_in(tmp_path, "1")
    os.kill(_pid_of(tmp_path, "valkey-server"), signal.SIGKILL)
    read_until(house, "Redis ended and is started again")
    while not any("valkey-server" in command for command in descendants(tmp_path).values()):
        time.sleep(0.05)
    _hand_in(tmp_path, "2")


def test_a_second_one_on_the_same_data_is_refused(house: subprocess.Popen[str], tmp_path: Path) -> None:
    before = _running(tmp_path)
    second = start(_environment(tmp_path), "up")
    _, talk = second.communicate()
    assert second.returncode == 2
    assert f"(process {house.pid})" in talk
    assert "set NOTIFIER_DATA_DIR to another directory" in talk
    assert _running(tmp_path) == before


def test_a_crashed_worker_is_started_again(house: subprocess.Popen[str], tmp_path: Path) -> None:
    os.kill(_pid_of(tmp_path, "--name worker-channels"), signal.SIGKILL)
    assert "worker-channels ended with -9; again in 1 s" in read_until(house, "worker-channels ended")
    log = tmp_path / "data" / "logs" / "worker-channels.log"
    while log.read_text().count("worker.started") < 2:
        time.sleep(0.05)


def test_a_stop_leaves_the_data_and_nothing_that_runs(house: subprocess.Popen[str], tmp_path: Path) -> None:
    house.send_signal(signal.SIGTERM)
    house.communicate()
    assert house.returncode == 0
    assert not (tmp_path / "data" / "running.json").exists()
    assert (tmp_path / "data" / "ledger.db").exists()
    assert descendants(tmp_path) == {}


def test_children_do_not_outlive_a_killed_parent(house: subprocess.Popen[str], tmp_path: Path) -> None:
    house.kill()
    house.wait()
    while descendants(tmp_path):
        time.sleep(0.05)
