"""What docs/cli.md promises of --json is what the commands give."""

from __future__ import annotations

import json
from typing import Any

from notifier.cli.command_reference import SHAPES
from notifier.ledger import Ledger, breakers, plans
from notifier.policy.breaker import Breaker, paused
from notifier.sandbox.testing import SandboxClient
from tests.fixtures.ledger import NOW
from tests.integration.cli.conftest import Terminal, an_order_event, as_lines
from tests.integration.cli.test_dead import unreached


def promised(path: str) -> set[str]:
    return {key.split(".")[0].removesuffix("[]") for key in SHAPES[path]}


def untold(path: str, found: dict[str, Any]) -> list[str]:
    """Keys of the rows of a list that its line on the page does not name."""
    rows = {key.removesuffix("[]"): meaning for key, meaning in SHAPES[path].items() if key.count("[]") == 1}
    return [
        f"{name}[].{key}"
        for name, meaning in rows.items()
        for row in found[name]
        if isinstance(row, dict)
        for key in row
        if key not in meaning
    ]


def check(path: str, found: dict[str, Any]) -> None:
    assert set(found) == promised(path)
    assert untold(path, found) == []
    assert all(found[key] for key in found if isinstance(found[key], list)), "an empty list proves nothing"


def test_the_keys_of_each_command(terminal: Terminal, sqlite_ledger: Ledger) -> None:
    terminal.run("ingest", "-", stdin=as_lines(an_order_event(), an_order_event(shop="tigris")))
    terminal.take_in()
    with sqlite_ledger.begin() as conn:
        unreached(conn, order_id="o-2")
        breakers.store(conn, paused(Breaker("template", "order_shipped/ar@nile-wa"), NOW), NOW, "amira")
        word = plans.NewConsent("nile", "+201001234567", None, None, True, "checkout", NOW)
        plans.insert_consents(conn, [word], NOW)

    event = json.dumps(an_order_event(order_id="o-3"))
    check("explain", json.loads(terminal.run("explain", "-", "--json", stdin=event).stdout))
    check("lanes", terminal.json("lanes"))
    check("dead list", terminal.json("dead", "list"))
    check("consent show", terminal.json("consent", "show", "+201001234567"))
    check("doctor", terminal.json("doctor"))
    why = terminal.json("why", "1001")
    check("why", {**why, "orders": [{}]})
    assert [set(order) for order in why["orders"][:1]] == [{"shop", "order_id", "order_number", "answer", "events"}]


def test_the_keys_of_approvals(terminal: Terminal, sandbox: SandboxClient, monkeypatch: Any) -> None:
    monkeypatch.setenv("NOTIFIER_SENDERS", json.dumps({"nile-wa": {"base_url": sandbox.base_url}}))
    monkeypatch.setenv("NOTIFIER_SENDER_NILE_WA_TOKEN", "sandbox-token")

    check("templates status", terminal.json("templates", "status", "nile-wa"))
