"""What the pages tell a shop owner to type is an order that is believed, read and told."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from notifier.policy.recipient import Recipient, find_recipient
from notifier.sources import source_of
from notifier.sources.contract import SourceShop
from tests.fixtures.ledger import NOW

ROOT = Path(__file__).parents[3]
CURL = """#!/bin/sh
printf '%s\\n' "$@" > called
"""


def blocks(page: str, kind: str) -> list[str]:
    text = (ROOT / "docs/sources" / page).read_text(encoding="utf-8")
    return re.findall(rf"```{kind}\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("page", "shop", "event"),
    [("shopify.md", "fern-and-kiln", "order.created"), ("woocommerce.md", "qamar-books", "order.confirmed")],
)
def test_the_curl_of_the_page_is_believed_and_tells_a_customer_who_consented(
    page: str, shop: str, event: str, tmp_path: Path
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "curl").write_text(CURL)
    (tools / "curl").chmod(0o755)
    [script] = [block for block in blocks(page, "sh") if "curl -i" in block]
    path = f"{tools}:{os.environ['PATH']}"
    subprocess.run(["bash", "-eu", "-c", script], cwd=tmp_path, env={"PATH": path}, check=True, timeout=30)

    called = (tmp_path / "called").read_text().splitlines()
    headers = {name.lower(): value for line in called if ": " in line for name, value in [line.split(": ", 1)]}
    body = (tmp_path / "order.json").read_bytes()
    [(name, said)] = tomllib.loads(blocks(page, "toml")[0])["shops"][shop]["sources"].items()
    source = source_of(said["kind"])
    [secret] = [re.search(r"_SECRET=(\S+)", block) for block in blocks(page, "sh") if "up --sandbox" in block]
    assert secret is not None

    assert f"http://127.0.0.1:8080/v1/sources/{shop}/{name}" in called
    assert source.verify(body, headers, (secret[1],), NOW)
    parsed = source.parse(body, headers, SourceShop(shop, source.options.model_validate(said["options"])))
    [draft] = parsed.events
    customer = draft.event.customer
    assert draft.event.event == event
    assert isinstance(find_recipient(customer.phone, customer.country), Recipient)
    assert customer.consent is not None
    assert customer.consent.granted


@pytest.mark.parametrize("page", ["shopify.md", "woocommerce.md"])
def test_the_dry_run_of_the_page_names_its_own_source(page: str) -> None:
    [shop] = tomllib.loads(blocks(page, "toml")[0])["shops"].items()
    [name] = shop[1]["sources"]
    [command] = [block for block in blocks(page, "sh") if "sources test" in block]

    assert command.startswith(f"notifier sources test {shop[0]}/{name} order.json --header ")
