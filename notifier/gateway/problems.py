"""Every error of the gateway as RFC 9457 problem+json: what is wrong and what to do, never what was sent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from notifier import telemetry
from notifier.events import Fault, NotifierError
from notifier.inbox import RoadUnavailable
from notifier.ledger import LedgerUnavailable

_CHALLENGES = 'Bearer realm="notifier", Basic realm="notifier"'
# The words of RFC 9110; Python has them from 3.13 on.
_TITLES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Content Too Large",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Unprocessable Content",
}
MEDIA_TYPE = "application/problem+json"


# When to come again, where nothing better is known: long enough for a store to be started again.
RETRY_AFTER = timedelta(seconds=5)


class Refusal(Exception):
    """A request that is not taken. reason: a word for metrics and for `type`.

    again: worth repeating as it is, after `retry_after`. faults: what is wrong where in the body.
    """

    def __init__(
        self,
        status: HTTPStatus,
        reason: str,
        detail: str,
        *,
        again: bool = False,
        retry_after: timedelta = RETRY_AFTER,
        faults: Sequence[Fault] = (),
    ) -> None:
        self.status = status
        self.reason = reason
        self.detail = detail
        self.again = again
        self.retry_after = retry_after
        self.faults = faults
        super().__init__(f"{status.value} {reason}")


def problem(refusal: Refusal, **extra: object) -> Response:
    """The refusal as an answer. extra: further members of the problem."""
    body = {
        "type": f"urn:notifier:problem:{refusal.reason}",
        "title": _TITLES.get(refusal.status, refusal.status.phrase),
        "status": refusal.status.value,
        "detail": refusal.detail,
        **({"errors": as_errors(refusal.faults)} if refusal.faults else {}),
        **extra,
    }
    headers = {"Retry-After": str(math.ceil(refusal.retry_after.total_seconds()))} if refusal.again else {}
    if refusal.status is HTTPStatus.UNAUTHORIZED:  # RFC 9110 §15.5.2 asks for it
        headers["WWW-Authenticate"] = _CHALLENGES
    return Response(orjson.dumps(body), refusal.status.value, headers, MEDIA_TYPE)


def as_errors(faults: Sequence[Fault], below: str = "") -> list[dict[str, str]]:
    """Faults as members of a problem. below: the pointer of what they are inside of."""
    return [{"pointer": below + fault.pointer, "detail": fault.problem} for fault in faults]


def refused(route: str, refusal: Refusal) -> Response:
    """As `problem`, and noted: refusals of receipts are what an operator looks for when receipts are missing."""
    telemetry.note("gateway.refused", route=route, reason=refusal.reason, status=refusal.status.value)
    return problem(refusal)


def install(app: FastAPI) -> None:
    """Errors that no route answered (unknown paths, wrong methods, faults of ours) take the same form."""
    app.add_exception_handler(Refusal, _refusal)
    app.add_exception_handler(RequestValidationError, _parameters)
    app.add_exception_handler(NotifierError, _away)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _fault)


def _refusal(request: Request, error: Exception) -> Response:
    return refused(_route_of(request), error) if isinstance(error, Refusal) else _fault(request, error)


def _parameters(request: Request, error: Exception) -> Response:
    """Parameters that are missing or wrong. Pointers name them as `/query/phone`; values are never repeated."""
    found = error.errors() if isinstance(error, RequestValidationError) else ()
    faults = [Fault("".join(f"/{part}" for part in one["loc"]), str(one["msg"])) for one in found]
    detail = "A parameter is missing or wrong."
    return refused(_route_of(request), Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "parameters", detail, faults=faults))


def _away(request: Request, error: Exception) -> Response:
    """A store that a reading route needs does not answer; everything else that we raise on purpose is a fault here."""
    if not isinstance(error, (LedgerUnavailable, RoadUnavailable)):
        return _fault(request, error)
    store = "ledger" if isinstance(error, LedgerUnavailable) else "road"
    detail = "What this needs cannot be reached right now."
    return refused(_route_of(request), Refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"{store}-away", detail, again=True))


def _route_of(request: Request) -> str:
    """The template of the route, never the path itself: that may hold an order's number."""
    return str(getattr(request.scope.get("route"), "path", "unknown"))


def _http_error(request: Request, error: Exception) -> Response:
    code = error.status_code if isinstance(error, HTTPException) else 500
    status = HTTPStatus(code)
    answer = problem(Refusal(status, status.phrase.lower().replace(" ", "-"), status.description or status.phrase))
    if isinstance(error, HTTPException) and error.headers:
        answer.headers.update(error.headers)
    return answer


def _fault(request: Request, error: Exception) -> Response:
    return fault(error)


def fault(error: Exception) -> Response:
    """The answer to what is nobody's fault but ours, noted."""
    telemetry.note("gateway.fault", error=error)
    detail = "This is a fault of the gateway; its log says more."
    return problem(Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "fault", detail))
