"""A newcomer follows the pages: `notifier up --sandbox`, the documented curl of each platform, a message on a phone."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from notifier.demo.toml import write_toml
from notifier.sandbox.testing import SandboxClient
from tests.integration.demo.running import ROOT, environment, read_until, start

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        not all(map(shutil.which, ("bash", "curl", "openssl"))), reason="the pages need bash, curl and openssl"
    ),
]

# page -> the customer in its example, and the template of what they must read
PAGES = {
    "shopify": ("+447400123456", "order_created"),
    "woocommerce": ("+966501234567", "order_confirmed"),
    "magento": ("+447400123456", "order_created"),
    "generic": ("+966501234567", "order_shipped"),
}


def blocks(page: str, kind: str) -> list[str]:
    text = (ROOT / "docs/sources" / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"```{kind}\n(.*?)```", text, flags=re.DOTALL)


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """As if the second had been written below the first, where what is there already stays."""
    both = dict(one)
    for name, value in other.items():
        both[name] = merged(both[name], value) if isinstance(both.get(name), dict) else both.get(name, value)
    return both


@dataclass(frozen=True)
class House:
    """What runs. env: of a person's other terminal."""

    gateway: str
    sandbox: SandboxClient
    env: Mapping[str, str]
    folder: Path

    def types(self, script: str, **more: str) -> str:
        """What a person sees who types it."""
        typed = script.replace("http://127.0.0.1:8080", self.gateway).replace(
            "https://notify.example.com", self.gateway
        )
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", typed],
            cwd=self.folder, env={**self.env, **more}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def shown(self, phone: str, template: str) -> int:
        """How many messages of this template are on the phone."""
        return sum(message["template"] == template for message in self.sandbox.phone(phone))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    place = tmp_path
    table = tomllib.loads((ROOT / "config/notifier.toml").read_text(encoding="utf-8"))
    secrets: dict[str, str] = {}
    for page in PAGES:
        table = merged(table, tomllib.loads(blocks(page, "toml")[0]))
        (setting_up,) = [block for block in blocks(page, "sh") if "up --sandbox" in block]
        secrets |= dict(re.findall(r"export (\w+)=(\S+)", setting_up))
    for shop in table["shops"].values():
        shop.pop("quiet_hours", None)  # the same at any hour
    (place / "notifier.toml").write_text(write_toml(table), encoding="utf-8")
    ours = {
        "NOTIFIER_CONFIG": str(place / "notifier.toml"),
        "NOTIFIER_CONFIG_DIR": str(ROOT / "config"),
        "NOTIFIER_DATA_DIR": str(place / "data"),
        "NOTIFIER_GATEWAY_PORT": "0",
    }
    env = environment(place, **ours, **secrets)
    env = {name: value for name, value in env.items() if "proxy" not in name.lower()}
    tools = place / "bin"
    tools.mkdir()
    (tools / "notifier").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m notifier "$@"\n', encoding="utf-8")
    (tools / "notifier").chmod(0o755)
    process = start(env, "up", "--sandbox")
    try:
        read_until(process, "nothing goes to Meta or Twilio")
        urls = json.loads((place / "data/running.json").read_text())
        other = {**env, "PATH": f"{tools}:{env['PATH']}", "PYTHONPATH": str(ROOT)}
        yield House(urls["gateway_url"], SandboxClient(urls["sandbox_url"]), other, place)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


def test_every_page_leads_to_a_message_on_a_phone_and_to_its_story(house: House) -> None:
    for page, (phone, template) in PAGES.items():
        before = house.shown(phone, template)
        text = (ROOT / "docs/sources" / f"{page}.md").read_text(encoding="utf-8")
        (post,) = [block for block in blocks(page, "sh") if "curl -i" in block]
        if "consent grant" in text:  # where no body holds a consent, the page says what to do
            house.types(f"notifier consent grant {phone} --shop fern-and-kiln --source 'a call'")
        assert "HTTP/1.1 200" in house.types(post), page
        while house.shown(phone, template) == before:  # until the suite's own time limit
            time.sleep(0.05)
        (order,) = set(re.findall(r"`notifier why (\d+)`", text))
        while "On its way over whatsapp" in (answer := house.types(f"notifier why {order}").splitlines()[0]):
            time.sleep(0.05)
        assert "Told over whatsapp" in answer, page
        (source,) = set(re.findall(r"`notifier sources check (\S+)`", text))
        assert "refuses who does not sign" in house.types(f"notifier sources check {source} || true"), page


def test_the_page_of_the_http_api_does_too(house: House) -> None:
    text = (ROOT / "docs/http-api.md").read_text(encoding="utf-8")
    (create,) = re.findall(r"```console\n(notifier keys create .*)\n```", text)
    post, *_, ask, _ = re.findall(r"```sh\n(curl .*?)```", text, flags=re.DOTALL)
    key = house.types(create).strip()
    assert json.loads(house.types(post, KEY=key))["status"] == "queued"
    while not house.shown("+201001234567", "order_shipped"):
        time.sleep(0.05)
    # A phone shows it before the receipt is back: asked at once, the answer was once that no word had come yet.
    while (answer := json.loads(house.types(ask, KEY=key))["orders"][0]["answer"]).startswith(
        "order.shipped: On its way"
    ):
        time.sleep(0.05)
    assert answer.startswith("order.shipped: Told over whatsapp")
