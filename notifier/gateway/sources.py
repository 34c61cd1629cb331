"""The doors of the shops' platforms, `/v1/sources/{shop}/{source}`: handshake, signature, append, answer.

What a body means is read by a worker; a platform waits seconds at most, and some never call again (reference
platforms-and-sms §0.2). So a body that cannot be read is kept, and answered like any other.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from notifier import telemetry
from notifier.gateway.bodies import read_body
from notifier.gateway.commit import Grouped, Overloaded
from notifier.gateway.problems import Refusal, refused
from notifier.gateway.public_keys import KeysAway, PublicKeys
from notifier.gateway.receipts import LARGE
from notifier.inbox import RoadUnavailable
from notifier.ledger import LedgerUnavailable
from notifier.runtime import Runtime
from notifier.shop_sources import ShopSource
from notifier.sources.contract import Headers, Knock
from notifier.webhook_bypass import take_past_the_road
from notifier.webhook_stream import Webhook, Webhooks

PATH = "/v1/sources/{shop}/{source}"
METHODS = ("GET", "POST", "OPTIONS")


class SourceDoors:
    """Takes the calls of every configured source."""

    def __init__(self, runtime: Runtime, webhooks: Webhooks, keys: PublicKeys) -> None:
        self._runtime = runtime
        self._keys = keys
        self._append: Grouped[Webhook, bool] = Grouped(webhooks.append_many)
        self._past_the_road: Grouped[Webhook, bool] = Grouped(self._bypass)

    async def take(self, request: Request) -> Response:
        """Answers the platform's own success only after the body is safe: in Redis, or read into the ledger."""
        try:
            return await self._take(request)
        except Refusal as refusal:
            return refused(PATH, refusal)

    async def _take(self, request: Request) -> Response:
        found = self._runtime.sources.get((request.path_params["shop"], request.path_params["source"]))
        if found is None:
            raise Refusal(HTTPStatus.NOT_FOUND, "no-source", "There is no such source.")
        begun, headers = time.monotonic(), lower_headers(request)
        body = await read_body(request, found.source.largest)
        ping = found.source.greet(Knock(request.method, dict(request.query_params), headers, body))
        if ping:
            return Response(ping.body, ping.status, dict(ping.headers))
        if request.method != "POST":
            raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "method", "This source takes POST.")
        await self._believe(found, body, headers)
        await self._keep(Webhook(found.shop, found.name, kept_headers(found, headers), body))
        seconds = time.monotonic() - begun
        telemetry.note("gateway.webhooks", shop=found.shop, source=found.name, seconds=seconds)
        return Response(status_code=found.source.success)

    async def _believe(self, found: ShopSource, body: bytes, headers: Headers) -> None:
        """Raises Refusal: 401 when none of the secrets signed it; 503 when a public key cannot be had now."""
        secrets = (*found.secrets, *await self._public_keys(found.source.key_urls(headers)))
        given = (body, headers, secrets, self._runtime.clock())
        good = (
            await run_in_threadpool(found.source.verify, *given) if len(body) > LARGE else found.source.verify(*given)
        )
        if not good:
            # An operator finds the reason in the log; a stranger need not know that nothing is configured.
            reason = "signature" if found.secrets else "no-secret"
            telemetry.note("gateway.unsigned", shop=found.shop, source=found.name, reason=reason)
            detail = "The signature is missing, or not made with our secret."
            raise Refusal(HTTPStatus.UNAUTHORIZED, "signature", detail)

    async def _public_keys(self, urls: tuple[str, ...]) -> Sequence[str]:
        if not urls:
            return ()
        try:
            known = self._keys.known(urls)
            return await run_in_threadpool(self._keys.of, urls) if known is None else known
        except KeysAway as error:
            telemetry.note("gateway.keys_away", error=str(error))
            detail = "The public key of this signature cannot be fetched now."
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "keys-away", detail, again=True) from None

    async def _keep(self, webhook: Webhook) -> None:
        """Raises Refusal: 503 when neither Redis nor the ledger can take it."""
        try:
            kept = await self._append(webhook)
        except Overloaded:
            kept = False
        except RoadUnavailable as error:
            telemetry.note("road.away", where="door", wait=0.0, error=error)
            kept = await self._read_at_once(webhook)
        if not kept:
            detail = "This could not be kept. Please send it again later."
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "not-kept", detail, again=True)

    async def _read_at_once(self, webhook: Webhook) -> bool:
        try:
            return await self._past_the_road(webhook)
        except (LedgerUnavailable, Overloaded):
            return False

    def _bypass(self, webhooks: Sequence[Webhook]) -> Sequence[bool]:
        return take_past_the_road(self._runtime, webhooks)


def lower_headers(request: Request) -> dict[str, str]:
    """Names in lower case; of a header that came twice, the first."""
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        found.setdefault(name.lower(), value)
    return found


def kept_headers(found: ShopSource, headers: Headers) -> Mapping[str, str]:
    """The headers that the parser reads: others may be credentials, and nobody needs them later."""
    return {name: value for name, value in headers.items() if name.startswith(found.source.keeps)}


def source_routes(runtime: Runtime, keys: PublicKeys | None = None) -> list[Route]:
    """One route for all sources. A plain Starlette route: nothing of a webhook is validated here."""
    settings = runtime.settings
    webhooks = Webhooks(runtime.redis, settings.key_prefix, durable=settings.inbox.durable)
    doors = SourceDoors(runtime, webhooks, keys or PublicKeys())
    return [Route(PATH, doors.take, methods=list(METHODS), include_in_schema=False)]
