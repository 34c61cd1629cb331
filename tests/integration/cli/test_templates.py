"""notifier templates: faults with their lines, what customers see, and the way to Meta and back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from notifier.catalog import Catalog, creation_payload, load_catalog
from notifier.channels.contract import Sender
from notifier.cli.approvals import Management, compare
from notifier.cli.exits import Unreachable
from notifier.sandbox import practice_config
from notifier.sandbox.testing import SandboxClient, running_sandbox
from tests.integration.cli.conftest import ROOT, Terminal

WABA = "200000000000001"


@pytest.fixture
def two_templates(terminal: Terminal, house: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalog of order_created, order_shipped and order_cancelled in a folder that a test may change."""
    folder = house / "config" / "templates"
    folder.mkdir(parents=True)
    for name in ("order_created", "order_shipped", "order_cancelled"):
        shutil.copy(ROOT / "config" / "templates" / f"{name}.yaml", folder)
    monkeypatch.setenv("NOTIFIER_CONFIG_DIR", str(house / "config"))
    return folder


@pytest.fixture
def at_meta(sandbox: SandboxClient, monkeypatch: pytest.MonkeyPatch) -> SandboxClient:
    """The sandbox as the Meta of nile-wa."""
    monkeypatch.setenv("NOTIFIER_SENDERS", json.dumps({"nile-wa": {"base_url": sandbox.base_url}}))
    monkeypatch.setenv("NOTIFIER_SENDER_NILE_WA_TOKEN", "sandbox-token")
    return sandbox


def test_lint_of_a_sound_catalog_says_how_much_it_saw(terminal: Terminal, two_templates: Path) -> None:
    result = terminal.run("templates", "lint")

    assert (result.exit_code, result.stdout) == (0, "3 templates, 9 wordings, no fault\n")


def test_lint_tells_every_fault_with_file_and_line(terminal: Terminal, two_templates: Path) -> None:
    path = two_templates / "order_shipped.yaml"
    text = path.read_text(encoding="utf-8").replace("ttl: 6h", "ttl: 20s").replace("format: date", "format: dat")
    path.write_text(text, encoding="utf-8")

    result = terminal.run("templates", "lint")

    assert (result.exit_code, result.stderr) == (1, "2 faults\n")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if "20s" in line or "format: dat" in line]
    assert [line.split(": ")[0] for line in result.stdout.splitlines()] == [f"order_shipped.yaml:{at}" for at in lines]


def test_show_fills_in_the_examples_for_both_channels(terminal: Terminal, two_templates: Path) -> None:
    result = terminal.run("templates", "show", "order_shipped", "--locale", "en")

    lines = result.stdout.splitlines()
    assert (result.exit_code, lines[0]) == (0, "order_shipped: UTILITY, dropped by the provider after 6:00:00")
    assert "[en on WhatsApp]" in lines
    assert "Your order 10482 from Jasmine Store has shipped." in lines
    assert "  Track order opens https://track.example/track/10482" in lines
    assert lines[-2:] == [
        "[en as an SMS: 1 segment, gsm7]",
        "Jasmine Store: order 10482 has shipped. Carrier: Aramex. Tracking number: LX482913077SA.",
    ]


def test_show_without_a_locale_shows_all_of_them(terminal: Terminal, two_templates: Path) -> None:
    shown = terminal.run("templates", "show", "order_shipped").stdout

    assert [line for line in shown.splitlines() if "on WhatsApp]" in line] == [
        "[ar on WhatsApp]",
        "[en on WhatsApp]",
        "[pt_BR on WhatsApp]",
    ]


def test_a_template_or_locale_that_nobody_wrote_is_refused(terminal: Terminal, two_templates: Path) -> None:
    name, locale = (
        terminal.run("templates", "show", "order_shiped"),
        terminal.run("templates", "show", "order_shipped", "--locale", "fr"),
    )

    assert (name.exit_code, name.stderr) == (
        2,
        "Error: no template is called 'order_shiped': did you mean order_shipped?\n",
    )
    assert locale.exit_code == 2
    assert "order_shipped has ar, en, pt_BR" in locale.stderr


