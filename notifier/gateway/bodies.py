"""Reading a stranger's body: all of it, as it came, and never more than was agreed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request

from notifier.gateway.problems import Refusal

# A provider sends a body in one go; a sender that takes longer holds a connection for nothing.
BODY_WITHIN = timedelta(seconds=20)


async def read_body(request: Request, largest: int, within: timedelta = BODY_WITHIN) -> bytes:
    """The raw bytes. A body that says it is too large is not read at all; one that says nothing is counted as it comes.

    Raises Refusal: 413 above `largest` bytes, 408 after `within`, 400 when the sender went away in the middle.
    """
    if _declared(request) > largest:
        raise _too_large(largest)
    try:
        async with asyncio.timeout(within.total_seconds()):
            return await _counted(request, largest)
    except TimeoutError:
        detail = f"The body was not complete after {within.total_seconds():g} s."
        raise Refusal(HTTPStatus.REQUEST_TIMEOUT, "slow-body", detail) from None
    except ClientDisconnect:
        raise Refusal(HTTPStatus.BAD_REQUEST, "cut-off", "The body ended before it was complete.") from None


async def _counted(request: Request, largest: int) -> bytes:
    """Message by message: Starlette's own stream costs 10 us a request more."""
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size, more = size + len(chunk), message.get("more_body", False)
        if size > largest:
            raise _too_large(largest)
        chunks.append(chunk)
    return b"".join(chunks)


def _declared(request: Request) -> int:
    """Content-Length; 0 where there is none, or one that is no number: the bytes are counted anyway."""
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isascii() and declared.isdigit() else 0


def _too_large(largest: int) -> Refusal:
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", f"A body may have at most {largest} bytes.")
