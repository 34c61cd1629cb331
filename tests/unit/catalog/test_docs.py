from __future__ import annotations

import re
from pathlib import Path

import pytest

from notifier.catalog import creation_payload, load_catalog, pick_locale
from notifier.catalog.formats import formats_table
from notifier.catalog.sms import encoding_of
from notifier.catalog.sources import sources_table
from tests.unit.catalog.builders import SHIPPED, catalog_of, faults_of

PAGE = (Path(__file__).parents[3] / "docs" / "templates.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("name", "table"), [("formats", formats_table()), ("sources", sources_table())])
def test_a_table_of_the_page_is_the_one_that_the_code_makes(name: str, table: str) -> None:
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", PAGE, re.DOTALL)
    assert found is not None
    assert found[1] == table


def test_the_template_of_the_page_loads_and_is_approved_as_it_stands(tmp_path: Path) -> None:
    template = catalog_of(tmp_path, _blocks("yaml")[0], "parcel_left").get("parcel_left")
    assert [creation_payload(template, locale)["language"] for locale in template.locales] == ["en", "pt_BR"]
    assert pick_locale(template, "pt-PT", "en") == "pt_BR"


def test_the_faults_of_the_page_are_the_ones_that_are_told(tmp_path: Path) -> None:
    (broken,) = (block for block in _blocks("yaml") if block.startswith("# broken"))
    told = faults_of(tmp_path, broken, "parcel_left")
    assert _blocks("text")[0].splitlines() == ["the template catalog has 3 faults:", *told]


def test_the_snippet_of_the_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SHIPPED.parents[1])
    names: dict[str, object] = {}
    exec(_blocks("python")[0], names)
    assert names["payload"] == creation_payload(load_catalog(SHIPPED).get("order_shipped"), "pt_BR")


def test_the_letters_of_the_page_are_in_and_outside_as_it_says() -> None:
    found = re.search(r"in Portuguese `([^`]+)`;\ninside are `([^`]+)`", PAGE)
    assert found is not None
    assert {encoding_of(letter) for letter in found[1].split()} == {"ucs2"}
    assert {encoding_of(letter) for letter in found[2].split()} == {"gsm7"}


def test_the_shipped_variables_of_the_page_are_those_of_the_templates() -> None:
    told = set(re.findall(r"`(vars\.[a-z_]+)`", PAGE[PAGE.index("The shipped templates read") :]))
    templates = load_catalog(SHIPPED).templates.values()
    used = {source for t in templates for p in t.parameters.values() for source in p.source if source[:4] == "vars"}
    assert told == used