def test_a_push_creates_what_is_missing_and_a_second_one_nothing(
    terminal: Terminal, two_templates: Path, at_meta: SandboxClient
) -> None:
    first = terminal.run("templates", "push", "nile-wa", "--name", "order_shipped", "--json")
    second = terminal.run("templates", "push", "nile-wa", "--name", "order_shipped", "--json")

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert [
        (one["template"], one["locale"], one["result"], one["status"], one["category"])
        for one in json.loads(first.stdout)["approvals"]
    ] == [("order_shipped", locale, "created", "APPROVED", "UTILITY") for locale in ("ar", "en", "pt_BR")]
    assert [one["result"] for one in json.loads(second.stdout)["approvals"]] == ["equal"] * 3


def test_a_dry_run_creates_nothing(terminal: Terminal, two_templates: Path, at_meta: SandboxClient) -> None:
    dry = terminal.run("templates", "push", "nile-wa", "--dry-run")
    status = terminal.run("templates", "status", "nile-wa", "--json")

    assert (dry.exit_code, dry.stdout.count("missing")) == (1, 9)
    assert [one["result"] for one in json.loads(status.stdout)["approvals"]] == ["missing"] * 9


def test_status_is_zero_only_when_all_are_there_equal_and_approved(
    terminal: Terminal, two_templates: Path, at_meta: SandboxClient
) -> None:
    terminal.run("templates", "push", "nile-wa")
    all_well = terminal.run("templates", "status", "nile-wa")
    at_meta.template("order_shipped", language="ar", status="PAUSED")

    paused = terminal.run("templates", "status", "nile-wa")

    assert (all_well.exit_code, paused.exit_code) == (0, 1)
    assert [line.split()[:5] for line in paused.stdout.splitlines() if "PAUSED" in line] == [
        ["order_shipped", "ar", "equal", "PAUSED", "UTILITY"]
    ]


def test_what_differs_is_named_and_left_alone(terminal: Terminal, two_templates: Path, at_meta: SandboxClient) -> None:
    terminal.run("templates", "push", "nile-wa", "--name", "order_shipped")
    path = two_templates / "order_shipped.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("has shipped.\n", "has left us.\n"), encoding="utf-8")

    result = terminal.run("templates", "push", "nile-wa", "--name", "order_shipped", "--json")

    assert result.exit_code == 1
    by_locale = {one["locale"]: one for one in json.loads(result.stdout)["approvals"]}
    assert by_locale["ar"]["result"] == by_locale["pt_BR"]["result"] == "equal"
    assert (by_locale["en"]["result"], by_locale["en"]["status"]) == ("differs", "APPROVED")
    assert by_locale["en"]["note"] == "body differ; edit it in WhatsApp Manager, or give ours a new name"


def test_a_template_that_meta_moved_to_marketing_says_what_that_costs(
    terminal: Terminal, two_templates: Path, at_meta: SandboxClient
) -> None:
    terminal.run("templates", "push", "nile-wa", "--name", "order_shipped")
    at_meta.template("order_shipped", language="en", category="MARKETING")

    found = json.loads(terminal.run("templates", "status", "nile-wa", "--json").stdout)["approvals"]

    [moved] = [one for one in found if one["category"] == "MARKETING"]
    assert (moved["locale"], moved["result"]) == ("en", "equal")
    assert moved["note"] == "Meta made it MARKETING, which costs more and has no time-to-live"


def test_a_listing_of_many_pages_is_read_to_its_end() -> None:
    payload = creation_payload(load_catalog(ROOT / "config" / "templates").get("order_shipped"), "en")
    held = tuple({**payload, "name": f"number_{number}", "waba_id": WABA} for number in range(250))

    with running_sandbox(practice_config(templates=held)) as sandbox, a_management(sandbox) as management:
        found = management.listed()

    assert set(found) == {(f"number_{number}", "en") for number in range(250)}


