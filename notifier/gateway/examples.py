"""The examples of the OpenAPI. Plain data: tests send every request and compare the shape of every answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

EVENT: dict[str, Any] = {
    "shop": "qamar-books",
    "event": "order.shipped",
    "order_id": "820982911946154508",
    "order_number": "Q-20447",
    "occurred_at": "2026-03-01T12:00:00Z",
    "customer": {
        "phone": "+201001234567",
        "locale": "ar",
        "name": "Amira",
        "consent": {"granted": True, "source": "checkout"},
    },
    "order": {"total": "349.50", "currency": "EGP"},
    "shipment": {"id": "S-1", "carrier": "Aramex", "tracking_number": "4512398877"},
}
_DELIVERED: dict[str, Any] = {
    "event": "order.delivered",
    "order_id": "820982911946154508",
    "occurred_at": "2026-03-02T09:30:00Z",
    "shipment": {"id": "S-1"},
}
_CLOUD_EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "A234-1234",
    "source": "/shops/qamar-books/backend",
    "type": "com.example.order.shipped",
    "subject": "820982911946154508",
    "time": "2026-03-01T12:00:00Z",
    "data": {"customer": {"phone": "+201001234567"}},
}
_NEXT_CLOUD_EVENT = {**_CLOUD_EVENT, "id": "A234-1235", "type": "com.example.order.delivered"}

CONSENT: dict[str, Any] = {
    "phone": "+201001234567",
    "granted": True,
    "purpose": "order_updates",
    "source": "checkout, terms of 2026-01",
    "at": "2026-03-01T11:58:00Z",
}


def _lines(*events: Mapping[str, Any]) -> str:
    return "".join(json.dumps(event) + "\n" for event in events)


# media type → name → example, as OpenAPI writes them.
EVENTS_BODIES: dict[str, dict[str, dict[str, Any]]] = {
    "application/json": {
        "one": {"summary": "One event", "value": EVENT},
        "list": {"summary": "A list; without a shop the key's is meant", "value": [EVENT, _DELIVERED]},
    },
    "application/x-ndjson": {"lines": {"summary": "JSON lines", "value": _lines(EVENT, _DELIVERED)}},
    "application/jsonl": {"lines": {"summary": "JSON lines", "value": _lines(EVENT, _DELIVERED)}},
    "application/cloudevents+json": {"structured": {"summary": "CloudEvents, structured", "value": _CLOUD_EVENT}},
    "application/cloudevents-batch+json": {
        "batch": {"summary": "CloudEvents, a batch", "value": [_CLOUD_EVENT, _NEXT_CLOUD_EVENT]}
    },
}

_ID = "019ca8f3a100c0ffee00c0ffee00c0ff"
_INVALID = [{"pointer": "/order_id", "detail": "Field required"}]
_REJECTED = {
    "status": "rejected",
    "reason": "invalid",
    "detail": "This is not an order event.",
    "code": 422,
    "errors": [{"pointer": "/1/order_id", "detail": "Field required"}],
}

ANSWERS: dict[str, dict[str, Any]] = {
    "events_one": {"event_id": _ID, "status": "queued"},
    "events_list": {
        "queued": 1,
        "duplicate": 0,
        "rejected": 1,
        "results": [{"index": 0, "event_id": _ID, "status": "queued"}, {"index": 1, **_REJECTED}],
    },
    "event": {
        "shop": "qamar-books",
        "order_id": "820982911946154508",
        "order_number": "Q-20447",
        "event": "order.shipped",
        "id": _ID,
        "shipment_id": "S-1",
        "revision": None,
        "occurred_at": "2026-03-01T12:00:00+00:00",
        "received_at": "2026-03-01T12:00:00.011000+00:00",
        "door": "http",
        "copies": 0,
        "last_copy_at": None,
        "answer": "Told over whatsapp at 2026-03-01 12:00:04Z.",
        "notification": None,
    },
    "order": {"order": "Q-20447", "orders": [], "quarantine": []},
    "explain": {
        "event": "order.shipped",
        "order": "Q-20447",
        "duplicate": False,
        "state": "active",
        "reason": None,
        "decisions": [{"step": "recipient", "result": "go", "detail": "a mobile phone in EG"}],
        "first": None,
        "timezone": "Africa/Cairo",
        "channels": ["whatsapp", "sms"],
        "texts": {},
        "supersedes": 0,
        "records_consent": True,
    },
    "lanes": {"lanes": []},
    "consents_read": {"phone": "+20•••••67", "records": [], "verdicts": []},
    "consents_write": {"recorded": 1, "known": 0},
}


def _problem(status: int, reason: str, title: str, detail: str, **extra: Any) -> dict[str, Any]:
    return {
        "type": f"urn:notifier:problem:{reason}",
        "title": title,
        "status": status,
        "detail": detail,
        **extra,
    }


PROBLEMS: dict[int, dict[str, Any]] = {
    401: _problem(401, "key", "Unauthorized", "This API key is unknown, or has ended."),
    403: _problem(403, "shop", "Forbidden", "This key does not speak for that shop."),
    404: _problem(404, "no-order", "Not Found", "This shop has handed in no event of this order."),
    409: _problem(409, "in-progress", "Conflict", "The first request with this id is not answered yet. Come again."),
    413: _problem(413, "too-large", "Content Too Large", "An event may have at most 262144 bytes."),
    415: _problem(415, "media-type", "Unsupported Media Type", "Send application/json, or another one of the list."),
    422: _problem(422, "invalid", "Unprocessable Content", "This is not an order event.", errors=_INVALID),
    429: _problem(429, "rate", "Too Many Requests", "This key hands in more than its rate allows."),
    503: _problem(503, "stores-away", "Service Unavailable", "The events could not be kept. Please send them again."),
}
