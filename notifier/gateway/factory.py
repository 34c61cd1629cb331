"""The ASGI application, put together from parts that its caller gives, so that tests drive it as uvicorn does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from notifier import telemetry
from notifier.gateway.auth import Caller, Gate, SigningSecrets, signing_secrets
from notifier.gateway.commit import Overloaded
from notifier.gateway.docs_page import docs_route
from notifier.gateway.doors import open_doors, verify_tokens
from notifier.gateway.handing import Handover
from notifier.gateway.health import Stores, health_routes, lane_limits
from notifier.gateway.keyring import KeyRing
from notifier.gateway.openapi import API_VERSION, describe
from notifier.gateway.problems import Refusal, install
from notifier.gateway.rates import Want
from notifier.gateway.receipts import receipt_routes
from notifier.gateway.sources import source_routes
from notifier.gateway.v1_consents import ConsentWord, consent_routes
from notifier.gateway.v1_events import PATH as EVENTS
from notifier.gateway.v1_events import EventsDoor
from notifier.gateway.v1_reads import read_routes
from notifier.ledger import open_ledger
from notifier.process import settle_memory
from notifier.runtime import Runtime, open_runtime
from notifier.settings import load_settings
from notifier.streams import Receipts

OPENAPI_PATH = "/v1/openapi.json"

_TITLE = "notifier gateway"
_DESCRIPTION = """\
Shops hand in order events at `/v1/events` and ask what became of them. Their platforms call `/v1/sources/`, providers
report to `/receipts/`, each signed as its sender signs. `/health` and `/metrics` are for your own network. Errors are
RFC 9457 problems.
"""

# The ledger's connections of this process: reading routes share them with the health checks and the way past Redis.
POOL = 12


class _Gateway(FastAPI):
    """FastAPI with the one hot door in front of it."""

    def __init__(self, events: EventsDoor, **said: Any) -> None:
        super().__init__(**said)
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == EVENTS and scope["method"] == "POST":
            await self._events(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_gateway(runtime: Runtime, receipts: Receipts, signing: SigningSecrets | None = None) -> FastAPI:
    """The gateway over these parts. The secrets of senders open the doors for receipts: absent ones open none.

    signing: secrets with which shops may sign what they hand in, in place of showing a key.
    """
    settings = runtime.settings
    gate, handover = Gate(KeyRing(runtime.ledger), signing or {}), Handover(runtime)
    events = EventsDoor(gate, handover, runtime.clock)
    gateway = _Gateway(
        events,
        title=_TITLE,
        version=API_VERSION,
        docs_url=None,
        redoc_url=None,
        openapi_url=OPENAPI_PATH,
    )
    install(gateway)
    secrets = {name: sender.secrets for name, sender in runtime.senders.items()}
    doors = open_doors(settings, secrets)
    gateway.router.routes.extend(receipt_routes(doors, receipts, settings.public_url, verify_tokens(settings, secrets)))
    gateway.router.routes.extend(source_routes(runtime))
    # Never asked, but other methods are answered 405 for it.
    gateway.router.routes.append(Route(EVENTS, events.take, methods=["POST"], include_in_schema=False))
    admit = _admit(gate, handover)
    gateway.include_router(read_routes(runtime, admit))
    gateway.include_router(consent_routes(runtime, admit))
    limits = lane_limits(settings.senders)
    gateway.include_router(
        health_routes(
            Stores(runtime.redis, runtime.ledger, settings.key_prefix, settings.fallback, limits), runtime.clock
        )
    )
    gateway.router.routes.append(docs_route(OPENAPI_PATH))
    gateway.openapi = describe(gateway, _TITLE, _DESCRIPTION, (ConsentWord,))  # type: ignore[method-assign]
    return gateway


def app() -> FastAPI:
    """The gateway of this process, for `uvicorn --factory notifier.gateway:app`. Raises SettingsError, CatalogError."""
    settings = load_settings()
    telemetry.configure(settings.log_level)
    ledger = open_ledger(settings.ledger_url, pool_size=POOL)
    runtime = replace(open_runtime(settings, _leave_to_the_tick), ledger=ledger)
    receipts = Receipts(runtime.redis, settings.key_prefix, durable=settings.inbox.durable)
    gateway = create_gateway(runtime, receipts, signing_secrets(settings.shops))
    settle_memory()
    return gateway


def _leave_to_the_tick(lane: str, channel: str) -> bool:
    """The gateway wakes nobody: what it writes into the ledger by itself it writes while Redis is away."""
    return False


def _admit(gate: Gate, handover: Handover) -> Callable[[str], Callable[[Request], Awaitable[Caller]]]:
    def admit(scope: str) -> Callable[[Request], Awaitable[Caller]]:
        async def known(request: Request) -> Caller:
            """Who calls, when the key has the scope and is within its rate. Raises Refusal."""
            caller = await gate.admit(request.headers, scope)
            try:
                wait = await handover.may_read(Want(caller.holder, caller.rate, 1))
            except Overloaded:
                detail = "Too many requests are waiting. Please send this one again."
                raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "overloaded", detail, again=True) from None
            if wait:
                detail = "This key asks for more than its rate allows."
                raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, "rate", detail, again=True, retry_after=wait)
            return caller

        return known

    return admit