def a_management(sandbox: SandboxClient, token: str = "sandbox-token") -> Management:
    sender = Sender("nile-wa", "whatsapp", "meta", sandbox.base_url, {"waba_id": WABA}, {"token": (token,)})
    return Management(sender, pause=lambda _: None)


@pytest.mark.parametrize(
    ("label", "sender", "environment", "complaint"),
    [
        ("no token", "nile-wa", {}, "sender nile-wa has no token: set NOTIFIER_SENDER_NILE_WA_TOKEN"),
        ("twilio", "nile-sms", {}, "sender nile-sms is at twilio: only templates at Meta need approval"),
        (
            "no waba",
            "nile-wa",
            {"NOTIFIER_SENDERS": '{"nile-wa": {"account": {"waba_id": ""}}}'},
            "sender nile-wa has no account.waba_id: add the WhatsApp Business Account's id to its account",
        ),
        ("unknown", "mars", {}, "no sender is called mars; there are nile-wa, nile-sms"),
    ],
)
def test_a_sender_that_cannot_be_managed_is_refused(
    label: str,
    sender: str,
    environment: dict[str, str],
    complaint: str,
    terminal: Terminal,
    two_templates: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    result = terminal.run("templates", "push", sender)

    assert (result.exit_code, result.stdout) == (2, "")
    assert complaint in result.stderr


def test_a_wrong_token_ends_it_with_metas_words(
    terminal: Terminal, two_templates: Path, at_meta: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFIER_SENDER_NILE_WA_TOKEN", "wrong-and-secret")

    result = terminal.run("templates", "push", "nile-wa")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: nile-wa: Meta says 190: ")
    assert "wrong-and-secret" not in result.stderr


def test_what_meta_refuses_is_one_row_with_its_reason(two_templates: Path, at_meta: SandboxClient) -> None:
    catalog = load_catalog(two_templates)
    payload = creation_payload(catalog.get("order_shipped"), "en")

    with a_management(at_meta) as management:
        refused = management.create({**payload, "message_send_ttl_seconds": 5})

    assert (refused.result, refused.status) == ("refused", None)
    assert refused.note.startswith("Meta says 100: ")


def test_a_provider_that_nobody_reaches_is_unreachable_after_all_tries(closed_port: int) -> None:
    pauses: list[float] = []
    sender = Sender(
        "nile-wa", "whatsapp", "meta", f"http://127.0.0.1:{closed_port}", {"waba_id": WABA}, {"token": ("t",)}
    )

    with Management(sender, pause=pauses.append) as management, pytest.raises(Unreachable) as caught:
        management.listed()

    assert str(caught.value) == f"nile-wa: 127.0.0.1:{closed_port} does not answer (ConnectionError); try later"
    assert len(pauses) == 3


def test_a_passing_fault_of_the_server_is_tried_again(two_templates: Path, at_meta: SandboxClient) -> None:
    at_meta.faults([{"path": "message_templates", "count": 2, "action": "status", "status": 503}])

    with a_management(at_meta) as management:
        assert management.listed() == {}


def there(catalog: Catalog, **changes: Any) -> dict[str, Any]:
    payload = creation_payload(catalog.get("order_shipped"), "en")
    return {**payload, "status": "APPROVED", "parameter_format": "NAMED", **changes}


@pytest.mark.parametrize(
    ("label", "changes", "result", "note"),
    [
        ("equal", {}, "equal", ""),
        ("format", {"parameter_format": "POSITIONAL"}, "differs", "parameter format differ"),
        ("ttl", {"message_send_ttl_seconds": None}, "differs", "time-to-live differ"),
        ("moved", {"message_send_ttl_seconds": None, "category": "MARKETING"}, "equal", "Meta made it MARKETING"),
        ("parts", {"components": []}, "differs", "body, buttons, footer, header differ"),
    ],
)
def test_a_wording_is_compared_part_by_part(label: str, changes: dict[str, Any], result: str, note: str) -> None:
    catalog = load_catalog(ROOT / "config" / "templates")
    payload = creation_payload(catalog.get("order_shipped"), "en")

    found = compare(payload, there(catalog, **changes))

    assert found.result == result
    assert found.note.startswith(note)
