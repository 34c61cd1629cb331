"""POST /receipts/meta: what Meta sends is kept as it came and answered 200; or nothing is kept, and it is told why."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson
import pytest
from fastapi import FastAPI
from redis import Redis

from notifier.channels import adapter
from notifier.channels.contract import ReceiptUpdate
from notifier.door import open_road
from notifier.embedded import start_server
from notifier.streams import Receipts
from tests.fixtures.asgi import Answer, call
from tests.integration.gateway.conftest import PREFIX, Build

Kept = Callable[[], list[dict[bytes, bytes]]]
LIMIT = 3 * 1024 * 1024


def status(number: int) -> dict[str, object]:
    return {
        "id": f"wamid.{number}",
        "status": "delivered",
        "timestamp": "1700000000",
        "recipient_id": "201001234567",
        "biz_opaque_callback_data": f"d{number}",
    }


def webhook(entries: int, changes: int, statuses: int) -> bytes:
    numbers = iter(range(entries * changes * statuses))
    body = {
        "object": "whatsapp_business_account",
        "entry": [
            {
                "id": f"waba{entry}",
                "changes": [
                    {
                        "field": "messages",
                        "value": {
                            "messaging_product": "whatsapp",
                            "metadata": {"phone_number_id": "1"},
                            "statuses": [status(next(numbers)) for _ in range(statuses)],
                        },
                    }
                    for _ in range(changes)
                ],
            }
            for entry in range(entries)
        ],
    }
    return orjson.dumps(body)


def signed(body: bytes, secret: str = "new-secret") -> dict[str, str]:
    return {"x-hub-signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def post(app: FastAPI, body: bytes | Sequence[bytes], headers: dict[str, str], query: str = "") -> Answer:
    return call(app, "POST", "/receipts/meta", body, headers, query)


def test_a_signed_body_is_kept_byte_for_byte_and_answered_200_with_nothing_in_it(gateway: FastAPI, kept: Kept) -> None:
    body = webhook(1, 1, 1)

    answer = post(gateway, body, signed(body))

    assert (answer.status, answer.body) == (200, b"")
    assert kept() == [{b"provider": b"meta", b"body": body, b"query": b""}]


@pytest.mark.parametrize("secret", ["new-secret", "old-secret", "kiln-secret"])
def test_each_secret_of_each_meta_sender_may_have_signed(gateway: FastAPI, kept: Kept, secret: str) -> None:
    body = webhook(1, 1, 1)

    assert post(gateway, body, signed(body, secret)).status == 200
    assert len(kept()) == 1


def test_the_signature_is_checked_over_the_bytes_as_meta_escaped_them(gateway: FastAPI, kept: Kept) -> None:
    body = rb'{"entry":[{"changes":[{"value":{"contacts":[{"profile":{"name":"\u0646\u0648\u0631 \/"}}]}}]}]}'
    assert orjson.dumps(orjson.loads(body)) != body

    assert post(gateway, body, signed(body)).status == 200
    assert kept()[0][b"body"] == body


@pytest.mark.parametrize(
    ("label", "headers"),
    [
        ("no header", {}),
        ("empty header", {"x-hub-signature-256": ""}),
        ("a secret of nobody", signed(b"{}", "wrong")),
        ("a secret of another provider", signed(b"{}", "nile-token")),
        ("the verify token as the key", signed(b"{}", "nile-word")),
        ("the empty secret", signed(b"{}", "")),
        ("another body's signature", signed(b"{ }")),
        ("the old SHA-1 header alone", {"x-hub-signature": "sha1=" + "0" * 40}),
        ("not even hexadecimal", {"x-hub-signature-256": "sha256=é"}),
    ],
)
def test_a_wrong_signature_is_answered_401_and_nothing_is_kept(
    gateway: FastAPI, kept: Kept, label: str, headers: dict[str, str]
) -> None:
    answer = post(gateway, b"{}", headers)

    assert answer.status == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json == {
        "type": "urn:notifier:problem:signature",
        "title": "Unauthorized",
        "status": 401,
        "detail": "The signature is missing, or not made with our secret.",
    }
    assert kept() == []


def test_without_any_app_secret_nobody_gets_in(build: Build, redis_client: Redis, kept: Kept) -> None:
    bare = build(redis_client, secrets={})

    assert post(bare, b"{}", signed(b"{}", "")).status == 401
    assert kept() == []


def test_a_body_of_exactly_3_mb_is_kept(gateway: FastAPI, kept: Kept) -> None:
    body = b" " * LIMIT

    assert post(gateway, body, signed(body)).status == 200
    assert len(kept()[0][b"body"]) == LIMIT


def test_one_byte_more_is_refused_before_it_is_read(gateway: FastAPI, kept: Kept) -> None:
    body = b" " * (LIMIT + 1)

    answer = post(gateway, body, signed(body))

    assert (answer.status, answer.json["type"], answer.unread) == (413, "urn:notifier:problem:too-large", 1)
    assert answer.json["detail"] == "A body may have at most 3145728 bytes."
    assert kept() == []


def test_a_body_that_does_not_say_its_length_is_counted_as_it_comes(gateway: FastAPI, kept: Kept) -> None:
    chunk = b" " * 1024 * 1024
    whole = chunk * 3

    assert post(gateway, [chunk, chunk, chunk], signed(whole)).status == 200
    too_much = post(gateway, [chunk, chunk, chunk, b" ", chunk, chunk], signed(whole + b" "))

    assert (too_much.status, too_much.unread) == (413, 2)
    assert len(kept()) == 1


def test_a_length_that_is_a_lie_does_not_help(gateway: FastAPI, kept: Kept) -> None:
    answer = post(gateway, [b" " * (LIMIT + 1)], {"content-length": "2"})

    assert answer.status == 413
    assert kept() == []


def test_a_body_that_is_cut_off_is_not_kept(gateway: FastAPI, kept: Kept) -> None:
    answer = call(gateway, "POST", "/receipts/meta", [b"{"], signed(b"{"), disconnects=True)

    assert (answer.status, answer.json["type"]) == (400, "urn:notifier:problem:cut-off")
    assert kept() == []


@pytest.mark.parametrize(("entries", "changes", "statuses"), [(1000, 1, 1), (1, 1000, 1), (1, 1, 1000), (10, 10, 10)])
def test_1000_updates_in_any_nesting_are_one_entry_that_the_receipts_worker_can_read(
    gateway: FastAPI, kept: Kept, entries: int, changes: int, statuses: int
) -> None:
    body = webhook(entries, changes, statuses)

    assert post(gateway, body, signed(body)).status == 200
    updates = adapter("meta").read_updates(kept()[0][b"body"], {})

    assert {update.ref for update in updates if isinstance(update, ReceiptUpdate)} == {f"d{n}" for n in range(1000)}


def test_a_signed_body_that_is_no_json_is_kept_for_the_worker_to_judge(gateway: FastAPI, kept: Kept) -> None:
    assert post(gateway, b"\xff\x00", signed(b"\xff\x00")).status == 200
    assert kept()[0][b"body"] == b"\xff\x00"


def test_the_same_receipt_twice_is_kept_twice_and_left_to_the_ledger(gateway: FastAPI, kept: Kept) -> None:
    body = webhook(1, 1, 1)

    assert [post(gateway, body, signed(body)).status for _ in range(2)] == [200, 200]
    assert len(kept()) == 2


def test_without_redis_meta_is_asked_to_come_again(gateway_without_road: FastAPI) -> None:
    answer = post(gateway_without_road, b"{}", signed(b"{}"))

    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert answer.json["type"] == "urn:notifier:problem:road-away"
    assert b"127.0.0.1" not in answer.body


def test_without_redis_a_wrong_signature_is_still_a_401(gateway_without_road: FastAPI) -> None:
    assert post(gateway_without_road, b"{}", {}).status == 401


def test_the_gateway_carries_on_by_itself_when_redis_is_back(build: Build, tmp_path: Path) -> None:
    with start_server(tmp_path / "redis") as server:
        app = build(open_road(server.url))
        before = post(app, b"{}", signed(b"{}")).status
    away = post(app, b"{}", signed(b"{}")).status
    with start_server(tmp_path / "redis", port=server.port):
        back = post(app, b"{}", signed(b"{}")).status

    assert (before, away, back) == (200, 503, 200)


def test_a_full_stream_asks_meta_to_come_again_and_keeps_nothing_more(
    build: Build, redis_client: Redis, kept: Kept
) -> None:
    full = build(redis_client, receipts=Receipts(redis_client, PREFIX, max_length=1))

    first, second = post(full, b"{}", signed(b"{}")), post(full, b"{}", signed(b"{}"))

    assert (first.status, second.status) == (200, 503)
    assert second.json["type"] == "urn:notifier:problem:road-full"
    assert len(kept()) == 1
