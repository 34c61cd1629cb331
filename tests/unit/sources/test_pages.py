"""What the pages in docs/sources show is what the parsers read: every body, every table, every setting."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from notifier.events import EVENT_KINDS
from notifier.lookups import PLATFORMS
from notifier.settings import SourceSettings
from notifier.sources import option_faults, source_of
from notifier.sources.contract import LookUp, Parsed, SourceShop
from notifier.sources.mapping import compile_mapping

PAGES = Path(__file__).parents[3] / "docs/sources"
NOW = "2026-11-05 09:00:00"


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page, without the indentation of lists."""
    text = (PAGES / f"{page}.md").read_text("utf-8")
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    return ["\n".join(line.removeprefix(indent) for line in body.splitlines()) for indent, body in found]


def heredoc(page: str) -> bytes:
    """The body that a page writes into a file, with the shell's $NOW."""
    [body] = re.findall(
        r"<<'?JSON'?\n(.*?)\nJSON$", (PAGES / f"{page}.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    return str(body).replace("$NOW", NOW).encode()


def parse(kind: str, body: bytes, headers: dict[str, str] | None = None) -> Parsed:
    source = source_of(kind)
    return source.parse(body, headers or {}, SourceShop("nile", source.options()))


def keys(parsed: Parsed) -> list[str]:
    return [draft.event.key for draft in parsed.events]


@pytest.mark.parametrize("page", sorted(path.stem for path in PAGES.glob("*.md")))
def test_the_settings_of_a_page_can_be_used(page: str) -> None:
    for text in blocks(page, "toml"):
        for shop in tomllib.loads(text)["shops"].values():
            for said in shop["sources"].values():
                settings = SourceSettings.model_validate(said)
                assert option_faults(settings.kind, settings.options) == []
                assert not settings.look_up or settings.look_up["kind"] in PLATFORMS


def test_the_bodies_of_the_generic_page_are_all_the_same_happening() -> None:
    shown = blocks("generic", "json")
    assert [keys(parse("generic", body.encode())) for body in shown] == [
        ["nile|1042|order.shipped|1|"],
        *[["nile|1042|order.shipped||"]] * 3,
    ]


def test_the_generic_page_lists_every_event() -> None:
    listed = (PAGES / "generic.md").read_text("utf-8").partition("The events:\n")[2].partition("## A mapping")[0]
    assert re.findall(r"`([a-z_.]+)`", listed) == list(EVENT_KINDS)


@pytest.mark.parametrize(("page", "event"), [("generic", "Shipped"), ("zapier", "Shipped")])
def test_the_calls_of_the_low_code_pages_tell_an_event(page: str, event: str) -> None:
    [call] = [text for text in blocks(page, "sh") if "order__id=" in text]
    words = shlex.split(call.replace("\\\n", " "))
    fields = [words[at + 1] for at, word in enumerate(words) if word == "-d"]
    assert fields[0] == f"event={event}"
    form = {"content-type": "application/x-www-form-urlencoded"}
    [draft] = parse("generic", "&".join(fields).encode(), form).events
    assert (draft.event.key, draft.event.customer.phone) == ("nile|1042|order.shipped||", "+966501234567")


def test_the_fields_of_the_zapier_table_are_known() -> None:
    text = (PAGES / "zapier.md").read_text("utf-8")
    fields = dict(re.findall(r"^\| `([a-z_]+)` \| `([^`]+)`", text, re.MULTILINE))
    [draft] = parse("generic", json.dumps(fields).encode()).events
    assert set(draft.event.model_extra or ()) == set()
    assert draft.event.customer.consent is not None and draft.event.customer.consent.granted


def test_the_body_of_the_sap_page_asks_for_its_order() -> None:
    [body] = blocks("sap", "json")
    [asked] = parse("generic", body.encode()).needs_order
    assert asked == LookUp("3016329", "sap.s4.beh.salesorder.v1.SalesOrder.Created.v1")


def test_the_mapping_of_the_oracle_page_has_no_fault() -> None:
    [text] = blocks("oracle", "yaml")
    mapping, lints = compile_mapping("oracle", yaml.safe_load(text))
    assert lints == []
    assert mapping is not None
    body = {"status_code": "SHIPPED", "header_id": 1, "shipment": {"waybill": "W1"}}
    assert mapping.items(body) == [
        {"event": "order.shipped", "order_id": 1, "shipment": {"tracking_number": "W1"}},
    ]


LIQUID: dict[str, Any] = {
    "entity_id": "3",
    "order_id": "3",
    "increment_id": "000000003",
    "state": "new",
    "status": "pending",
    "store_id": "1",
    "created_at": NOW,
    "updated_at": NOW,
    "grand_total": "48.0000",
    "order_currency_code": "GBP",
    "customer_firstname": "Ella",
    "shippingAddress.telephone": "",
    "shippingAddress.country_id": "",
    "billingAddress.telephone": "07400 123456",
    "billingAddress.country_id": "GB",
}


def test_the_liquid_bodies_of_the_magento_page_are_read() -> None:
    order, shipment = (
        re.sub(r"\{\{ item\.([A-Za-z_.]+) \}\}", lambda match: LIQUID[match[1]], text)
        for text in blocks("magento", "liquid")
    )
    [draft] = parse("magento", order.encode()).events
    assert (draft.event.key, draft.event.customer.phone) == ("nile|3|order.created||", "07400 123456")
    [draft] = parse("magento", shipment.encode()).events
    assert (draft.event.key, draft.joins) == ("nile|3|order.shipped|3|", True)


@pytest.mark.parametrize("kind", ["magento", "adobe_io"])
def test_the_body_to_try_tells_a_new_order(kind: str) -> None:
    assert keys(parse(kind, heredoc(kind))) == ["nile|3|order.created||"]
