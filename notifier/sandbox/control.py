"""`/_sandbox/…`: what tests and practising people ask the sandbox, and tell it to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from notifier.sandbox.config import SandboxNumber
from notifier.sandbox.faults import InvalidFaults, read_rules
from notifier.sandbox.people import PEOPLE
from notifier.sandbox.record import Arrival
from notifier.sandbox.template_rules import TTL_RANGES
from notifier.sandbox.templates import STATUSES, Template

if TYPE_CHECKING:
    from notifier.sandbox.app import SandboxApp

_FILTERS = ("recipient", "ref", "provider", "sender", "outcome", "provider_id")


class _Malformed(ValueError):
    """The control request is not understood."""


def routes(app: SandboxApp) -> list[Route]:
    """The control routes of one sandbox."""
    asked: list[tuple[str, str, Callable[[SandboxApp, Request], Any]]] = [
        ("GET", "health", _health),
        ("GET", "arrivals", _arrivals),
        ("GET", "phones", _phones),
        ("GET", "phones/{phone}", _phone),
        ("GET", "summary", lambda app, _: app.world.record.summary()),
        ("GET", "people", lambda _app, _: _people()),
        ("GET", "faults", lambda app, _: {"faults": app.world.faults.as_json()}),
    ]
    told: list[tuple[str, str, Callable[[SandboxApp, Any], Any]]] = [
        ("POST", "reset", _reset),
        ("PUT", "faults", _put_faults),
        ("PUT", "config/webhook_url", _put_webhook_url),
        ("PUT", "clock", _put_clock),
        ("PUT", "templates", _put_template),
        ("POST", "inbound", _inbound),
    ]
    return [
        *(Route(f"/_sandbox/{path}", _asked(app, act), methods=[verb]) for verb, path, act in asked),
        *(Route(f"/_sandbox/{path}", _told(app, act), methods=[verb]) for verb, path, act in told),
    ]


def _asked(app: SandboxApp, act: Callable[[SandboxApp, Request], Any]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return _json(act(app, request))

    return endpoint


def _told(app: SandboxApp, act: Callable[[SandboxApp, Any], Any]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return _json(act(app, orjson.loads(await request.body() or b"null")))
        except (_Malformed, InvalidFaults, orjson.JSONDecodeError) as error:
            return _json({"error": str(error)}, 422)

    return endpoint


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


def _health(app: SandboxApp, _: Request) -> dict[str, Any]:
    clock = app.world.clock
    return {"status": "ok", "now": clock.now().isoformat(), "rate": clock.rate}


def _arrivals(app: SandboxApp, request: Request) -> dict[str, Any]:
    """Narrowed by any of recipient, ref, provider, sender, outcome, provider_id; `after`: arrival ids above it."""
    wanted = {name: request.query_params[name] for name in _FILTERS if name in request.query_params}
    after = request.query_params.get("after", "0")
    first = int(after) if after.isdigit() else 0
    found = [
        arrival.as_json()
        for arrival in app.world.record.arrivals
        if arrival.id > first and all(getattr(arrival, name) == value for name, value in wanted.items())
    ]
    return {"arrivals": found}


def _phones(app: SandboxApp, _: Request) -> dict[str, Any]:
    phones = app.world.record.phones()
    return {"phones": {phone: [_shown(arrival) for arrival in shown] for phone, shown in phones.items()}}


def _phone(app: SandboxApp, request: Request) -> dict[str, Any]:
    """A `+` that got lost on the way is put back; business-scoped user ids have none."""
    asked = request.path_params["phone"].strip()
    phone = f"+{asked}" if asked.isdigit() else asked
    return {"phone": phone, "messages": [_shown(arrival) for arrival in app.world.record.phone(phone)]}


def _shown(arrival: Arrival) -> dict[str, Any]:
    names = ("id", "channel", "sender", "text", "template", "language", "ref", "provider_id")
    shown_at = arrival.shown_at.isoformat() if arrival.shown_at else None
    return {**{name: getattr(arrival, name) for name in names}, "shown_at": shown_at}


def _people() -> dict[str, Any]:
    rows = [{"digits": p.digits, "name": p.name, "story": p.story} for p in PEOPLE.values()]
    return {"people": rows}


def _reset(app: SandboxApp, _: Any) -> dict[str, Any]:
    app.reset()
    return {"reset": True}


def _put_faults(app: SandboxApp, raw: Any) -> dict[str, Any]:
    app.world.faults.put(read_rules(raw), app.world.clock.monotonic())
    return {"faults": app.world.faults.as_json()}


def _put_webhook_url(app: SandboxApp, raw: Any) -> dict[str, Any]:
    """{"url", "phone_number_id"?}: where receipts go from now on; without an id, those of every number."""
    url = _text(raw, "url")
    if url and not url.startswith(("http://", "https://")):
        raise _Malformed("url: must be an http(s) address, or empty for none")
    urls = app.world.webhook_urls
    wanted = raw.get("phone_number_id")
    if wanted is not None and wanted not in urls:
        raise _Malformed("phone_number_id: no such number in this sandbox")
    urls.update(dict.fromkeys(urls if wanted is None else [str(wanted)], url))
    return {"webhook_urls": urls}


def _put_clock(app: SandboxApp, raw: Any) -> dict[str, Any]:
    """{"rate"?, "advance"?}: run at another rate, or let so many sandbox seconds pass at once."""
    rate, advance = _seconds(raw, "rate"), _seconds(raw, "advance")
    clock = app.world.clock
    if rate is not None:
        clock.set_rate(rate)
    if advance is not None:
        app.world.agenda.advance(advance)
    app.world.agenda.on_earlier()  # the timer was set for the clock as it was
    return {"now": clock.now().isoformat(), "monotonic": clock.monotonic(), "rate": clock.rate}


def _put_template(app: SandboxApp, raw: Any) -> dict[str, Any]:
    """{"waba_id"?, "name", "language"?, "status"?, "category"?}: what Meta's review and quality system would do."""
    name, status, category = _text(raw, "name"), raw.get("status"), raw.get("category")
    if status not in {None, *STATUSES} or category not in {None, *TTL_RANGES}:
        raise _Malformed("status and category must be words of Meta")
    wanted = {"name": name, "language": str(raw.get("language") or "")}
    wabas = {raw["waba_id"]} if raw.get("waba_id") else {number.waba_id for number in app.world.config.numbers}
    found: list[Template] = [one for waba in sorted(wabas) for one in app.templates.listed(waba, wanted)]
    if not found:
        raise _Malformed("name: no such template")
    for template in found:
        if status is not None:
            app.templates.set_status(template, status)
        if category is not None:
            app.templates.set_category(template, category)
    return {"templates": [template.as_json() for template in found]}


