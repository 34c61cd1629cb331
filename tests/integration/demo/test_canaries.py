"""The whole demo, with canaries in the place of what must stay private: no output and no log holds one of them."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from notifier.catalog import load_catalog
from tests.integration.demo.running import ROOT, environment, start

pytestmark = pytest.mark.timeout(300)  # the demo takes 50 s; on a machine that runs all tests at once, longer

CANARY = "Kanarienvogel"

# A signature or a token on its way, whatever its value: in these forms it has no business in a log.
FORMS = {
    "a signature": re.compile(rb"sha256=[0-9a-f]{16}|v1,[A-Za-z0-9+/]{32}|X-Twilio-Signature|x-hub-signature", re.I),
    "a bearer": re.compile(rb"bearer [a-z0-9_.-]{8}|basic [a-z0-9+/=]{16}|ntf_[a-z0-9]{8}", re.I),
    "a URL with a password": re.compile(rb"[a-z]+://[^/\s@\"]*:[^/\s@\"]+@"),
}


def a_house_with_canaries(tmp_path: Path) -> Path:
    """The configuration that ships, its samples' people renamed, everything logged."""
    config = tmp_path / "config"
    shutil.copytree(ROOT / "config", config)
    toml = config / "notifier.toml"
    toml.write_text(f'log_level = "DEBUG"\n{toml.read_text(encoding="utf-8")}', encoding="utf-8")
    for name in ("orders.jsonl", "rejected.jsonl"):
        file = config / "samples" / name
        lines = file.read_text(encoding="utf-8").splitlines()
        file.write_text("".join(f"{_renamed(line)}\n" for line in lines), encoding="utf-8")
    return toml


def _renamed(line: str) -> str:
    try:
        event = json.loads(line)
        event["customer"]["name"] = f"{CANARY} {event['customer']['name']}"
    except (ValueError, KeyError, TypeError):
        return line
    return json.dumps(event, ensure_ascii=False)


def phones(kept: Path, config: Path) -> set[bytes]:
    """The digits of every phone, as the shops wrote them and as they were dialled."""
    text = (config / "samples" / "orders.jsonl").read_text(encoding="utf-8")
    written = {re.sub(r"[ ()+-]", "", phone).lstrip("0") for phone in re.findall(r'"phone": ?"([^"]+)"', text)}
    with closing(sqlite3.connect(next(kept.rglob("ledger.db")))) as ledger:
        dialled = {phone.lstrip("+") for (phone,) in ledger.execute("SELECT phone FROM notification") if phone}
    assert len(dialled) > 100
    return {phone.encode() for phone in written | dialled if len(phone) >= 8}


def wordings(config: Path) -> set[bytes]:
    """A stretch of every text that customers are shown, in every language."""
    templates = load_catalog(config / "templates").templates.values()
    texts = [
        text
        for template in templates
        for locale in template.locales.values()
        for text in re.split(r"\{\{?[^}]*\}\}?", f"{locale.body}\n{locale.sms}")
    ]
    return {text.strip()[:40].encode() for text in texts if len(text.strip()) >= 24}


def secrets(kept: Path) -> set[bytes]:
    """Every secret that this run made: of senders, from the sandbox's file."""
    sandbox = json.loads((kept / "sandbox.json").read_text(encoding="utf-8"))
    found = {one[name] for one in sandbox["numbers"] for name in ("token", "app_secret")}
    return {secret.encode() for secret in found | {one["auth_token"] for one in sandbox["twilio"]}}


def leaks(outputs: Mapping[str, bytes], canaries: Mapping[str, set[bytes]]) -> Iterator[tuple[str, str]]:
    """(where, what kind) of every canary in an output."""
    for where, output in outputs.items():
        for kind, values in canaries.items():
            if any(value in output for value in values):
                yield where, kind
        for kind, form in FORMS.items():
            if form.search(output):
                yield where, kind


def test_no_output_and_no_log_of_the_demo_holds_personal_data_or_a_secret(tmp_path: Path) -> None:
    kept, toml = tmp_path / "kept", a_house_with_canaries(tmp_path)
    process = start(environment(tmp_path, NOTIFIER_CONFIG=str(toml)), "demo", "--json", "--keep", str(kept))
    said, talk = process.communicate()
    assert process.returncode == 0, talk

    logs = {path.name: path.read_bytes() for path in kept.rglob("*.log")}
    outputs = {"stdout": said.encode(), "stderr": talk.encode(), **logs}
    canaries = {
        "name": {CANARY.encode()},
        "phone": phones(kept, toml.parent),
        "text": wordings(toml.parent),
        "secret": secrets(kept),
    }
    ledger = b"".join(path.read_bytes() for path in kept.rglob("ledger.db*"))

    assert sum(map(len, logs.values())) > 50_000  # everything was logged, and it was looked at
    assert {len(values) > 0 for values in canaries.values()} == {True}
    assert {kind for _, kind in leaks({"ledger": ledger}, canaries)} >= {"name", "phone"}  # the search can find
    assert list(leaks(outputs, canaries)) == []


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("a signature", b"x-hub-signature-256: sha256=0123456789abcdef0123"),
        ("a bearer", b'"Authorization: Bearer EAAsecretsecret"'),
        ("a URL with a password", b"redis://:secret@redis:6379/0"),
        ("name", b"to " + CANARY.encode()),
    ],
)
def test_the_search_sees_each_kind(kind: str, line: bytes) -> None:
    assert list(leaks({"log": line}, {"name": {CANARY.encode()}})) == [("log", kind)]
