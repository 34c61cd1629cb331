"""The routes that providers report to. They stay thin: read, check the signature, append, answer.

What a body means is read later, by the receipts worker; a body that cannot be read is still kept, and still answered,
for the provider would only send it again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from notifier import telemetry
from notifier.channels.meta import verify_subscription
from notifier.gateway.bodies import read_body
from notifier.gateway.commit import Grouped, Overloaded
from notifier.gateway.doors import Door
from notifier.gateway.problems import Refusal, refused
from notifier.road import RoadUnavailable
from notifier.streams import Receipts

# Bytes from which a signature is checked on a thread: hashing so many takes as long as the hop there.
LARGE = 64 * 1024


Body = tuple[str, bytes, str]
"""provider, raw body, query string"""

Append = Grouped[Body, bool]


class ReceiptRoute:
    """POST /receipts/<provider>. public_url: how the provider calls us, for the schemes that sign the address too."""

    def __init__(self, door: Door, append: Append, public_url: str) -> None:
        self._door = door
        self._append = append
        self._public_url = public_url.rstrip("/")
        self.path = f"/receipts/{door.provider}"

    async def take(self, request: Request) -> Response:
        """Answers the provider's own success only after the body is in Redis."""
        try:
            body = await read_body(request, self._door.largest)
            await self._keep(body, request.headers, request.url.query)
        except Refusal as refusal:
            return refused(self.path, refusal)
        return Response(status_code=self._door.success)

    async def _keep(self, body: bytes, headers: Mapping[str, str], query: str) -> None:
        """Append the body if one of the secrets signed it.

        Raises Refusal: 401 when none did; 503 when Redis is away or the stream is full, so that the provider repeats.
        """
        begun = time.monotonic()
        hashed = run_in_threadpool(self._signed, body, headers, query) if len(body) > LARGE else None
        if not (self._signed(body, headers, query) if hashed is None else await hashed):
            detail = "The signature is missing, or not made with our secret."
            raise Refusal(HTTPStatus.UNAUTHORIZED, "signature", detail)
        try:
            kept = await self._append((self._door.provider, body, query))
        except (RoadUnavailable, Overloaded) as error:
            raise _again("road-away", "The receipt could not be kept. Please send it again.") from error
        if not kept:
            raise _again("road-full", "Too many receipts are waiting. Please send it again later.")
        telemetry.note("gateway.receipts", provider=self._door.provider, seconds=time.monotonic() - begun)

    def _signed(self, body: bytes, headers: Mapping[str, str], query: str) -> bool:
        url = f"{self._public_url}{self.path}" + (f"?{query}" if query else "")
        return self._door.check(body, headers, url, self._door.secrets_for(body))


def receipt_routes(
    doors: tuple[Door, ...], receipts: Receipts, public_url: str, tokens: tuple[str, ...]
) -> list[Route]:
    """A POST a door, and Meta's handshake. Plain Starlette routes: nothing of a receipt is validated here."""
    append = Grouped(receipts.append_many)
    routes = [ReceiptRoute(door, append, public_url) for door in doors]

    async def handshake(request: Request) -> Response:
        challenge = verify_subscription(request.query_params, tokens)
        if challenge is None:
            detail = "hub.mode is not subscribe, or hub.verify_token is not the one that the sender's secrets hold."
            return refused("/receipts/meta", Refusal(HTTPStatus.FORBIDDEN, "verify-token", detail))
        return PlainTextResponse(challenge)

    return [
        Route("/receipts/meta", handshake, methods=["GET"], include_in_schema=False),
        *(Route(route.path, route.take, methods=["POST"], include_in_schema=False) for route in routes),
    ]


def _again(reason: str, detail: str) -> Refusal:
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, reason, detail, again=True)
