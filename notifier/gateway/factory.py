"""The ASGI application, put together from parts that its caller gives, so that tests drive it as uvicorn does."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI
from redis import Redis

from notifier import telemetry
from notifier.door import open_road
from notifier.gateway.doors import Secrets, open_doors, verify_tokens
from notifier.gateway.health import Stores, health_routes
from notifier.gateway.problems import install
from notifier.gateway.receipts import receipt_routes
from notifier.ledger import Ledger, open_ledger
from notifier.settings import Settings, load_settings, secrets_of
from notifier.streams import Receipts

_DESCRIPTION = """\
Providers report what became of messages to `/receipts/meta` and `/receipts/twilio`, signed as each of them signs.
`/health` and `/metrics` are for your own network; publish only `/receipts/`. Errors are RFC 9457 problems.
"""


def create_gateway(
    settings: Settings, *, redis: Redis, ledger: Ledger, receipts: Receipts, secrets: Secrets
) -> FastAPI:
    """The gateway over these stores. secrets: those of every configured sender, by name; absent ones open no door."""
    known = {name: secrets.get(name, {}) for name in settings.senders}
    gateway = FastAPI(
        title="notifier gateway",
        version=version("notifier"),
        description=_DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        redoc_url=None,
    )
    install(gateway)
    doors = open_doors(settings, known)
    gateway.router.routes.extend(receipt_routes(doors, receipts, settings.public_url, verify_tokens(settings, known)))
    gateway.include_router(health_routes(Stores(redis, ledger, settings.key_prefix)))
    return gateway


def app() -> FastAPI:
    """The gateway of this process, for `uvicorn --factory notifier.gateway:app`. Raises SettingsError."""
    settings = load_settings()
    telemetry.configure(settings.log_level)
    redis = open_road(settings.road_url)
    return create_gateway(
        settings,
        redis=redis,
        ledger=open_ledger(settings.ledger_url),
        receipts=Receipts(redis, settings.key_prefix),
        secrets={name: secrets_of(name) for name in settings.senders},
    )
