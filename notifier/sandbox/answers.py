"""How a request is answered: the bytes, and the manner, for some answers never arrive."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

Kind = Literal[
    "refuse",
    "throttle",
    "reset_before",
    "status",
    "html_502",
    "reset_after",
    "never_answer",
    "delay",
    "half_json",
    "held",
]

# The message was not taken: these stand in for the provider's work. All other kinds bend the answer after it.
NOT_ACCEPTED: frozenset[Kind] = frozenset({"refuse", "throttle", "reset_before", "status", "html_502"})

HTML_502 = (
    b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head>"
    b"<body><h1>502 Bad Gateway</h1><p>The upstream did not answer.</p></body></html>"
)
TRANSPORT = "notifier.sandbox.transport"  # the scope key under which the app hands the connection to the answer


@dataclass(frozen=True, slots=True)
class Action:
    """What goes wrong with one answer.

    code: the provider's code (refuse). status, body: the raw answer (status), or the HTTP status to use instead of the
    usual one (refuse, throttle). seconds: real seconds (delay), sandbox seconds (held).
    """

    kind: Kind
    code: int | None = None
    status: int | None = None
    body: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer and its manner: plain, slow (after `seconds`), held (no answer for `seconds`), reset (TCP RST)."""

    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: str = "application/json"
    manner: Literal["plain", "slow", "held", "reset"] = "plain"
    seconds: float = 0.0


def json_answer(status: int, value: Any) -> Answer:
    """A plain JSON answer."""
    return Answer(status, orjson.dumps(value))


def stand_in(action: Action, refuse: Callable[[Action], Answer]) -> Answer:
    """The answer instead of the provider's work; `refuse` words the provider's own error body."""
    if action.kind == "reset_before":
        return Answer(0, manner="reset")
    if action.kind == "html_502":
        return Answer(502, HTML_502, "text/html")
    if action.kind == "status":
        return Answer(action.status or 500, action.body.encode())
    return refuse(action)


def bend(answer: Answer, action: Action | None, hold_seconds: float) -> Answer:
    """The provider's answer after it did its work, as the client gets to see it."""
    if action is None:
        return answer
    match action.kind:
        case "reset_after":
            return replace(answer, manner="reset")
        case "never_answer":
            return replace(answer, manner="held", seconds=hold_seconds)
        case "delay":
            return replace(answer, manner="slow", seconds=action.seconds)
        case "half_json":
            return replace(answer, body=answer.body[: len(answer.body) // 2])
        case _:
            return answer


class PlayedResponse(Response):
    """Plays an Answer on the wire: waits, holds the connection, or resets it with a real TCP RST."""

    def __init__(self, answer: Answer, release: asyncio.Event) -> None:
        super().__init__(answer.body, answer.status or 200, media_type=answer.content_type)
        self._answer = answer
        self._release = release  # set when the server stops: a held request must not keep it alive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match self._answer.manner:
            case "plain":
                await super().__call__(scope, receive, send)
            case "slow":
                await self._wait(self._release.wait())
                await super().__call__(scope, receive, send)
            case "held":
                await self._wait(self._gone_or_released(receive))
                await _reset(scope, receive)
            case "reset":
                await _reset(scope, receive)

    async def _wait(self, until: Any) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(until, self._answer.seconds)

    async def _gone_or_released(self, receive: Receive) -> None:
        waits = {asyncio.ensure_future(_gone(receive)), asyncio.ensure_future(self._release.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _reset(scope: Scope, receive: Receive) -> None:
    """Cut the connection with RST: with a linger time of zero the kernel drops what is buffered and resets.

    Without a real connection (an in-process client) the same is said as a ConnectionResetError.
    """
    transport = scope.get(TRANSPORT)
    if transport is None:
        raise ConnectionResetError("the sandbox reset this connection")
    if transport.is_closing():
        return
    original = transport.get_extra_info("socket")
    # A duplicate, for not every loop's transport lets options be set; the option belongs to the connection.
    with socket.fromfd(original.fileno(), original.family, original.type) as duplicate:
        duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await _gone(receive)  # returning earlier would make the server write a 500 into the closed connection
