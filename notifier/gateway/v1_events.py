"""POST /v1/events: order events in, one, a list or lines; an answer for each.

It stands before the framework's router and middlewares, which would cost as much again as all that it does itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from notifier import telemetry
from notifier.door import Clock
from notifier.gateway.auth import Caller, Gate
from notifier.gateway.bodies import read_body
from notifier.gateway.commit import Overloaded
from notifier.gateway.handing import Handing, Handover, NotNow
from notifier.gateway.idempotency import Claim, Ending, Repeat, Seen
from notifier.gateway.problems import RETRY_AFTER, Refusal, as_errors, fault, problem, refused
from notifier.gateway.reading import LARGEST_BODY, Reading, Rejected, read_events
from notifier.inbox import Entry, Ticket

PATH = "/v1/events"

# Bytes from which a body is read on a thread: the loop must go on answering the others meanwhile.
LARGE = 64 * 1024

Result = dict[str, Any]
"""An event's answer: event_id and status (queued, duplicate), or status rejected with reason, detail, errors."""

_SEEN: Mapping[Seen, Rejected] = {
    Seen.RUNNING: Rejected(
        HTTPStatus.CONFLICT, "in-progress", "The first request with this id is not answered yet. Come again."
    ),
    Seen.OTHER_BODY: Rejected(
        HTTPStatus.UNPROCESSABLE_ENTITY, "other-body", "This id was used before, for something else. Use a new one."
    ),
}

_NOT_NOW: Mapping[str, tuple[HTTPStatus, str]] = {
    "rate": (HTTPStatus.TOO_MANY_REQUESTS, "This key hands in more than its rate allows."),
    "inbox-full": (HTTPStatus.SERVICE_UNAVAILABLE, "Too many events are waiting. Nothing of this request was lost."),
    "stores-away": (HTTPStatus.SERVICE_UNAVAILABLE, "The events could not be kept. Please send them again."),
    "overloaded": (HTTPStatus.SERVICE_UNAVAILABLE, "Too many requests are waiting. Please send this one again."),
}


class EventsDoor:
    """The door. `take` answers only after every event that it says yes to is in Redis, or in the ledger."""

    def __init__(self, gate: Gate, handover: Handover, clock: Clock) -> None:
        self._gate = gate
        self._handover = handover
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it. What goes wrong by a fault of ours is answered 500, and noted."""
        try:
            answer = await self.take(Request(scope, receive))
        except Exception as error:
            answer = fault(error)
        await answer(scope, receive, send)

    async def take(self, request: Request) -> Response:
        """The answer to a request."""
        try:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.scope["headers"]}
            caller, body = await self._known(request, headers)
            if len(body) < LARGE:
                reading = read_events(body, headers, caller.shop, self._clock)
            else:
                reading = await run_in_threadpool(read_events, body, headers, caller.shop, self._clock)
            results = await self._settled(reading, caller)
            return _answer(reading, results)
        except Refusal as refusal:
            return refused(PATH, refusal)

    async def _known(self, request: Request, headers: Mapping[str, str]) -> tuple[Caller, bytes]:
        """Who calls, and the body; a stranger's is not read, unless a signature of it may make them known."""
        caller = await self._gate.by_key(headers)
        if caller is None and not self._gate.is_signed(headers):
            caller = await self._gate.admit(headers, "events:write")
        body = await read_body(request, LARGEST_BODY)
        if caller is None:
            caller = self._gate.by_signature(body, headers, request.query_params.get("shop", ""))
        return caller.need("events:write"), body

    async def _settled(self, reading: Reading, caller: Caller) -> list[Result]:
        """An answer for each event, in their order. Raises Refusal when all of them must come again."""
        if not reading.claims:
            return await self._kept(reading.items, caller)
        items = list(reading.items)
        verdicts = await asyncio.gather(*(self._handover.begin(claim) for claim, _ in reading.claims))
        repeats: dict[int, Result] = {}
        own: list[tuple[Claim, Sequence[int]]] = []
        for (claim, places), verdict in zip(reading.claims, verdicts, strict=True):
            if verdict is None:
                own.append((claim, places))
            elif isinstance(verdict, Repeat):
                repeats |= zip(places, map(_once_more, verdict.results), strict=False)
            else:
                for place in places:
                    items[place] = _SEEN[verdict]
        return await self._kept_under_claims(items, caller, own, repeats)

    async def _kept_under_claims(
        self,
        items: Sequence[Entry | Rejected],
        caller: Caller,
        own: Sequence[tuple[Claim, Sequence[int]]],
        repeats: Mapping[int, Result],
    ) -> list[Result]:
        """What is not a repeat is kept; then each claim ends with its results, or free where nothing was taken."""
        left = [place for place in range(len(items)) if place not in repeats]
        results = dict(repeats)
        try:
            results |= zip(left, await self._kept([items[place] for place in left], caller), strict=True)
        finally:
            endings = [Ending(claim, _taken([results.get(place, {}) for place in places])) for claim, places in own]
            await asyncio.gather(*(self._handover.end(ending) for ending in endings))
        return [results[place] for place in range(len(items))]

    async def _kept(self, items: Sequence[Entry | Rejected], caller: Caller) -> list[Result]:
        entries = [item for item in items if isinstance(item, Entry)]
        tickets = iter(await self._tickets(entries, caller) if entries else ())
        return [_result(next(tickets) if isinstance(item, Entry) else item) for item in items]

    async def _tickets(self, entries: Sequence[Entry], caller: Caller) -> list[Ticket]:
        try:
            kept = await self._handover.take(Handing(caller.holder, caller.rate, entries), len(entries))
        except Overloaded:
            kept = NotNow("overloaded", RETRY_AFTER)
        if isinstance(kept, NotNow):
            status, detail = _NOT_NOW[kept.reason]
            wait = max(kept.retry_after, timedelta(seconds=1))
            raise Refusal(status, kept.reason, detail, again=True, retry_after=wait)
        return kept


