"""The page at /docs in a browser that reaches the gateway and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis

from notifier.gateway import create_gateway
from notifier.keys import create_key
from notifier.ledger import Ledger
from notifier.runtime import Runtime
from notifier.streams import Receipts
from tests.fixtures.runtime import make_runtime
from tests.fixtures.serving import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)")

# Whatever name a page asks for, there is no such host: what it needs must come from the gateway.
OFFLINE = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]


@dataclass
class Visit:
    """A page that is open. asked: every address that it fetched; said: its errors and warnings."""

    page: Page
    url: str
    key: str
    runtime: Runtime
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def operation(self, verb: str, path: str) -> Any:
        """The part of the page about one operation."""
        named = self.page.locator("summary").filter(has_text=verb).filter(has=self.page.get_by_text(path, exact=True))
        return self.page.locator("#operations > details").filter(has=named)

    def events(self) -> list[dict[str, Any]]:
        """What is in the inbox."""
        entries: Any = self.runtime.redis.xrange(self.runtime.inbox.stream)
        return [json.loads(fields[b"body"]) for _, fields in entries]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    reason = "Playwright is not installed (pip install --no-deps --require-hashes -r tests/browser/requirements.txt)"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=OFFLINE)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser, sqlite_ledger: Ledger, redis_client: Redis) -> Iterator[Visit]:
    runtime = replace(make_runtime(sqlite_ledger, redis_client), clock=lambda: datetime.now(UTC))
    with sqlite_ledger.begin() as conn:
        key = create_key(conn, "nile", "a person", ["events:write", "events:read"], 1000, runtime.clock(), "test")
    with served(create_gateway(runtime, Receipts(redis_client, runtime.settings.key_prefix))) as url:
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        made = Visit(page, url, key.secret, runtime)
        page.on("request", lambda request: made.asked.append(request.url))
        page.on("console", lambda line: made.said.append(line.text) if line.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: made.said.append(str(error)))
        page.goto(f"{url}/docs")
        page.locator("#operations > details").first.wait_for()
        yield made
        page.close()


def test_it_shows_every_operation_and_loads_nothing_from_anywhere_else(visit: Visit) -> None:
    with_schema = visit.page.request.get(f"{visit.url}/v1/openapi.json").json()["paths"]
    operations = {(verb.upper(), path) for path, item in with_schema.items() for verb in item}
    shown = visit.page.locator("#operations > details > summary")
    found = {
        (one.locator(".verb").inner_text(), one.locator("code").inner_text())
        for one in (shown.nth(number) for number in range(shown.count()))
    }
    assert found == operations
    assert {address.removeprefix(visit.url) for address in visit.asked} <= {"/docs", "/v1/openapi.json", "/favicon.ico"}
    assert [line for line in visit.said if "favicon" not in line] == []  # the policy of the page forbids one


def test_an_event_that_is_sent_from_the_page_is_in_the_inbox(visit: Visit) -> None:
    visit.page.locator("#key").fill(visit.key)
    operation = visit.operation("POST", "/v1/events")
    operation.locator("summary").first.click()
    body = {"event": "order.shipped", "order_id": "1042", "customer": {"phone": "+201001234567"}}
    operation.locator("textarea").fill(json.dumps(body))
    operation.get_by_role("button", name="Send").click()
    operation.locator("p.good").wait_for()
    assert operation.locator("p.good").inner_text().startswith("202")
    assert [event["order_id"] for event in visit.events()] == ["1042"]


def test_a_wrong_key_is_told_with_its_problem(visit: Visit) -> None:
    visit.page.locator("#key").fill("ntf_wrong")
    operation = visit.operation("POST", "/v1/explain")
    operation.locator("summary").first.click()
    operation.get_by_role("button", name="Send").click()
    operation.locator("p.bad").wait_for()
    assert operation.locator("p.bad").inner_text().startswith("401")
    assert json.loads(operation.locator("p.bad + pre").inner_text())["status"] == 401
    assert visit.events() == []


def test_every_field_has_a_label_and_the_page_can_be_used_without_a_mouse(visit: Visit) -> None:
    unnamed = visit.page.evaluate(
        "() => [...document.querySelectorAll('input, textarea, select')]"
        ".filter((one) => one.labels.length !== 1).map((one) => one.outerHTML)"
    )
    assert unnamed == []
    visit.page.locator("#key").focus()
    visit.page.keyboard.press("Tab")
    visit.page.keyboard.press("Enter")
    opened = visit.page.locator("#operations > details[open]")
    assert opened.count() == 1


def test_a_narrow_screen_does_not_scroll_sideways(visit: Visit) -> None:
    visit.page.set_viewport_size({"width": 360, "height": 700})
    visit.operation("POST", "/v1/events").locator("summary").first.click()
    assert visit.page.evaluate("() => document.documentElement.scrollWidth") <= 360
