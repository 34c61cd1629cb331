"""Reading over HTTP: the story of an event or an order, the dry run of an event, the lanes of a shop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool

from notifier.gateway.auth import Caller
from notifier.gateway.bodies import read_body
from notifier.gateway.openapi import DOCUMENTED
from notifier.gateway.problems import Refusal
from notifier.gateway.reading import LARGEST_EVENT, read_event
from notifier.ledger.counts import LaneDepth, lane_depths
from notifier.ledger.stories import order_of, story
from notifier.road import RoadUnavailable
from notifier.runtime import Runtime
from notifier.telling.dry_run import as_story, dry_run
from notifier.telling.lanes import overview
from notifier.telling.set_aside import set_aside
from notifier.telling.story import as_told
from notifier.telling.words import plain

Admit = Callable[[str], Callable[[Request], Awaitable[Caller]]]
"""A scope -> what finds out who calls, and lets nobody else pass."""

# The oldest of what waits in quarantine; an order that is not among them is told of by `notifier why`.
QUARANTINE_LOOKED_AT = 1_000

_SHARES = ("queued", "due", "claimed", "unknown")


def read_routes(runtime: Runtime, admit: Admit) -> APIRouter:
    """GET /v1/events/{id}, GET /v1/orders/{shop}/{order}, POST /v1/explain and GET /v1/lanes."""
    router = APIRouter()
    reader, admin = Depends(admit("events:read")), Depends(admit("admin"))

    @router.get("/v1/events/{event_id}", **DOCUMENTED["event"])
    async def event(event_id: str, caller: Caller = reader) -> dict[str, Any]:
        return await run_in_threadpool(_event, runtime, caller.shop, event_id)

    @router.get("/v1/orders/{shop}/{order:path}", **DOCUMENTED["order"])
    async def order(shop: str, order: str, caller: Caller = reader) -> dict[str, Any]:
        caller.need_shop(shop)
        return await run_in_threadpool(_order, runtime, shop, order)

    @router.post("/v1/explain", **DOCUMENTED["explain"])
    async def explain(request: Request, caller: Caller = reader) -> dict[str, Any]:
        body = await read_body(request, LARGEST_EVENT)
        return await run_in_threadpool(_explain, runtime, caller.shop, body)

    @router.get("/v1/lanes", **DOCUMENTED["lanes"])
    async def lanes(caller: Caller = admin) -> dict[str, Any]:
        return await run_in_threadpool(_lanes, runtime, caller.shop)

    return router


def _event(runtime: Runtime, shop: str, event_id: str) -> dict[str, Any]:
    with runtime.ledger.read() as conn:
        order = order_of(conn, shop, event_id)
        told = as_told(story(conn, order, shop), runtime.clock()) if order is not None else []
    for one in told:
        for event in one["events"]:
            if event["id"] == event_id:
                return {**{name: one[name] for name in ("shop", "order_id", "order_number")}, **event}
    detail = "This shop has no such event in the ledger. One that was handed in a moment ago may still be on its way."
    raise Refusal(HTTPStatus.NOT_FOUND, "no-event", detail)


def _order(runtime: Runtime, shop: str, order: str) -> dict[str, Any]:
    with runtime.ledger.read() as conn:
        told = as_told(story(conn, order, shop), runtime.clock())
    try:
        waiting = set_aside(runtime, order, shop, QUARANTINE_LOOKED_AT)
    except RoadUnavailable:  # the ledger's story is worth telling without
        waiting = []
    if not told and not waiting:
        raise Refusal(HTTPStatus.NOT_FOUND, "no-order", "This shop has handed in no event of this order.")
    return {"order": order, "orders": told, "quarantine": waiting}


def _explain(runtime: Runtime, shop: str, body: bytes) -> dict[str, Any]:
    event = read_event(body, shop)
    if event.shop not in runtime.rules:
        raise Refusal(HTTPStatus.NOT_FOUND, "no-shop", "This shop is not in the configuration any more.")
    made, is_copy = dry_run(runtime, event)
    return as_story(runtime, event, made, is_copy)


def _lanes(runtime: Runtime, shop: str) -> dict[str, Any]:
    """The lanes that carry this shop's messages. What waits there is counted for this shop alone: senders may be
    shared, and another shop's numbers are its own."""
    now = runtime.clock()
    with runtime.ledger.read() as conn:
        own = {one.lane: one for one in lane_depths(conn, now, shop)}
    rules = runtime.rules.get(shop)
    routed = {lane for route in rules.routes for lane in route.lanes.values()} if rules else set()
    rows = [plain(row) for row in overview(runtime, now).lanes if row.lane in routed | own.keys()]
    return {"lanes": [_of_shop(row, own.get(row["lane"]), now) for row in rows]}


def _of_shop(row: dict[str, Any], own: LaneDepth | None, now: datetime) -> dict[str, Any]:
    """The row with this shop's share of what waits; the breaker without the name of the operator who opened it."""
    share: dict[str, Any] = {name: getattr(own, name) if own else 0 for name in _SHARES}
    share["oldest_due_age"] = plain(now - own.oldest_due) if own and own.oldest_due else None
    share["breaker"] = {name: value for name, value in row["breaker"].items() if name != "by"}
    return row | share
