"""Consents over HTTP: record what people allowed and stopped, and look at the records of a phone."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool

from notifier.events import Channel, Fault
from notifier.gateway.auth import Caller
from notifier.gateway.bodies import read_body
from notifier.gateway.openapi import DOCUMENTED
from notifier.gateway.problems import Refusal
from notifier.gateway.reading import LARGEST_EVENT, MOST_EVENTS
from notifier.gateway.v1_reads import Admit
from notifier.ledger import plans
from notifier.ledger.consents import consent_history
from notifier.policy.consent import CLOCK_SKEW
from notifier.runtime import Runtime
from notifier.telling.consents import BadValue, as_json_row, news_among, phone_of, purpose_meant, verdicts_of
from notifier.telling.words import masked


class ConsentWord(BaseModel):
    """What one person said. channel absent: all channels. at absent: now. source: the proof."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    phone: Annotated[str, Field(min_length=1, max_length=64)]
    granted: bool
    channel: Channel | None = None
    purpose: Literal["order_updates", "marketing"] | None = None
    source: Annotated[str, Field(min_length=1, max_length=500)]
    at: AwareDatetime | None = None


def consent_routes(runtime: Runtime, admit: Admit) -> APIRouter:
    """GET and POST /v1/consents."""
    router = APIRouter()
    keeper = Depends(admit("consents:write"))

    @router.get("/v1/consents", **DOCUMENTED["consents_read"])
    async def look(
        phone: Annotated[str, Query(min_length=1, max_length=64)], caller: Caller = keeper
    ) -> dict[str, Any]:
        return await run_in_threadpool(_look, runtime, caller.shop, phone)

    @router.post("/v1/consents", **DOCUMENTED["consents_write"])
    async def record(request: Request, caller: Caller = keeper) -> dict[str, Any]:
        body = await read_body(request, LARGEST_EVENT)
        return await run_in_threadpool(_record, runtime, caller.shop, body)

    return router


def _look(runtime: Runtime, shop: str, phone: str) -> dict[str, Any]:
    # An unescaped + of a query string arrives as a blank.
    number = _phone(runtime, shop, f"+{phone[1:]}" if phone.startswith(" ") else phone)
    if number is None:
        raise _refused([Fault("/query/phone", "is no mobile phone; write it like %2B201001234567")])
    with runtime.ledger.read() as conn:
        found = consent_history(conn, shop, number)
    verdicts = verdicts_of(found, shop, runtime.clock())
    return {"phone": masked(number), "records": [as_json_row(one) for one in found], "verdicts": verdicts}


def _record(runtime: Runtime, shop: str, body: bytes) -> dict[str, Any]:
    """All of a body, or nothing: half an import is worse than none."""
    now = runtime.clock()
    read = [_row(runtime, shop, item, place, now) for place, item in _items(body)]
    faults = [fault for one in read if isinstance(one, list) for fault in one]
    if faults:
        raise _refused(faults)
    rows = [one for one in read if isinstance(one, plans.NewConsent)]
    with runtime.ledger.begin() as conn:
        fresh = news_among(conn, rows)
        plans.insert_consents(conn, fresh, now)
    return {"recorded": len(fresh), "known": len(rows) - len(fresh)}


def _items(body: bytes) -> list[tuple[str, Any]]:
    """Each record of a body with the pointer to it."""
    try:
        found = from_json(body)
    except ValueError:
        raise _refused([Fault("", "is not JSON in UTF-8")]) from None
    items = [(f"/{number}", item) for number, item in enumerate(found)] if isinstance(found, list) else [("", found)]
    if not 0 < len(items) <= MOST_EVENTS:
        raise _refused([Fault("", f"must hold 1 to {MOST_EVENTS} records")])
    return items


def _row(runtime: Runtime, shop: str, item: Any, place: str, now: datetime) -> plans.NewConsent | list[Fault]:
    """The record to keep, or everything that is wrong with it."""
    try:
        word = ConsentWord.model_validate(item)
        at = word.at.astimezone(UTC) if word.at else now
    except ValidationError as error:
        return [Fault(place + "".join(f"/{part}" for part in one["loc"]), one["msg"]) for one in error.errors()]
    except OverflowError:
        return [Fault(f"{place}/at", "lies outside the calendar")]
    phone = _phone(runtime, shop, word.phone)
    if phone is None:
        return [Fault(f"{place}/phone", "is no mobile phone; write it like +201001234567")]
    if word.granted and at > now + CLOCK_SKEW:
        return [Fault(f"{place}/at", "lies in the future; such a grant would outlive every stop until then")]
    purpose = purpose_meant(word.purpose, word.granted)
    return plans.NewConsent(shop, phone, word.channel, purpose, word.granted, word.source, at)


def _phone(runtime: Runtime, shop: str, text: str) -> str | None:
    try:
        return phone_of(text, runtime.rules.get(shop))
    except BadValue:
        return None


def _refused(faults: list[Fault]) -> Refusal:
    detail = "Nothing was recorded: `errors` says what is wrong where."
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", detail, faults=faults)
