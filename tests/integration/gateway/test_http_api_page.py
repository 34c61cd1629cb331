"""docs/http-api.md: its curl commands are taken as they stand, and its table of errors is whole."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest
from fastapi import FastAPI
from redis import Redis

from notifier.gateway import reading, v1_events
from notifier.keys import SCOPES
from notifier.ledger import Ledger
from tests.fixtures.asgi import Answer, call
from tests.integration.gateway.callers import a_key
from tests.integration.gateway.conftest import Build
from tests.integration.gateway.test_openapi import QAMAR, SHOP

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/http-api.md").read_text(encoding="utf-8")
CURLS = re.findall(r"```sh\n(curl .*?)```", PAGE, flags=re.DOTALL)
BODIES = ("-d", "--data-binary")


def run(gateway: FastAPI, command: str, key: str) -> Answer:
    """What curl would have sent. $'…' is bash's way to write a line's end."""
    plain = re.sub(r"\$'(.*?)'", lambda found: shlex.quote(found[1].replace("\\n", "\n")), command)
    words = shlex.split(plain.replace("\\\n", " ").replace("$KEY", key))[1:]
    headers = [words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H"]
    body = next((words[at + 1] for at, word in enumerate(words) if word in BODIES), "")
    path = urlsplit(words[0]).path
    return call(
        gateway, "POST" if body else "GET", path, body.encode(), {name.lower(): value for name, value in headers}
    )


@pytest.mark.parametrize("command", CURLS, ids=[f"command {number}" for number in range(len(CURLS))])
def test_each_command_can_be_typed(build: Build, redis_client: Redis, sqlite_ledger: Ledger, command: str) -> None:
    gateway = build(redis_client, more_shops=QAMAR)

    answer = run(gateway, command, a_key(sqlite_ledger, SHOP))

    # Nobody takes in what was handed in, so the order's story is not there yet; everything else is taken.
    assert answer.status == (404 if "/v1/orders/" in command else 200 if "/v1/consents" in command else 202)


def test_the_answers_on_the_page_are_those_that_come(build: Build, redis_client: Redis, sqlite_ledger: Ledger) -> None:
    gateway, key = build(redis_client, more_shops=QAMAR), a_key(sqlite_ledger, SHOP)
    shown = [orjson.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)]

    found = [run(gateway, command, key).json for command in CURLS[:2]]

    assert found[0].pop("event_id") != shown[0].pop("event_id")
    assert found[1]["results"][0].pop("event_id") != shown[1]["results"][0].pop("event_id")
    assert found == shown


def test_the_page_names_every_scope_and_the_bounds_that_the_code_has() -> None:
    assert [scope for scope in SCOPES if f"| `{scope}` |" not in PAGE] == []
    assert (reading.LARGEST_EVENT, reading.LARGEST_BODY, reading.MOST_EVENTS) == (256 * 1024, 10 * 1024 * 1024, 1000)
    assert "256 kB an event, 10 MB and 1,000 events a body" in PAGE


def test_every_reason_that_the_code_gives_is_in_the_table() -> None:
    table = PAGE[PAGE.index("## Errors") : PAGE.index("## When something")]
    folder = Path(v1_events.__file__).parent
    said = " ".join((folder / f"{name}.py").read_text() for name in NAMED)
    given = set(re.findall(r'(?:Refusal|Rejected)\(\s*HTTPStatus\.\w+,\s*"([a-z-]+)"', said)) | set(v1_events._NOT_NOW)

    assert len(given) > 12
    assert [reason for reason in sorted(given) if f"`{reason}`" not in table] == []


NAMED = ("auth", "reading", "v1_events", "v1_reads", "v1_consents")
