"""Every error of the gateway as RFC 9457 problem+json: what is wrong and what to do, never what was sent."""

from __future__ import annotations

from http import HTTPStatus

import orjson
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from notifier import telemetry

MEDIA_TYPE = "application/problem+json"


class Refusal(Exception):
    """A request that is not taken. reason: a word for metrics and for `type`. again: worth repeating as it is."""

    def __init__(self, status: HTTPStatus, reason: str, detail: str, *, again: bool = False) -> None:
        self.status = status
        self.reason = reason
        self.detail = detail
        self.again = again
        super().__init__(f"{status.value} {reason}")


def problem(refusal: Refusal, **extra: object) -> Response:
    """The refusal as an answer. extra: further members of the problem."""
    body = {
        "type": f"urn:notifier:problem:{refusal.reason}",
        "title": refusal.status.phrase,
        "status": refusal.status.value,
        "detail": refusal.detail,
        **extra,
    }
    headers = {"Retry-After": "5"} if refusal.again else {}
    return Response(orjson.dumps(body), refusal.status.value, headers, MEDIA_TYPE)


def refused(route: str, refusal: Refusal) -> Response:
    """As `problem`, and noted: refusals of receipts are what an operator looks for when receipts are missing."""
    telemetry.note("gateway.refused", route=route, reason=refusal.reason, status=refusal.status.value)
    return problem(refusal)


def install(app: FastAPI) -> None:
    """Errors that no route answered (unknown paths, wrong methods, faults of ours) take the same form."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _fault)


def _http_error(request: Request, error: Exception) -> Response:
    code = error.status_code if isinstance(error, HTTPException) else 500
    status = HTTPStatus(code)
    answer = problem(Refusal(status, status.phrase.lower().replace(" ", "-"), status.description or status.phrase))
    if isinstance(error, HTTPException) and error.headers:
        answer.headers.update(error.headers)
    return answer


def _fault(request: Request, error: Exception) -> Response:
    telemetry.note("gateway.fault", error=error)
    detail = "This is a fault of the gateway; its log says more."
    return problem(Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "fault", detail))
