"""The gateway on a real socket against callers who mean harm: slow ones, endless ones, bombs. It goes on answering."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import uvicorn
from click.testing import CliRunner
from fastapi import FastAPI
from redis import Redis

from notifier.channels import meta, twilio
from notifier.cli import main
from notifier.gateway import bodies, patience
from notifier.gateway.patience import LARGEST_HEAD, PatientProtocol
from notifier.ledger import Ledger
from tests.integration.gateway.callers import a_key
from tests.integration.gateway.conftest import Build

SOON = 0.4  # seconds; in the place of ten for a head, and of twenty for a body
WITHIN = 30.0  # for anything that is waited for
CROWD = 60

Kept = Callable[[], list[dict[bytes, bytes]]]


@contextlib.contextmanager
def served(app: FastAPI) -> Iterator[tuple[str, int]]:
    """The address of the app under uvicorn, as `notifier gateway` runs it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(256)
        config = uvicorn.Config(
            app, http=PatientProtocol, log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            server.should_exit = True
            thread.join(WITHIN)


@pytest.fixture
def address(
    build: Build, redis_client: Redis, sqlite_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, int]]:
    monkeypatch.setattr(patience, "HEAD_WITHIN", SOON)
    monkeypatch.setattr(bodies.read_body, "__defaults__", (timedelta(seconds=SOON),))
    with served(build(redis_client)) as where:
        yield where


@pytest.fixture
def key(sqlite_ledger: Ledger) -> str:
    return a_key(sqlite_ledger)


def opened(address: tuple[str, int], first: bytes = b"") -> socket.socket:
    connection = socket.create_connection(address, WITHIN)
    connection.sendall(first)
    return connection


