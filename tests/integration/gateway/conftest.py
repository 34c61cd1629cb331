"""A gateway over a real Redis and a real SQLite ledger."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI
from redis import Redis

from notifier.door import open_road
from notifier.gateway import create_gateway
from notifier.gateway.auth import SigningSecrets
from notifier.gateway.doors import Secrets
from notifier.inbox import Inbox
from notifier.ledger import Ledger
from notifier.streams import Receipts
from tests.fixtures.runtime import make_runtime

PREFIX = "gw:"
PUBLIC_URL = "https://notify.example.com"
ACCOUNT = "AC00000000000000000000000000000001"


def sender(provider: str, **account: str) -> dict[str, Any]:
    channel = "whatsapp" if provider == "meta" else "sms"
    base_url = "http://127.0.0.1:9"
    return {"channel": channel, "provider": provider, "base_url": base_url, "rate": 80, "account": account}


SENDERS = {
    "nile-wa": sender("meta", phone_number_id="1"),
    "kiln-wa": sender("meta", phone_number_id="2"),
    "nile-sms": sender("twilio", account_sid=ACCOUNT),
    "kiln-sms": sender("twilio", account_sid="AC00000000000000000000000000000002"),
}
SECRETS: Secrets = {
    "nile-wa": {"app_secret": ("new-secret", "old-secret"), "verify_token": ("nile-word",)},
    "kiln-wa": {"app_secret": ("kiln-secret",), "verify_token": ("kiln-word",)},
    "nile-sms": {"auth_token": ("nile-token", "nile-token-before")},
    "kiln-sms": {"auth_token": ("kiln-token",)},
}


SHOPS = {
    "tigris": {
        "display_name": "Tigris Kilns",
        "country": "IQ",
        "default_locale": "ar",
        "routes": [{"whatsapp": "kiln-wa", "sms": "nile-sms"}],
    }
}

Build = Callable[..., FastAPI]


@pytest.fixture
def build(sqlite_ledger: Ledger) -> Build:
    """A gateway over this Redis; whatever else is given replaces the usual part. Shops: nile and tigris."""

    def build(
        redis: Redis,
        *,
        ledger: Ledger = sqlite_ledger,
        receipts: Any = None,
        secrets: Secrets = SECRETS,
        signing: SigningSecrets | None = None,
        inbox_of: Inbox | None = None,
        more_shops: Mapping[str, Any] | None = None,
    ) -> FastAPI:
        said: dict[str, Any] = {
            "key_prefix": PREFIX,
            "public_url": PUBLIC_URL + "/",
            "senders": SENDERS,
            "shops": {**SHOPS, **(more_shops or {})},
        }
        runtime = make_runtime(ledger, redis, **said)
        senders = {name: replace(sender, secrets=secrets.get(name, {})) for name, sender in runtime.senders.items()}
        runtime = replace(runtime, senders=senders, inbox=inbox_of or Inbox(redis, prefix=PREFIX))
        return create_gateway(runtime, receipts or Receipts(redis, PREFIX), signing)

    return build


@pytest.fixture
def gateway(build: Build, redis_client: Redis) -> FastAPI:
    return build(redis_client)


@pytest.fixture
def gateway_without_road(build: Build, closed_port: int) -> FastAPI:
    return build(open_road(f"redis://127.0.0.1:{closed_port}/0"))


@pytest.fixture
def kept(redis_client: Redis) -> Callable[[], list[dict[bytes, bytes]]]:
    """What is in the stream of receipts now."""

    def kept() -> list[dict[bytes, bytes]]:
        entries: Any = redis_client.xrange(f"{PREFIX}receipts")
        return [fields for _, fields in entries]

    return kept


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nobody listens for as long as the test runs: bound, and never listened on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
