"""Any request that the OpenAPI allows, and many that it does not: no fault of ours, and no answer that is not in it."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from notifier.ledger import Ledger
from tests.integration.gateway.callers import a_key

pytestmark = pytest.mark.timeout(300)

EXAMPLES = 20  # an operation, half of them within the schema
CHECKS = [
    checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture
def key(sqlite_ledger: Ledger) -> str:
    return a_key(sqlite_ledger)


def operations(gateway: FastAPI) -> list[Any]:
    schema: Any = schemathesis.openapi.from_asgi("/v1/openapi.json", gateway)
    return [one.ok() for one in schema.get_all_operations()]


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
def test_every_operation_keeps_its_word_whatever_is_asked(
    gateway: FastAPI, key: str, mode: schemathesis.GenerationMode
) -> None:
    tried = {operation.label for operation in operations(gateway) if was_tried(operation, key, mode)}

    assert {"POST /v1/events", "POST /v1/consents", "GET /v1/orders/{shop}/{order}"} <= tried


def was_tried(operation: Any, key: str, mode: schemathesis.GenerationMode) -> bool:
    """False: nothing can be wrong in a request without parameters and body."""

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def trial(case: Any) -> None:
        headers = {"Authorization": f"Bearer {key}"} if case.path.startswith("/v1/") else {}
        case.validate_response(case.call(headers=headers), checks=CHECKS)

    try:
        trial()
    except Unsatisfiable:
        return False
    return True