def head(path: str, *headers: str, method: str = "POST") -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", "host: gateway", *headers, "", "")).encode()


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Status and all that came until the other side closed; 0: it closed without a word."""
    connection.settimeout(WITHIN)
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            received += part
    connection.close()
    return (int(received.split(b" ")[1]) if received.startswith(b"HTTP/1.1 ") else 0), received


def post(address: tuple[str, int], path: str, body: bytes, *headers: str) -> int:
    """The status of a request that is sent whole and at once."""
    lines = (f"content-length: {len(body)}", "connection: close", *headers)
    return answer(opened(address, head(path, *lines) + body))[0]


def signed(body: bytes, secret: str = "new-secret") -> str:
    return "x-hub-signature-256: sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def is_well(address: tuple[str, int], kept: Kept) -> bool:
    """A receipt is taken, and kept."""
    before = len(kept())
    return post(address, "/receipts/meta", b"{}", signed(b"{}")) == 200 and len(kept()) == before + 1


def test_a_crowd_that_never_ends_its_heads_holds_up_nobody_and_is_sent_away(
    address: tuple[str, int], kept: Kept
) -> None:
    halves = (b"", b"POST /rec", b"POST /receipts/meta HTTP/1.1\r\nhost: x\r\nx-a: ")
    crowd = [opened(address, halves[place % 3]) for place in range(CROWD)]
    assert is_well(address, kept)
    assert {answer(one)[0] for one in crowd} == {408}
    assert is_well(address, kept)


def dribble(connection: socket.socket, piece: bytes) -> None:
    """Sends a piece again and again until the other side has had enough."""
    deadline = time.monotonic() + WITHIN
    with contextlib.suppress(OSError):
        while time.monotonic() < deadline:
            connection.sendall(piece)
            threading.Event().wait(0.02)


@pytest.mark.parametrize(
    ("label", "first", "piece"),
    [
        ("a header, byte by byte", b"GET /health/live HTTP/1.1\r\nx-a: ", b"a"),
        ("headers, one by one", b"GET /health/live HTTP/1.1\r\n", b"x-a: a\r\n"),
        ("line ends before any request", b"", b"\r\n"),
        ("line ends after a request", head("/health/live", method="GET"), b"\r\n"),
    ],
)
def test_who_keeps_dribbling_is_sent_away_all_the_same(
    address: tuple[str, int], kept: Kept, label: str, first: bytes, piece: bytes
) -> None:
    connection = opened(address, first)
    begun = time.monotonic()
    dribble(connection, piece)

    assert time.monotonic() - begun < WITHIN
    connection.close()
    assert is_well(address, kept)


def test_a_body_that_does_not_come_is_a_408(address: tuple[str, int], kept: Kept) -> None:
    crowd = [opened(address, head("/receipts/meta", "content-length: 100", "connection: close")) for _ in range(CROWD)]
    assert is_well(address, kept)
    assert {answer(one)[0] for one in crowd} == {408}


def test_a_request_is_given_its_time_anew_on_a_connection_that_stays(address: tuple[str, int]) -> None:
    connection = opened(address)
    for _ in range(3):
        connection.sendall(head("/health/live", method="GET"))
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        threading.Event().wait(SOON * 0.6)
    connection.close()


@pytest.mark.parametrize(("label", "piece"), [("one that never ends", b"a" * 8_192), ("many", b"x-a: b\r\n" * 1_024)])
def test_a_flood_of_headers_is_cut_off(address: tuple[str, int], kept: Kept, label: str, piece: bytes) -> None:
    connection = opened(address, b"POST /receipts/meta HTTP/1.1\r\nhost: x\r\nx-a: ")
    sent = 0
    with contextlib.suppress(OSError):
        while sent < 64 * 1024 * 1024:
            connection.sendall(piece)
            sent += len(piece)

    assert LARGEST_HEAD < sent < 16 * 1024 * 1024  # what fits into the sockets' buffers is sent, and never read
    connection.close()
    assert is_well(address, kept)


def test_a_head_of_usual_size_is_read(address: tuple[str, int]) -> None:
    padding = [f"x-{number}: {'a' * 900}" for number in range(16)]
    assert answer(opened(address, head("/health/live", "connection: close", *padding, method="GET")))[0] == 200


def test_a_body_that_says_it_is_too_large_is_refused_unread(address: tuple[str, int], kept: Kept) -> None:
    status, _ = answer(opened(address, head("/receipts/meta", "content-length: 99999999999", "connection: close")))
    assert (status, is_well(address, kept)) == (413, True)


def test_a_body_that_does_not_say_how_large_it_is_is_counted(address: tuple[str, int], kept: Kept) -> None:
    connection = opened(address, head("/receipts/meta", "transfer-encoding: chunked", "connection: close"))
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    with contextlib.suppress(OSError):
        for _ in range(1_000):
            connection.sendall(chunk)
    assert answer(connection)[0] in {413, 0}  # 0: it closed while we still sent, and the answer was lost with that
    assert is_well(address, kept)


BOMBS = {
    "deep lists": b"[" * 200_000,
    "deep lists, closed": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
    "a number of 200,000 digits": b'{"entry":' + b"9" * 200_000 + b"}",
    "a number out of bounds": b'{"entry":1e999999}',
    "many keys": b"{" + b",".join(b'"%d":1' % number for number in range(20_000)) + b"}",
    "a key many times": b"{" + b",".join([b'"entry":[]'] * 20_000) + b"}",
    "half a surrogate pair": b'{"entry":[{"id":"\\ud83d"}]}',
    "bytes that are no text": b'{"entry":"\xff\xfe\xed\xa0\x80"}',
    "compressed zeroes": zlib.compress(b"0" * 50_000_000),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_bomb_at_the_door_for_events_is_refused(address: tuple[str, int], kept: Kept, key: str, bomb: bytes) -> None:
    for media in ("application/json", "application/cloudevents+json", "application/x-ndjson"):
        headers = (f"authorization: Bearer {key}", f"content-type: {media}", "content-encoding: deflate")
        assert post(address, "/v1/events", bomb, *headers) in {400, 413, 415, 422}
    assert is_well(address, kept)


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_bomb_that_a_provider_signed_is_kept_and_says_nothing(
    address: tuple[str, int], kept: Kept, bomb: bytes
) -> None:
    assert post(address, "/receipts/meta", bomb, signed(bomb)) == 200
    assert kept()[-1][b"body"] == bomb
    assert (list(meta.read_updates(bomb, {})), list(twilio.read_updates(bomb, {}))) == ([], [])


@pytest.mark.parametrize(
    ("label", "raw"),
    [
        ("two lengths", head("/receipts/meta", "content-length: 2", "content-length: 5") + b"{}"),
        ("a length and chunks", head("/receipts/meta", "content-length: 2", "transfer-encoding: chunked") + b"{}"),
        ("a length that is none", head("/receipts/meta", "content-length: -1") + b"{}"),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64),
        ("a line that is none", b"\x00\x01\x02\r\n\r\n"),
        ("a NUL in a header", b"GET /health/live HTTP/1.1\r\nhost: a\x00b\r\n\r\n"),
    ],
)
def test_what_is_no_http_is_a_400_or_the_end_of_the_connection(
    address: tuple[str, int], kept: Kept, label: str, raw: bytes
) -> None:
    status, received = answer(opened(address, raw))
    assert status in {400, 408, 0}, received
    assert is_well(address, kept)


def test_signatures_of_ours_old_and_new_are_taken_and_no_others(address: tuple[str, int], kept: Kept) -> None:
    body = b'{"entry":[]}'
    taken = {
        secret: post(address, "/receipts/meta", body, signed(body, secret)) for secret in ("new-secret", "old-secret")
    }
    refused = {
        "none": post(address, "/receipts/meta", body),
        "a stranger's": post(address, "/receipts/meta", body, signed(body, "guess")),
        "of another body": post(address, "/receipts/meta", body + b" ", signed(body)),
        "empty": post(address, "/receipts/meta", body, "x-hub-signature-256: sha256="),
        "with SHA-1": post(address, "/receipts/meta", body, signed(body).replace("sha256=", "sha1=")),
    }

    assert taken == {"new-secret": 200, "old-secret": 200}
    assert set(refused.values()) == {401}
    assert len(kept()) == 2


def test_the_command_serves_with_this_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    said: dict[str, object] = {}
    monkeypatch.setattr(uvicorn, "run", lambda app, **more: said.update(more))

    assert CliRunner().invoke(main, ["gateway", "--port", "0"]).exit_code == 0
    assert said["http"] is PatientProtocol
