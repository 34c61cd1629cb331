"""The demo's doors and the registration of templates, against a real Redis and the sandbox."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from redis import Redis

from notifier.catalog import load_catalog
from notifier.demo.doors import Doors
from notifier.demo.registration import NotApproved, register
from notifier.demo.retime import Timed
from notifier.demo.samples import Sample
from notifier.inbox import Inbox
from notifier.sandbox.testing import SandboxClient
from tests.fixtures.redis_server import connect

WABA, TOKEN = "200000000000001", "sandbox-token"


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    client = connect(redis_url)
    yield client
    client.close()


@pytest.fixture
def started() -> list[Sequence[str]]:
    """The commands that the doors have started."""
    return []


@pytest.fixture
def doors(redis: Redis, redis_url: str, tmp_path: Path, started: list[Sequence[str]]) -> Iterator[Doors]:
    def run(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        started.append(arguments)
        return subprocess.Popen(("true",))

    celery = Celery("shop", broker=redis_url, set_as_current=False)
    made = Doors(Inbox(redis), celery, tmp_path, run)
    yield made
    made.close()


def _line(number: int, shop: str, *, old: bool = False) -> Timed:
    body: dict[str, Any] = {"shop": shop, "event": "order.created", "order_id": str(number)}
    return Timed(Sample(number, body, f"k{number}", "stored"), timedelta(0), body, old)


def test_most_shops_call_python(doors: Doors, redis: Redis) -> None:
    doors.hand_in([_line(1, "qamar-books"), _line(2, "fern-and-kiln")])
    entries: Any = redis.xrange(doors.inbox.stream)
    assert [json.loads(fields[b"body"])["order_id"] for _, fields in entries] == ["1", "2"]
    assert doors.handed == {"python": 2}


def test_a_backend_that_knows_celery_only_publishes_a_task_by_name(doors: Doors, redis: Redis) -> None:
    doors.hand_in([_line(1, "atelie-lume"), _line(2, "atelie-lume")])
    waiting: Any = redis.lrange("intake", 0, -1)
    (message,) = map(json.loads, waiting)
    assert message["headers"]["task"] == "notifier.ingest"
    arguments, *_ = json.loads(base64.b64decode(message["body"]))
    assert [body["order_id"] for body in arguments[0]] == ["1", "2"]
    assert doors.handed == {"celery": 2}


def test_old_events_come_as_a_file_whatever_the_shop(
    doors: Doors, tmp_path: Path, started: list[Sequence[str]]
) -> None:
    doors.hand_in([_line(1, "atelie-lume", old=True), _line(2, "qamar-books", old=True)])
    assert started == [("ingest", str(tmp_path / "export.jsonl"))]
    lines = (tmp_path / "export.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["shop"] for line in lines] == ["atelie-lume", "qamar-books"]


def test_rejects_are_handed_in_from_a_copy_for_the_refusals_are_written_beside_it(
    doors: Doors, tmp_path: Path, started: list[Sequence[str]]
) -> None:
    doors.hand_in_rejects(Path("config/samples/rejected.jsonl"))
    assert started == [("ingest", str(tmp_path / "rejected.jsonl"))]
    assert doors.rejected() == 0
    (tmp_path / "rejected.jsonl.rejected.jsonl").write_text('{"line":1}\n{"line":2}\n', encoding="utf-8")
    assert doors.rejected() == 2


def test_every_template_is_registered_in_every_language_at_every_account(sandbox: SandboxClient) -> None:
    catalog = load_catalog(Path("config/templates"))
    wordings = sum(len(template.locales) for template in catalog.templates.values())
    assert register(catalog, sandbox.base_url, "v25.0", [(WABA, TOKEN)]) == wordings


def test_a_refusal_says_which_template_and_what_the_provider_said(sandbox: SandboxClient) -> None:
    with pytest.raises(NotApproved, match=r"attempt_failed/ar was refused \(401\): .*190"):
        register(load_catalog(Path("config/templates")), sandbox.base_url, "v25.0", [(WABA, "a wrong token")])
