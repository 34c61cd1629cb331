"""`notifier sources`: list, check and test, in process, on a real ledger and a real Redis."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import orjson
import pytest

from notifier.cli.command_reference import SHAPES
from notifier.runtime import Runtime
from tests.integration.cli.conftest import CONFIG, Terminal
from tests.integration.webhooks.platforms import shopify, shopify_order, shopify_progress, take, woo_order

SOURCES = """
[shops.nile.sources.shopify]
kind = "shopify"
options = { consent_attribute = "whatsapp_updates" }

[shops.nile.sources.woo]
kind = "woocommerce"
wait_for_order = "2m"
"""
SECRET = "a-secret-of-reasonable-length"
VARIABLE = "NOTIFIER_SOURCE_NILE_SHOPIFY_SECRET"


@pytest.fixture
def shops(terminal: Terminal, house: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal whose shop has two sources, one of them with a secret."""
    (house / "notifier.toml").write_text(CONFIG + SOURCES, encoding="utf-8")
    monkeypatch.setenv("NOTIFIER_PUBLIC_URL", "https://notify.example.com/")
    monkeypatch.setenv(VARIABLE, SECRET)
    return terminal


class _Gateway(BaseHTTPRequestHandler):
    status: ClassVar[int] = 401
    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.asked.append(self.path)
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Gateway]]:
    """Answers every call as the gateway answers an unsigned one; `status` may be changed."""
    handler = type("Handler", (_Gateway,), {"status": 401, "asked": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        monkeypatch.setenv("NOTIFIER_GATEWAY_PORT", str(server.server_port))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield handler
        server.shutdown()


def runtime_of(terminal: Terminal) -> Iterator[Runtime]:
    runtime = terminal.runtime()
    yield runtime
    runtime.ledger.dispose()
    runtime.redis.close()


def test_the_list_names_address_and_variable(shops: Terminal) -> None:
    result = shops.run("sources", "list")

    assert (result.exit_code, result.stderr) == (0, "")
    head, first, second = result.stdout.splitlines()
    assert head.split("  ")[0] == "source"
    assert first.split() == [
        *("nile/shopify", "shopify", "https://notify.example.com/v1/sources/nile/shopify", VARIABLE, "(1)", "600", "s")
    ]
    assert second.split()[-4:] == ["(not", "set)", "120", "s"]


def test_a_list_of_nothing_says_what_to_do(terminal: Terminal) -> None:
    result = terminal.run("sources", "list")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "add [shops.NAME.sources.SOURCE]" in result.stderr


def test_the_json_is_what_the_page_promises(shops: Terminal, gateway: type[_Gateway]) -> None:
    for command, key in (("list", "sources"), ("check", "findings")):
        [(path, meaning)] = SHAPES[f"sources {command}"].items()
        found = shops.json("sources", command)
        assert (path, set(found)) == (f"{key}[]", {key})
        assert found[key]
        assert [name for row in found[key] for name in row if name not in meaning] == []


def test_a_source_that_works_is_all_ok(shops: Terminal, gateway: type[_Gateway]) -> None:
    for runtime in runtime_of(shops):
        take(runtime, shopify("orders/create", shopify_order()))

    result = shops.run("sources", "check", "nile/shopify")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "ok    nile/shopify: 1 secret",
        "ok    nile/shopify: paste https://notify.example.com/v1/sources/nile/shopify",
        "ok    nile/shopify: the gateway knows the source, and refuses who does not sign",
        "ok    nile/shopify: the last order of nile was told 0 s ago",
    ]
    assert gateway.asked == ["/v1/sources/nile/shopify"]


def test_what_is_missing_comes_with_advice(
    shops: Terminal, gateway: type[_Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFIER_PUBLIC_URL", "http://127.0.0.1:8080")
    gateway.status = 404
    for runtime in runtime_of(shops):
        take(runtime, shopify("orders/exploded", {}))

    result = shops.run("sources", "check")

    assert result.exit_code == 1
    assert result.stdout.splitlines()[1:11] == [
        "warn  nile/shopify: platforms cannot reach http://127.0.0.1:8080/v1/sources/nile/shopify",
        "      → set NOTIFIER_PUBLIC_URL to the https address behind which the gateway is; a tunnel will do for a try",
        "fail  nile/shopify: the gateway does not know the source",
        "      → restart it: it reads its configuration once",
        "warn  nile/shopify: no webhook of nile has told of an order yet",
        "      → place an order in the shop; docs/sources says where the platform shows its deliveries",
        "warn  nile/shopify: 1 set aside: invalid",
        "      → `notifier dead list` shows why",
        "fail  nile/woo: no secret: every call is refused",
        "      → set NOTIFIER_SOURCE_NILE_WOO_SECRET for the gateway",
    ]


def test_a_short_secret_and_a_gateway_that_is_not_there_are_seen(
    shops: Terminal, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "ab,rest-of-a-secret-with-a-comma")
    monkeypatch.setenv("NOTIFIER_GATEWAY_PORT", str(closed_port))

    lines = shops.run("sources", "check", "nile/shopify").stdout.splitlines()

    assert lines[0] == "warn  nile/shopify: a secret is short"
    assert (
        f"fail  nile/shopify: the gateway at http://127.0.0.1:{closed_port} does not answer (ConnectionError)" in lines
    )
    assert "ab" not in " ".join(lines).split()


def test_a_name_that_is_none_is_refused_with_those_there_are(shops: Terminal) -> None:
    for command in (("check", "nile/gone"), ("test", "nile/gone", "-")):
        result = shops.run("sources", *command)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "no source is called nile/gone; there are nile/shopify, nile/woo" in result.stderr


def test_a_body_shows_what_would_come_of_it(shops: Terminal) -> None:
    body = orjson.dumps(shopify_order())

    result = shops.run("sources", "test", "nile/shopify", "-", "--header", "X-Shopify-Topic: orders/create", stdin=body)

    assert result.exit_code == 0
    first, *event, last = result.stdout.splitlines()
    assert first == "event  nile|5001|order.created||"
    assert orjson.loads("\n".join(event))["customer"]["consent"]["granted"] is True
    assert last == "order  5001: the order book keeps what was told"


def test_a_body_says_on_what_its_events_depend(shops: Terminal) -> None:
    woo = shops.run(
        "sources",
        "test",
        "nile/woo",
        "-",
        "--header",
        "X-WC-Webhook-Topic:order.updated",
        stdin=orjson.dumps(woo_order()),
    )
    step = shops.run(
        *("sources", "test", "nile/shopify", "-", "--header", "X-Shopify-Topic:fulfillment_events/create"),
        stdin=orjson.dumps(shopify_progress("delivered")),
    )

    assert woo.stdout.startswith("event  nile|727|order.confirmed||, unless status processing is known already\n")
    assert step.stdout.startswith("event  nile|5001|order.delivered|61|, with phone and number from the order book\n")


@pytest.mark.parametrize(
    ("topic", "body", "line"),
    [
        ("orders/updated", shopify_order(), "no event: refreshes the order book"),
        ("customers/redact", {"orders_to_redact": [1]}, "demand Redact"),
        (
            "fulfillment_orders/placed_on_hold",
            {"fulfillment_order": {"id": "gid://1"}},
            "thin   fulfillment_order gid://1 has to be looked up (fulfillment_orders/placed_on_hold)",
        ),
        (
            "customers_marketing_consent/update",
            {"phone": "1", "sms_marketing_consent": {"state": "subscribed"}},
            "consent  granted for marketing",
        ),
    ],
)
def test_a_body_that_tells_no_customer_says_what_it_is(
    shops: Terminal, topic: str, body: dict[str, object], line: str
) -> None:
    arguments = ("sources", "test", "nile/shopify", "-", "--header", f"X-Shopify-Topic:{topic}")
    result = shops.run(*arguments, stdin=orjson.dumps(body))

    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == line


def test_a_body_that_cannot_be_read_is_refused_with_the_place(shops: Terminal) -> None:
    arguments = ("sources", "test", "nile/shopify", "-", "--header", "X-Shopify-Topic:orders/create")
    result = shops.run(*arguments, stdin=b"{}")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "shopify: /id: expected an id of at most 128 characters, got nothing" in result.stderr


def test_a_header_without_a_colon_is_a_usage_error(shops: Terminal) -> None:
    result = shops.run("sources", "test", "nile/shopify", "-", "--header", "orders/create", stdin=b"{}")

    assert result.exit_code == 2
    assert "write --header NAME:VALUE" in result.stderr
