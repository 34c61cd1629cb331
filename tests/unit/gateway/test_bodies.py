"""Reading a body: bounded in bytes and in time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from notifier.gateway.bodies import read_body
from notifier.gateway.problems import Refusal

MINUTE = timedelta(minutes=1)
SOON = timedelta(milliseconds=1)


def request(*chunks: bytes, ends: bool = True, headers: dict[str, str] | None = None) -> Request:
    """A request whose chunks are all there; one that does not end never gives another."""
    waiting = list(chunks)

    async def receive() -> Message:
        if not waiting:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting) or not ends}

    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


def read(largest: int, *chunks: bytes, **options: Any) -> bytes:
    within = MINUTE if options.get("ends", True) else SOON
    return asyncio.run(read_body(request(*chunks, **options), largest, within))


def test_chunks_become_the_body_in_their_order() -> None:
    assert read(10, b"ab", b"", b"cd") == b"abcd"


def test_a_body_of_exactly_the_limit_is_read() -> None:
    assert read(4, b"ab", b"cd") == b"abcd"


@pytest.mark.parametrize(
    ("label", "chunks", "headers"),
    [
        ("counted", (b"ab", b"cde"), {}),
        ("declared", (b"ab",), {"content-length": "5"}),
        ("declared too small", (b"abcde",), {"content-length": "2"}),
        ("declared as no number", (b"abcde",), {"content-length": "-1"}),
        ("declared in other digits", (b"abcde",), {"content-length": "²"}),
    ],
)
def test_a_byte_more_is_a_413(label: str, chunks: tuple[bytes, ...], headers: dict[str, str]) -> None:
    with pytest.raises(Refusal) as caught:
        read(4, *chunks, headers=headers)

    assert (caught.value.status, caught.value.reason) == (413, "too-large")


def test_a_body_that_never_ends_is_a_408() -> None:
    with pytest.raises(Refusal) as caught:
        read(10, b"ab", ends=False)

    assert (caught.value.status, caught.value.reason) == (408, "slow-body")
