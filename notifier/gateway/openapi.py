"""What /v1 says about itself: OpenAPI 3.1. The examples are data here, and tests send them and look at the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from notifier.events import OrderEvent
from notifier.gateway.examples import ANSWERS, CONSENT, EVENT, EVENTS_BODIES, PROBLEMS

# Of the interface, not of the software: it moves when a client could notice.
API_VERSION = "1.0.0"

_REF = "#/components/schemas/{model}"
_PROBLEM = {"$ref": _REF.format(model="Problem")}
_RESULT = {"$ref": _REF.format(model="Result")}
_EVENT = {"$ref": _REF.format(model="OrderEvent")}

_MEANINGS: Mapping[int, str] = {
    401: "No API key, a wrong one, or a wrong signature.",
    403: "The key has not the scope, or speaks for another shop.",
    404: "This shop has no such thing.",
    409: "The first request with this id is not answered yet.",
    413: "An event above 256 kB, a body above 10 MB, or more than 1,000 events.",
    415: "A media type that is not read here.",
    422: "Not what is expected; `errors` says what is wrong where.",
    429: "Above the rate of the key. Come again after Retry-After.",
    503: "A store is away, or full. Come again after Retry-After; a repeat does no harm.",
}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documented errors of a route. Whatever else may go wrong has the same form."""
    said: dict[int | str, dict[str, Any]] = {
        status: {
            "description": _MEANINGS[status],
            "content": {"application/problem+json": {"schema": _PROBLEM, "example": PROBLEMS[status]}},
            **({"headers": {"Retry-After": {"schema": {"type": "integer"}}}} if status in (409, 429, 503) else {}),
        }
        for status in statuses
    }
    other = {"description": "Any other error.", "content": {"application/problem+json": {"schema": _PROBLEM}}}
    return said | {"default": other}


def _answer(name: str) -> dict[str, Any]:
    return {"content": {"application/json": {"example": ANSWERS[name]}}}


def _route(name: str, tag: str, summary: str, description: str, *statuses: int, **extra: Any) -> dict[str, Any]:
    return {
        "operation_id": name,
        "tags": [tag],
        "summary": summary,
        "description": description,
        "responses": {200: {"description": "Done.", **_answer(name)}, **_problems(*statuses)},
        "openapi_extra": extra,
    }


def _body(schema: Mapping[str, Any], example: object) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


# Arguments of FastAPI's route decorators.
DOCUMENTED: dict[str, dict[str, Any]] = {
    "event": _route(
        "event",
        "stories",
        "The story of one event",
        "What was decided about an event, and what became of it. Scope `events:read`. An event that was answered"
        " `queued` a moment ago may not be in the ledger yet: 404 until then.",
        *(401, 403, 404, 429, 503),
    ),
    "order": _route(
        "order",
        "stories",
        "The story of an order",
        "Why its customer was told, or was not: what `notifier why --json` gives. Scope `events:read`. `order` is the"
        " order's id or its number.",
        *(401, 403, 404, 429, 503),
    ),
    "explain": _route(
        "explain",
        "stories",
        "Dry run of an event",
        "What would be sent for this event, when and in which words, or why not. Changes nothing. Scope `events:read`.",
        *(401, 403, 404, 413, 422, 429, 503),
        requestBody=_body(_EVENT, EVENT),
    ),
    "lanes": _route(
        "lanes",
        "lanes",
        "The lanes of the shop",
        "The senders that carry this shop's messages, their rates and breakers, and how much of it waits in each."
        " Scope `admin`.",
        *(401, 403, 429, 503),
    ),
    "consents_read": _route(
        "consents_read",
        "consents",
        "The records of a phone",
        "What a person allowed and stopped at this shop, oldest first, and what that allows now."
        " Scope `consents:write`.",
        *(401, 403, 422, 429, 503),
    ),
    "consents_write": _route(
        "consents_write",
        "consents",
        "Record consents",
        "Appends one record or a list of at most 1,000, all or nothing; known ones are passed over."
        " Scope `consents:write`.",
        *(401, 403, 413, 422, 429, 503),
        requestBody=_body(
            {
                "oneOf": [
                    {"$ref": _REF.format(model="ConsentWord")},
                    {
                        "type": "array",
                        "items": {"$ref": _REF.format(model="ConsentWord")},
                        "minItems": 1,
                        "maxItems": 1000,
                    },
                ]
            },
            CONSENT,
        ),
    ),
}

_RESULTS_SCHEMA = {
    "type": "object",
    "required": ["queued", "duplicate", "rejected", "results"],
    "properties": {
        **{status: {"type": "integer", "minimum": 0} for status in ("queued", "duplicate", "rejected")},
        "results": {"type": "array", "items": _RESULT},
    },
}

_ERRORS_SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["pointer", "detail"],
        "properties": {
            "pointer": {"type": "string", "description": "JSON pointer (RFC 6901) into the body; empty: all of it."},
            "detail": {"type": "string"},
        },
    },
}

