"""Every snippet of docs/clients.md runs as it is printed, against a gateway on a port, where its runtime is at hand."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from notifier.gateway import create_gateway
from notifier.keys import create_key
from notifier.ledger import Ledger
from notifier.runtime import Runtime
from notifier.streams import Receipts
from tests.fixtures.runtime import make_runtime
from tests.fixtures.serving import served
from workers.ingest import MessageReader, take_messages

PAGE = Path(__file__).parents[3] / "docs/clients.md"
SIGNING = "whsec_" + base64.b64encode(b"a signing secret of 27 bytes").decode()

needs = {
    name: pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed here")
    for name in ("bash", "curl", "node", "openssl", "php")
}
needs["java"] = pytest.mark.skipif(
    shutil.which("java") is None or shutil.which("javac") is None, reason="no Java with a compiler is installed here"
)

EVENT = {
    "shop": "nile",
    "event": "order.shipped",
    "order_id": "1042",
    "order_number": "Q-1042",
    "customer": {"phone": "+201001234567", "locale": "ar", "consent": {"granted": True, "source": "checkout"}},
    "shipment": {"carrier": "Aramex", "tracking_number": "AX1"},
}


def snippet(heading: str, language: str) -> str:
    """The one block of a section."""
    section = PAGE.read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return str(found)


@dataclass(frozen=True)
class Door:
    """A running gateway. environ: what a client needs, and no proxy."""

    runtime: Runtime
    environ: dict[str, str]

    def events(self) -> list[dict[str, Any]]:
        """What is in the inbox."""
        entries: Any = self.runtime.redis.xrange(self.runtime.inbox.stream)
        return [json.loads(fields[b"body"]) for _, fields in entries]


@pytest.fixture
def door(sqlite_ledger: Ledger, redis_client: Redis, redis_url: str) -> Iterator[Door]:
    runtime = replace(make_runtime(sqlite_ledger, redis_client), clock=lambda: datetime.now(UTC))
    with sqlite_ledger.begin() as conn:
        key = create_key(conn, "nile", "a client", ["events:write"], 1000, runtime.clock(), "test")
    gateway = create_gateway(runtime, Receipts(redis_client, runtime.settings.key_prefix), {"nile": [SIGNING]})
    with served(gateway) as url:
        yield Door(
            runtime,
            {
                **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
                "NOTIFIER_URL": url,
                "NOTIFIER_KEY": key.secret,
                "NOTIFIER_SIGNING_SECRET": SIGNING,
                "NOTIFIER_BROKER_URL": redis_url,
            },
        )


def run(door: Door, *command: str, folder: Path) -> dict[str, Any]:
    """The answer that a snippet prints."""
    done = subprocess.run(command, cwd=folder, env=door.environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr + done.stdout
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def heard(door: Door) -> dict[str, Any]:
    """The one event that arrived, which happened now."""
    [event] = door.events()
    assert datetime.now(UTC) - datetime.fromisoformat(event.pop("occurred_at")) < timedelta(minutes=1)
    return event


@needs["bash"]
@needs["curl"]
def test_curl(door: Door, tmp_path: Path) -> None:
    (tmp_path / "notify.sh").write_text(snippet("curl", "sh"))
    first = run(door, "bash", "notify.sh", folder=tmp_path)
    again = run(door, "bash", "notify.sh", folder=tmp_path)
    assert (first["status"], again) == ("queued", {"event_id": first["event_id"], "status": "duplicate"})
    assert heard(door) == EVENT


@needs["php"]
def test_php(door: Door, tmp_path: Path) -> None:
    (tmp_path / "notify.php").write_text(snippet("PHP", "php"))
    assert run(door, "php", "notify.php", folder=tmp_path)["status"] == "queued"
    assert heard(door) == EVENT


@needs["node"]
def test_node(door: Door, tmp_path: Path) -> None:
    (tmp_path / "notify.mjs").write_text(snippet("Node", "javascript"))
    assert run(door, "node", "notify.mjs", folder=tmp_path)["status"] == "queued"
    assert heard(door) == EVENT


@needs["java"]
def test_java(door: Door, tmp_path: Path) -> None:
    (tmp_path / "Notify.java").write_text(snippet("Java", "java"))
    assert run(door, "java", "Notify.java", folder=tmp_path)["status"] == "queued"
    assert heard(door) == EVENT


@needs["bash"]
@needs["curl"]
@needs["openssl"]
def test_a_signature_in_place_of_a_key(door: Door, tmp_path: Path) -> None:
    (tmp_path / "signed.sh").write_text(snippet("Signing in place of a key", "sh"))
    assert run(door, "bash", "signed.sh", folder=tmp_path)["status"] == "queued"
    assert heard(door)["order_id"] == "1042"


def test_celery_alone(door: Door, tmp_path: Path) -> None:
    (tmp_path / "publish.py").write_text(snippet("Python that only knows Celery", "python"))
    done = subprocess.run(
        [sys.executable, "publish.py"], cwd=tmp_path, env=door.environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    reader = MessageReader(door.runtime.redis, "notifier:", "one", reclaim_after=timedelta(minutes=1))
    take_messages(door.runtime, reader, reader.read(10, None))
    assert heard(door) == EVENT


@needs["node"]
def test_a_key_that_is_wrong_is_told_at_once_and_not_tried_again(door: Door, tmp_path: Path) -> None:
    (tmp_path / "notify.mjs").write_text(snippet("Node", "javascript"))
    environ = {**door.environ, "NOTIFIER_KEY": "ntf_wrong"}
    done = subprocess.run(["node", "notify.mjs"], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "notifier answered 401" in done.stderr
    assert door.events() == []