def _inbound(app: SandboxApp, raw: Any) -> dict[str, Any]:
    """{"from", "phone_number_id"?, "text" | "button"}: the customer writes, or taps a quick reply."""
    phone, number = _text(raw, "from"), _number(app, raw)
    if not phone.startswith("+"):
        raise _Malformed("from: must be E.164")
    if isinstance(raw.get("button"), str):
        content = {"type": "button", "button": {"payload": raw["button"], "text": str(raw.get("text", raw["button"]))}}
    else:
        content = {"type": "text", "text": {"body": _text(raw, "text")}}
    return {"id": app.meta.hear(number, phone, content)}


def _number(app: SandboxApp, raw: Mapping[str, Any]) -> SandboxNumber:
    wanted = raw.get("phone_number_id")
    found = [number for number in app.world.config.numbers if wanted in {None, number.phone_number_id}]
    if not found:
        raise _Malformed("phone_number_id: no such number in this sandbox")
    return found[0]


def _text(raw: Any, name: str) -> str:
    if not isinstance(raw, dict) or not isinstance(raw.get(name), str):
        raise _Malformed(f"{name}: is required and must be a string")
    return str(raw[name])


def _seconds(raw: Any, name: str) -> float | None:
    if not isinstance(raw, dict):
        raise _Malformed("an object is required")
    value = raw.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
        raise _Malformed(f"{name}: must be a number, zero or more")
    return value