def _result(found: Ticket | Rejected) -> Result:
    if isinstance(found, Ticket):
        return {"event_id": found.event_id, "status": found.status}
    said: Result = {"status": "rejected", "reason": found.reason, "detail": found.detail, "code": found.status.value}
    return said | ({"errors": as_errors(found.faults)} if found.faults else {})


def _once_more(first: Result) -> Result:
    """The answer to a repeat: what was taken then is a duplicate now."""
    return {**first, "status": "duplicate"} if "event_id" in first else first


def _taken(results: list[Result]) -> list[Result] | None:
    """What a claim keeps: nothing where nothing was taken, so that a mended body may come under the same id."""
    return results if any("event_id" in one for one in results) else None


def _answer(reading: Reading, results: Sequence[Result]) -> Response:
    counts = Counter(one["status"] for one in results)
    if counts["rejected"]:
        _note_rejected(results)
    if reading.single:
        return _answer_one(results[0])
    listed = [{"index": number, **_below(one, number)} for number, one in enumerate(results)]
    totals = {status: counts[status] for status in ("queued", "duplicate", "rejected")}
    if counts["rejected"] == len(results):
        return _answer_none(results, {"results": listed, **totals})
    return _json(HTTPStatus.ACCEPTED, {**totals, "results": listed})


def _note_rejected(results: Sequence[Result]) -> None:
    for reason, events in Counter(one["reason"] for one in results if one["status"] == "rejected").items():
        telemetry.note("gateway.rejected", events=events, reason=reason)


def _answer_one(result: Result) -> Response:
    if result["status"] != "rejected":
        return _json(HTTPStatus.ACCEPTED, result)
    status = HTTPStatus(result["code"])
    errors = {"errors": result["errors"]} if "errors" in result else {}
    refusal = Refusal(status, result["reason"], result["detail"], again=status is HTTPStatus.CONFLICT)
    return problem(refusal, **errors)


def _answer_none(results: Sequence[Result], extra: Mapping[str, Any]) -> Response:
    """A list of which nothing was taken is an error as a whole: many senders look at nothing but the status."""
    codes = {one["code"] for one in results}
    status = HTTPStatus(codes.pop()) if len(codes) == 1 else HTTPStatus.UNPROCESSABLE_ENTITY
    detail = "No event of this body was taken; `results` says why."
    return problem(Refusal(status, "none-taken", detail, again=status is HTTPStatus.CONFLICT), **extra)


def _below(result: Result, number: int) -> Result:
    """Pointers from the top of the list."""
    if "errors" not in result:
        return result
    return {**result, "errors": [{**one, "pointer": f"/{number}{one['pointer']}"} for one in result["errors"]]}


def _json(status: HTTPStatus, body: object) -> Response:
    return Response(orjson.dumps(body), status.value, media_type="application/json")
