"""Callers of /v1: keys of two shops, and the calls that tests make with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from fastapi import FastAPI

from notifier.keys import SCOPES, create_key
from notifier.ledger import Ledger
from tests.fixtures.asgi import Answer, call
from tests.fixtures.ledger import NOW

EVERY_SCOPE = tuple(SCOPES)
NDJSON = "application/x-ndjson"
CLOUD = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


def a_key(ledger: Ledger, shop: str = "nile", scopes: Sequence[str] = EVERY_SCOPE, rate: int = 1_000_000) -> str:
    """A new key of this shop; make it before the gateway's first request."""
    with ledger.begin() as conn:
        return create_key(conn, shop, "a test", scopes, rate, NOW, "amira").secret


def an_event(order: str = "o-1", **changes: Any) -> dict[str, Any]:
    """An order event of nile, whose customer allows messages."""
    return {
        "shop": "nile",
        "event": "order.created",
        "order_id": order,
        "order_number": f"N-{order}",
        "occurred_at": NOW.isoformat(),
        "customer": {"phone": "+201001234567", "consent": {"granted": True, "source": "checkout"}},
        **changes,
    }


def a_cloud_event(identity: str = "ce-1", order: str = "o-1", **changes: Any) -> dict[str, Any]:
    """The same as a CloudEvent."""
    return {
        "specversion": "1.0",
        "id": identity,
        "source": "/nile/backend",
        "type": "com.example.order.created",
        "subject": order,
        "time": NOW.isoformat(),
        "data": {"customer": {"phone": "+201001234567"}},
        **changes,
    }


def hand_in(
    gateway: FastAPI,
    body: object,
    key: str | None,
    media: str = "application/json",
    headers: Mapping[str, str] | None = None,
    query: str = "",
) -> Answer:
    """POST /v1/events. body: bytes as they are, anything else as JSON."""
    said = {"content-type": media, **({"authorization": f"Bearer {key}"} if key else {}), **(headers or {})}
    return call(gateway, "POST", "/v1/events", body if isinstance(body, bytes) else orjson.dumps(body), said, query)


def ask(gateway: FastAPI, method: str, path: str, key: str | None, body: object = None, query: str = "") -> Answer:
    """Another route of /v1, with this key."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    if body is not None:
        headers["content-type"] = "application/json"
    return call(gateway, method, path, b"" if body is None else orjson.dumps(body), headers, query)