SCHEMAS: dict[str, dict[str, Any]] = {
    "Problem": {
        "type": "object",
        "description": "RFC 9457. `type` is `urn:notifier:problem:` and a word that stays.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "pattern": "^urn:notifier:problem:[a-z-]+$"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "errors": _ERRORS_SCHEMA,
            "results": {"type": "array", "items": _RESULT},
        },
    },
    "Result": {
        "type": "object",
        "required": ["status"],
        "properties": {
            "index": {"type": "integer", "description": "Its place in the list, from 0."},
            "event_id": {"type": "string", "description": "Ours; of the first copy where the status is duplicate."},
            "status": {"enum": ["queued", "duplicate", "rejected"]},
            "reason": {"type": "string"},
            "detail": {"type": "string"},
            "code": {"type": "integer", "description": "The HTTP status that it would have had alone."},
            "errors": _ERRORS_SCHEMA,
        },
    },
    "Results": _RESULTS_SCHEMA,
}

_CLOUD_EVENT = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "data"],
    "properties": {name: {"type": "string"} for name in ("specversion", "id", "source", "type", "subject", "time")}
    | {"data": {"type": "object"}},
}

_EVENTS_SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "application/json": {"oneOf": [_EVENT, {"type": "array", "items": _EVENT, "minItems": 1, "maxItems": 1000}]},
    "application/x-ndjson": {"type": "string", "description": "An order event a line."},
    "application/jsonl": {"type": "string", "description": "An order event a line."},
    "application/cloudevents+json": _CLOUD_EVENT,
    "application/cloudevents-batch+json": {"type": "array", "items": _CLOUD_EVENT, "minItems": 1, "maxItems": 1000},
}

_EVENTS_PATH: dict[str, Any] = {
    "post": {
        "operationId": "events",
        "tags": ["events"],
        "summary": "Hand in order events",
        "description": (
            "One event, a list of at most 1,000, JSON lines, or CloudEvents 1.0 (structured, batch, or binary: `ce-`"
            " headers and the order event as body). Answered when every event that is not rejected is safe. A repeat"
            " does no harm: CloudEvents are known by source and id, other bodies by `webhook-id` or `Idempotency-Key`,"
            " and all of them by their business key. Scope `events:write`. A list of which nothing could be taken is an"
            " error."
        ),
        "parameters": [
            {"name": name, "in": place, "required": False, "description": says, "schema": {"type": "string"}}
            for name, place, says in (
                ("Idempotency-Key", "header", "Your id for this request, bare or in quotes; kept for 72 hours."),
                ("webhook-id", "header", "The same, as Standard Webhooks names it."),
                ("shop", "query", "Whose secrets signed this; only for Standard Webhooks signatures."),
            )
        ],
        "requestBody": {
            "required": True,
            "content": {
                media: {"schema": schema, "examples": EVENTS_BODIES[media]} for media, schema in _EVENTS_SCHEMAS.items()
            },
        },
        "responses": {
            "202": {
                "description": "Taken: one result, or a result for each event of a list.",
                "content": {
                    "application/json": {
                        "schema": {"oneOf": [_RESULT | {"required": ["event_id", "status"]}, _RESULTS_SCHEMA]},
                        "examples": {name: {"value": ANSWERS[name]} for name in ("events_one", "events_list")},
                    }
                },
            },
            **{str(status): said for status, said in _problems(401, 403, 409, 413, 415, 422, 429, 503).items()},
        },
    }
}

_SECURITY: dict[str, dict[str, str]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`notifier keys create` makes one."},
    "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "basic": {"type": "http", "scheme": "basic", "description": "The key as password, whatever the user."},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "webhook-signature",
        "description": "Standard Webhooks, with webhook-id and webhook-timestamp; only to hand in events.",
    },
}


def describe(app: FastAPI, title: str, description: str, models: Sequence[type[Any]]) -> Callable[[], dict[str, Any]]:
    """The function that FastAPI asks for its OpenAPI. models: further pydantic models that routes refer to."""
    made: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not made:
            made.update(_made(app, title, description, models))
        return made

    return openapi


def _made(app: FastAPI, title: str, description: str, models: Sequence[type[Any]]) -> dict[str, Any]:
    found = get_openapi(
        title=title, version=API_VERSION, openapi_version="3.1.0", description=description, routes=app.routes
    )
    found["info"]["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    found["paths"] = {"/v1/events": _EVENTS_PATH, **found["paths"]}
    for path, item in found["paths"].items():
        for operation in item.values():
            keyed: list[dict[str, list[str]]] = [{"bearer": []}, {"api_key": []}, {"basic": []}]
            if path.startswith("/v1/"):
                operation["security"] = keyed + ([{"signature": []}] if path == "/v1/events" else [])
    components = found.setdefault("components", {})
    components["securitySchemes"] = _SECURITY
    components["schemas"] = {**components.get("schemas", {}), **SCHEMAS, **_models((OrderEvent, *models))}
    return found


def _models(models: Sequence[type[Any]]) -> dict[str, Any]:
    """Their JSON schemas, and those of their parts, by name."""
    schemas: dict[str, Any] = {}
    for model in models:
        said = model.model_json_schema(ref_template=_REF)
        schemas |= said.pop("$defs", {})
        schemas[model.__name__] = said
    event = schemas["OrderEvent"]
    event["required"] = [name for name in event["required"] if name != "shop"]
    event["properties"]["shop"]["description"] = "Absent: the shop of the key."
    return schemas
