"""The sandbox's doors: Meta's and Twilio's routes, the control routes, and the page for people who practise."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from notifier.sandbox import control
from notifier.sandbox.answers import NOT_ACCEPTED, TRANSPORT, Action, Answer, PlayedResponse, bend, stand_in
from notifier.sandbox.clock import Driver, SandboxClock
from notifier.sandbox.config import SandboxConfig
from notifier.sandbox.courier import ThreadCourier, handshake
from notifier.sandbox.meta import Meta
from notifier.sandbox.meta_checks import read_json
from notifier.sandbox.meta_errors import Refusal
from notifier.sandbox.meta_errors import error_answer as meta_error
from notifier.sandbox.meta_management import MetaManagement
from notifier.sandbox.page import render
from notifier.sandbox.templates import Templates
from notifier.sandbox.twilio import Twilio
from notifier.sandbox.twilio import error_answer as twilio_error
from notifier.sandbox.world import World

_VERSION = re.compile(r"v(\d{1,3}\.\d)")
Endpoint = Callable[[Request], Awaitable[Response]]


class SandboxApp:
    """The ASGI application. Its parts are public for tests in the same process."""

    def __init__(self, config: SandboxConfig, clock: SandboxClock | None = None) -> None:
        self.world = World(config, clock)
        self.templates = Templates(config, self.world.clock, self.world.agenda)
        self.meta = Meta(self.world, self.templates)
        self.management = MetaManagement(self.world, self.meta, self.templates)
        self.twilio = Twilio(self.world)
        self.release = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starlette = Starlette(
            routes=[*_meta_send(self), *control.routes(self), *_others(self)], lifespan=self._life
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # uvicorn's `send` is a method of the object that owns the connection; a reset needs the connection itself.
        scope[TRANSPORT] = getattr(getattr(send, "__self__", None), "transport", None)
        await self._starlette(scope, receive, send)

    def let_go(self) -> None:
        """Hold no request any longer (from any thread): a server about to stop waits for its connections."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.release.set)

    def reset(self) -> None:
        """As freshly started, but for templates, subscriptions and webhook addresses."""
        self.world.reset()
        self.twilio.clear()

    @asynccontextmanager
    async def _life(self, _: Starlette) -> AsyncIterator[None]:
        self._loop = loop = asyncio.get_running_loop()
        courier = ThreadCourier(loop, self.world.config.webhook_threads)
        self.world.outbox.courier = courier
        driver = Driver(self.world.agenda, self.world.clock, loop)
        try:
            yield
        finally:
            self._loop = None
            driver.stop()
            courier.close()


def create_app(config: SandboxConfig, clock: SandboxClock | None = None) -> SandboxApp:
    """The sandbox as an ASGI application, to be served by uvicorn (resets need a real connection).

    clock: for tests; otherwise one at `config.clock_rate`. Raises SandboxConfigError for templates Meta would refuse.
    """
    return SandboxApp(config, clock)


def _meta_send(app: SandboxApp) -> list[Route]:
    """The busiest route, first in the table."""

    async def send(request: Request) -> Response:
        version = _VERSION.fullmatch(request.path_params["version"])
        if version is None:
            return _unknown_path(app)
        body = await request.body()
        answer = app.meta.send(
            float(version[1]), request.path_params["number"], _authorization(request), body, request.url.path
        )
        return PlayedResponse(answer, app.release)

    return [Route("/{version}/{number}/messages", send, methods=["POST"])]


def _others(app: SandboxApp) -> list[Route]:
    async def page(_: Request) -> Response:
        return Response(render(app.world.record), media_type="text/html")

    return [Route("/", page, methods=["GET"]), *_twilio(app), *_meta_management(app)]


def _twilio(app: SandboxApp) -> list[Route]:
    base = "/2010-04-01/Accounts/{account}/Messages"

    async def send(request: Request) -> Response:
        body = await request.body()
        answer = app.twilio.send(request.path_params["account"], _authorization(request), body, request.url.path)
        return PlayedResponse(answer, app.release)

    def listed(request: Request, _: bytes) -> Answer:
        query = dict(request.query_params)
        return app.twilio.listed(request.path_params["account"], _authorization(request), query)

    def look_up(request: Request, _: bytes) -> Answer:
        path = request.path_params
        return app.twilio.look_up(path["account"], _authorization(request), path["sid"])

    def refuse(action: Action) -> Answer:
        return twilio_error(action.code or 20429, action.status)

    return [
        Route(f"{base}.json", send, methods=["POST"]),
        Route(f"{base}.json", _troubled(app, listed, refuse), methods=["GET"]),
        Route(base + "/{sid}.json", _troubled(app, look_up, refuse), methods=["GET"]),
    ]


