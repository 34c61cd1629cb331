"""What of an order waits in quarantine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from notifier.runtime import Runtime
from notifier.streams import Quarantined
from notifier.telling.words import plain


def set_aside(runtime: Runtime, order: str, shop: str | None, most: int) -> list[dict[str, Any]]:
    """Events of this order (id or number) among the `most` oldest in quarantine. Raises RoadUnavailable."""
    return [
        {"id": item.id.decode(), "at": plain(item.at), "event": event.get("event")}
        | {"reason": item.reason, "detail": item.detail}
        for item in runtime.quarantine.list(most)
        if (event := _body(item)) and _is_of(event, order, shop)
    ]


def _body(item: Quarantined) -> dict[str, Any]:
    try:
        found = orjson.loads(item.fields[b"body"])
    except (KeyError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_of(event: Mapping[str, Any], order: str, shop: str | None) -> bool:
    named = (
        str(event.get("order_id")),
        str(event.get("order_number")),
        str(event.get("order_number")).removeprefix("#"),
    )
    return order in named and shop in (None, event.get("shop"))
