"""A mapping reads anybody's JSON; one with a fault is refused when it loads, with file, line and remedy."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.events import NotifierError
from notifier.mappings import MappingError, load_mappings, with_mapping
from notifier.sources import source_of
from notifier.sources.contract import Malformed, Parsed, SourceOptions, SourceShop
from notifier.sources.generic import GenericOptions
from notifier.sources.mapping import FIELDS

CONFIG = Path(__file__).parents[3] / "config"
GENERIC = source_of("generic")

GOOD = """\
each: orders[]
where: kind == 'SO'
fields:
  event: {from: state, values: {S: order.shipped, D: ignore}}
  order_id: number
  customer.phone: not_null(mobile, phone)
  customer.country: {value: SA}
  order.total: gross
  vars.branch: branch.name
"""


def mapped(folder: Path, text: str, body: Any) -> Parsed:
    (folder / "mappings").mkdir(exist_ok=True)
    (folder / "mappings" / "erp.yaml").write_text(text, "utf-8")
    shop = with_mapping(SourceShop("nile", GenericOptions(mapping="erp")), load_mappings(folder))
    return GENERIC.parse(json.dumps(body).encode(), {}, shop)


def events(parsed: Parsed) -> list[dict[str, Any]]:
    return [draft.event.model_dump(mode="json", exclude_defaults=True) for draft in parsed.events]


def test_each_item_that_counts_becomes_an_event(tmp_path: Path) -> None:
    shipped = {
        "kind": "SO",
        "state": "S",
        "number": 7,
        "phone": "0501234567",
        "gross": "12.50",
        "branch": {"name": "Jeddah"},
    }
    body = {"orders": [shipped, {"kind": "PO", "state": "S", "number": 8}, {"kind": "SO", "state": "D"}]}
    assert events(mapped(tmp_path, GOOD, body)) == [
        {
            "shop": "nile",
            "event": "order.shipped",
            "order_id": "7",
            "customer": {"phone": "0501234567", "country": "SA"},
            "order": {"total": "12.50"},
            "vars": {"branch": "Jeddah"},
        }
    ]


def test_what_a_mapping_ignores_is_said(tmp_path: Path) -> None:
    parsed = mapped(tmp_path, GOOD, {"orders": [{"kind": "SO", "state": "?"}]})
    assert parsed == Parsed(ignored="the mapping erp ignores it")


def test_an_item_that_is_ignored_need_not_be_readable_otherwise(tmp_path: Path) -> None:
    text = "fields:\n  order_id: join('-', number)\n  event: {from: state, values: {S: order.shipped}}\n"
    assert mapped(tmp_path, text, {"state": "X", "number": 5}).ignored == "the mapping erp ignores it"
    with pytest.raises(Malformed, match="expected what `order_id` of mapping erp can read, got an object"):
        mapped(tmp_path, text, {"state": "S", "number": 5})


def test_defaults_stand_in_for_what_is_missing_or_in_no_table(tmp_path: Path) -> None:
    text = GOOD + "  customer.locale: {from: lang, values: {A: ar}, default: en}\n"
    bodies = [{"kind": "SO", "state": "S", "number": 1, "lang": lang} for lang in ("A", "Z", None)]
    found = events(mapped(tmp_path, text, {"orders": bodies}))
    assert [one["customer"]["locale"] for one in found] == ["ar", "en", "en"]


def test_numbers_and_truth_values_are_words_of_a_table_as_json_writes_them(tmp_path: Path) -> None:
    text = 'fields:\n  order_id: number\n  event: {from: s, values: {"30": order.shipped, "true": order.delivered}}\n'
    assert [one["event"] for s in (30, True) for one in events(mapped(tmp_path, text, {"number": 1, "s": s}))] == [
        "order.shipped",
        "order.delivered",
    ]


FAULTS = [
    ("no fields", "each: orders[]\n", ":1: fields: there are no fields - write `fields:`"),
    ("a typo at the top", "eech: x\n" + GOOD, ":1: eech: there is no eech here - did you mean each?"),
    ("a field that is none", GOOD + "  custmer.phone: p\n", ":10: fields.custmer.phone: an order event has no field"),
    (
        "a typo in an event",
        GOOD.replace("order.shipped", "order.shiped"),
        ":4: fields.event.values.S: no event is called",
    ),
    ("an expression", GOOD.replace("gross", "gross["), ":8: fields.order.total: is no JMESPath"),
    (
        "a missing field",
        GOOD.replace("  order_id: number\n", ""),
        ":3: fields: order_id is missing - every order event needs",
    ),
    ("two sources", GOOD.replace("{value: SA}", "{value: SA, from: x}"), ":7: fields.customer.country: has both"),
    ("a typo in a rule", GOOD.replace("{value: SA}", "{value: SA, defalt: x}"), "there is no defalt here"),
    (
        "a table that is none",
        GOOD.replace("{value: SA}", "{from: x, values: 5}"),
        "fields.customer.country.values: is no",
    ),
    ("a word of YAML's own", GOOD.replace("number", "no"), ":5: fields.order_id: is no text - put the expression into"),
    ("no YAML", "fields: [", ":1: is no YAML"),
    ("a key twice", GOOD + "  order_id: x\n", ":10: fields.order_id: the key order_id is here twice"),
]


@pytest.mark.parametrize(("label", "text", "says"), FAULTS, ids=[row[0] for row in FAULTS])
def test_a_fault_has_its_file_and_line(tmp_path: Path, label: str, text: str, says: str) -> None:
    with pytest.raises(MappingError) as caught:
        mapped(tmp_path, text, {})
    assert "erp.yaml" + says in str(caught.value) or says in str(caught.value)
    assert all(fault.file.endswith("erp.yaml") and fault.line for fault in caught.value.faults)


def test_every_fault_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "mappings"
    folder.mkdir()
    (folder / "a.yaml").write_text("fields: {event: '[', order_id: '['}")
    (folder / "b.yaml").write_bytes(b"\xff")
    with pytest.raises(MappingError, match="the mappings have 3 faults") as caught:
        load_mappings(tmp_path)
    assert [Path(fault.file).name for fault in caught.value.faults] == ["a.yaml", "a.yaml", "b.yaml"]


def test_a_folder_without_mappings_has_none(tmp_path: Path) -> None:
    assert load_mappings(tmp_path) == {}


def test_a_source_that_names_another_mapping_is_told_which_there_are() -> None:
    with pytest.raises(NotifierError, match="no mapping is called erp; config/mappings has example_erp"):
        with_mapping(SourceShop("nile", GenericOptions(mapping="erp")), load_mappings(CONFIG))
    with pytest.raises(Malformed, match="expected the mapping erp, got none of that name"):
        GENERIC.parse(b"{}", {}, SourceShop("nile", GenericOptions(mapping="erp")))


def test_shops_without_a_mapping_are_left_alone() -> None:
    for options in (SourceOptions(), GenericOptions()):
        assert with_mapping(SourceShop("nile", options), {}) == SourceShop("nile", options)


def test_the_shipped_example_reads_the_body_of_its_page() -> None:
    shop = with_mapping(SourceShop("nile", GenericOptions(mapping="example_erp")), load_mappings(CONFIG))
    line = {"text": "Lamp", "qty": 1, "material": "L-1"}
    document = {
        "doc_type": "SO",
        "doc_no": "55",
        "status": "30",
        "changed_at": "2026-11-05 10:00:00",
        "currency": "EUR",
        "gross": 10.5,
        "ship_to": {"mobile": "+491700000000", "country": "DE", "language": "D", "name": "Eva"},
        "lines": [line],
        "parcels": [{"id": 1, "carrier": "DHL", "tracking": "T1"}],
    }
    [event] = events(GENERIC.parse(json.dumps({"documents": [document]}).encode(), {}, shop))
    assert event == {
        "shop": "nile",
        "event": "order.shipped",
        "order_id": "55",
        "order_number": "55",
        "occurred_at": "2026-11-05T10:00:00Z",
        "customer": {"phone": "+491700000000", "country": "DE", "locale": "de", "name": "Eva"},
        "order": {"total": "10.5", "currency": "EUR", "items": [{"name": "Lamp", "quantity": 1, "sku": "L-1"}]},
        "shipment": {"id": "1", "carrier": "DHL", "tracking_number": "T1"},
    }


def test_what_a_mapping_may_fill_is_what_an_event_has() -> None:
    from notifier.catalog.sources import SOURCES as PLACES

    consent = {f"customer.consent.{name}" for name in ("granted", "channel", "purpose", "at")}
    known = set(PLACES) | consent | {"id", "order.items", "revision"}
    assert set(FIELDS) <= known


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(["documents", "doc_type", "status", "doc_no", "ship_to", "mobile", "lines", "parcels"]),
                x,
            )
        ),
    )
)
def test_any_json_is_events_or_malformed(body: Any) -> None:
    shop = with_mapping(SourceShop("nile", GenericOptions(mapping="example_erp")), load_mappings(CONFIG))
    with suppress(Malformed):
        GENERIC.parse(
            json.dumps({"documents": [{"doc_type": "SO", "status": "30", "ship_to": body}]}).encode(), {}, shop
        )
        GENERIC.parse(json.dumps({"documents": body}).encode(), {}, shop)