def _meta_management(app: SandboxApp) -> list[Route]:
    calls = app.management

    def create(request: Request, body: bytes) -> Answer:
        return calls.create_template(request.path_params["waba"], _authorization(request), body)

    def listed(request: Request, _: bytes) -> Answer:
        url = str(request.url.replace(query=""))
        return calls.list_templates(
            request.path_params["waba"], _authorization(request), dict(request.query_params), url
        )

    def delete(request: Request, _: bytes) -> Answer:
        return calls.delete_templates(request.path_params["waba"], _authorization(request), dict(request.query_params))

    def describe(request: Request, _: bytes) -> Answer:
        return calls.describe(request.path_params["id"], _authorization(request), dict(request.query_params))

    def unsubscribe(request: Request, _: bytes) -> Answer:
        return calls.unsubscribe(request.path_params["waba"], _authorization(request))

    def subscriptions(request: Request, _: bytes) -> Answer:
        return calls.subscriptions(request.path_params["waba"], _authorization(request))

    templates, apps = "/{version}/{waba}/message_templates", "/{version}/{waba}/subscribed_apps"
    rows: list[tuple[str, Callable[[Request, bytes], Answer], str]] = [
        (templates, create, "POST"),
        (templates, listed, "GET"),
        (templates, delete, "DELETE"),
        (apps, unsubscribe, "DELETE"),
        (apps, subscriptions, "GET"),
        ("/{version}/{id}", describe, "GET"),
    ]
    routes = [
        Route(path, _versioned(app, _troubled(app, act, _meta_refuse)), methods=[verb]) for path, act, verb in rows
    ]
    return [*routes, Route(apps, _versioned(app, _subscribe(app)), methods=["POST"])]


def _subscribe(app: SandboxApp) -> Endpoint:
    """An override is verified before it is taken: the callback must pass the handshake (§4.1)."""

    async def subscribe(request: Request) -> Response:
        try:
            wanted = read_json(await request.body() or b"{}")
        except Refusal as refusal:
            return PlayedResponse(meta_error(refusal.code, refusal.details), app.release)
        override = wanted.get("override_callback_uri")
        if override and not await asyncio.to_thread(handshake, str(override), str(wanted.get("verify_token", ""))):
            return PlayedResponse(meta_error(100, "Callback verification failed"), app.release)
        answer = app.management.subscribe(request.path_params["waba"], _authorization(request), override)
        return PlayedResponse(answer, app.release)

    return subscribe


def _troubled(app: SandboxApp, act: Callable[[Request, bytes], Answer], refuse: Callable[[Action], Answer]) -> Endpoint:
    """An endpoint that the fault plan can reach, though it has no recipient."""

    async def endpoint(request: Request) -> Response:
        body = await request.body()
        action, _ = app.world.faults.meet(request.url.path, "", app.world.clock.monotonic())
        if action is not None and action.kind in NOT_ACCEPTED:
            return PlayedResponse(stand_in(action, refuse), app.release)
        answer = bend(act(request, body), action, app.world.config.hold_real_seconds)
        return PlayedResponse(answer, app.release)

    return endpoint


def _versioned(app: SandboxApp, endpoint: Endpoint) -> Endpoint:
    async def checked(request: Request) -> Response:
        known = _VERSION.fullmatch(request.path_params["version"])
        return await endpoint(request) if known else _unknown_path(app)

    return checked


def _unknown_path(app: SandboxApp) -> Response:
    return PlayedResponse(meta_error(100, "Unknown path components"), app.release)


def _meta_refuse(action: Action) -> Answer:
    return meta_error(action.code or 80007, status=action.status)


def _authorization(request: Request) -> str:
    return request.headers.get("authorization", "")
