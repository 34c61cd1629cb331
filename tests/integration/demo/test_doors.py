"""The demo's doors and the registration of templates, against a real Redis and the sandbox."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from redis import Redis

from notifier.catalog import load_catalog
from notifier.demo.doors import DoorRefused, Doors
from notifier.demo.platforms.contract import Call
from notifier.demo.registration import NotApproved, register
from notifier.demo.retime import Timed
from notifier.demo.routing import platform_of
from notifier.demo.samples import Sample
from notifier.demo.shop_secrets import make_secrets
from notifier.gateway.reading import read_events
from notifier.inbox import Entry, Inbox
from notifier.sandbox.testing import SandboxClient
from notifier.settings import load_settings
from notifier.shop_sources import shop_sources
from notifier.sources.standard_webhooks import doubt
from tests.fixtures.redis_server import connect

WABA, TOKEN = "200000000000001", "sandbox-token"


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    client = connect(redis_url)
    yield client
    client.close()


@dataclass
class Listener:
    """A gateway that hears everything and says what it is told to. heard: path, headers in lower case, body."""

    url: str = ""
    answer: tuple[int, bytes] = (202, b'{"queued":1,"rejected":0}')
    heard: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            made.heard.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            status, said = made.answer
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *args: object) -> None:
            """Nobody listens."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield made
        server.shutdown()
        thread.join()


@pytest.fixture
def started() -> list[Sequence[str]]:
    """The commands that the doors have started."""
    return []


@pytest.fixture
def doors(
    redis: Redis, redis_url: str, tmp_path: Path, started: list[Sequence[str]], listener: Listener
) -> Iterator[Doors]:
    def run(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        started.append(arguments)
        return subprocess.Popen(("true",))

    celery = Celery("shop", broker=redis_url, set_as_current=False)
    settings, secrets = load_settings(), make_secrets(load_settings())
    platforms = platform_of(shop_sources(settings, secrets.environment).values())
    made = Doors(Inbox(redis), celery, listener.url, platforms, secrets.signing, tmp_path, run)
    yield made
    made.close()


def _line(number: int, shop: str, door: str, *calls: Call) -> Timed:
    body: dict[str, Any] = {
        "shop": shop,
        "event": "order.created",
        "order_id": str(number),
        "occurred_at": "2026-11-16T10:00:00+00:00",
    }
    return Timed(Sample(number, body, f"k{number}", "stored"), timedelta(0), body, door=door, calls=calls)


def test_who_calls_python_is_in_the_inbox_at_once(doors: Doors, redis: Redis) -> None:
    doors.hand_in([_line(1, "qamar-books", "python"), _line(2, "fern-and-kiln", "python")])
    entries: Any = redis.xrange(doors.inbox.stream)
    assert [json.loads(fields[b"body"])["order_id"] for _, fields in entries] == ["1", "2"]
    assert doors.handed == {"python": 2}


def test_a_backend_that_knows_celery_only_publishes_a_task_by_name(doors: Doors, redis: Redis) -> None:
    doors.hand_in([_line(1, "atelie-lume", "celery"), _line(2, "atelie-lume", "celery")])
    waiting: Any = redis.lrange("intake", 0, -1)
    (message,) = map(json.loads, waiting)
    assert message["headers"]["task"] == "notifier.ingest"
    arguments, *_ = json.loads(base64.b64decode(message["body"]))
    assert [body["order_id"] for body in arguments[0]] == ["1", "2"]
    assert doors.handed == {"celery": 2}


def test_a_platform_calls_its_source_webhook_by_webhook(doors: Doors, listener: Listener) -> None:
    calls = (Call({"X-Shopify-Topic": "orders/updated"}, b"1"), Call({"X-Shopify-Topic": "refunds/create"}, b"2"))
    doors.hand_in([_line(1, "fern-and-kiln", "shopify", *calls)])
    assert [(path, headers["x-shopify-topic"], body) for path, headers, body in listener.heard] == [
        ("/v1/sources/fern-and-kiln/shopify", "orders/updated", b"1"),
        ("/v1/sources/fern-and-kiln/shopify", "refunds/create", b"2"),
    ]
    assert doors.handed == {"shopify": 1}


def test_cloud_events_go_in_a_batch_that_the_shops_backend_signs(doors: Doors, listener: Listener) -> None:
    doors.hand_in([_line(1, "fern-and-kiln", "cloudevents"), _line(2, "fern-and-kiln", "cloudevents")])
    ((path, headers, body),) = listener.heard
    assert path == "/v1/events?shop=fern-and-kiln"
    assert doubt(body, headers, [doors.signing["fern-and-kiln"]], datetime.now(UTC)) is None
    reading = read_events(body, headers, "fern-and-kiln")
    assert [item.key for item in reading.items if isinstance(item, Entry)] == [
        "fern-and-kiln|1|order.created||",
        "fern-and-kiln|2|order.created||",
    ]


@pytest.mark.parametrize("answer", [(401, b"{}"), (202, b'{"queued":1,"rejected":1}')])
def test_a_door_that_refuses_ends_the_demo_with_its_words(
    doors: Doors, listener: Listener, answer: tuple[int, bytes]
) -> None:
    listener.answer = answer
    with pytest.raises(DoorRefused, match=r"POST /v1/events\?shop=fern-and-kiln was answered"):
        doors.hand_in([_line(1, "fern-and-kiln", "cloudevents")])


def test_old_events_come_as_a_file_whatever_the_shop(
    doors: Doors, tmp_path: Path, started: list[Sequence[str]]
) -> None:
    doors.hand_in([_line(1, "atelie-lume", "file"), _line(2, "qamar-books", "file")])
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
