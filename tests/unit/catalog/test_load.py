from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from notifier.catalog import CatalogError, UnknownTemplate, load_catalog
from notifier.events import EVENT_KINDS, NotifierError
from tests.unit.catalog.builders import GOOD, SHIPPED, catalog_of, faults_of, parcel


def test_a_file_becomes_a_template(tmp_path: Path) -> None:
    template = parcel(tmp_path)
    assert (template.name, template.category, template.ttl) == ("parcel", "UTILITY", timedelta(hours=6))
    assert template.parameters["number"].source == ("order_number", "order_id")
    assert template.parameters["name"].default_in("en") == "there"
    assert template.locales["en"].buttons[0].url_base == "https://track.example/t/"
    assert template.sms_max_segments == 3


@pytest.mark.parametrize(
    ("written", "ttl"),
    [("30s", timedelta(seconds=30)), ("45m", timedelta(minutes=45)), ("12h", timedelta(hours=12))],
)
def test_a_ttl_is_a_number_and_a_unit(tmp_path: Path, written: str, ttl: timedelta) -> None:
    assert parcel(tmp_path, GOOD.replace("6h", written)).ttl == ttl


SHAPE = [
    (
        "a misspelled key",
        ("    footer:", "    foter:"),
        ["parcel.yaml:22: unknown key foter - did you mean footer?"],
    ),
    (
        "a key like none",
        ("ttl: 6h", "ttl: 6h\nqqqq: 1"),
        [
            "parcel.yaml:4: unknown key qqqq - "
            "the keys here are name, category, parameters, locales, ttl, sms_max_segments"
        ],
    ),
    (
        "keys of parameters and buttons are known as well",
        ("    example: Sara", "    example: Sara\n    exmple: Ana"),
        ["parcel.yaml:10: unknown key exmple - did you mean example?"],
    ),
    (
        "a button with a misspelled key",
        ("        payload: STOP", "        paylaod: x\n        payload: STOP"),
        ["parcel.yaml:29: unknown key paylaod - did you mean payload?"],
    ),
    (
        "no body",
        ("    body: Hi {{name}}, your order {{number}} for {{total}} has left our house.\n", ""),
        ["parcel.yaml:19: locales.en.body is missing - add it"],
    ),
    (
        "a number where text is wanted",
        ("header: On its way", "header: 12"),
        ["parcel.yaml:20: locales.en.header must be text - put it in quotes"],
    ),
    (
        "YAML's yes is no text either",
        ("text: Track", "text: yes"),
        ["parcel.yaml:25: locales.en.buttons.0.text must be text - put it in quotes"],
    ),
    (
        "an empty text",
        ("header: On its way", 'header: " "'),
        ["parcel.yaml:20: locales.en.header is empty - write it, or leave the key out"],
    ),
    (
        "a category that is none",
        ("UTILITY", "UTILTY"),
        ["parcel.yaml:2: category is none of the known words - write 'UTILITY' or 'MARKETING'"],
    ),
    (
        "a ttl without unit",
        ("6h", "360"),
        ["parcel.yaml:3: ttl cannot be read - write a number and a unit: 30s, 45m or 6h"],
    ),
    (
        "a ttl beyond all time",
        ("6h", "9" * 30 + "h"),
        ["parcel.yaml:3: ttl cannot be read - that is longer than time itself: write 30s to 12h"],
    ),
    (
        "half a segment",
        ("ttl: 6h", "ttl: 6h\nsms_max_segments: 0.5"),
        ["parcel.yaml:4: sms_max_segments must be a whole number - write it without quotes"],
    ),
    (
        "no segment",
        ("ttl: 6h", "ttl: 6h\nsms_max_segments: 0"),
        ["parcel.yaml:4: sms_max_segments is too small - write 1 or more"],
    ),
    (
        "one button instead of a list",
        (
            "      - type: quick_reply\n        text: Stop updates\n        payload: STOP_UPDATES:{{number}}\n",
            "      - x\n",
        ),
        ["parcel.yaml:27: locales.en.buttons.1 must be a block of keys - write one `key: text` on each line below it"],
    ),
    (
        "a key twice",
        ("ttl: 6h", "ttl: 6h\nttl: 6h"),
        ["parcel.yaml:4: the key ttl is here twice - keep one of them"],
    ),
]


@pytest.mark.parametrize(("label", "edit", "faults"), SHAPE, ids=[row[0] for row in SHAPE])
def test_a_file_of_another_shape_is_refused_with_its_lines(
    tmp_path: Path, label: str, edit: tuple[str, str], faults: list[str]
) -> None:
    assert edit[0] in GOOD
    assert faults_of(tmp_path, GOOD.replace(*edit, 1)) == faults


def test_a_missing_key_is_told_at_the_block_that_lacks_it(tmp_path: Path) -> None:
    text = GOOD.replace("    example: Sara\n", "").replace("category: UTILITY\n", "")
    assert faults_of(tmp_path, text) == [
        "parcel.yaml:1: category is missing - add it",
        "parcel.yaml:4: parameters.name.example is missing - add it",
    ]


def test_broken_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    assert faults_of(tmp_path, "name: parcel\n  category: [\n") == [
        "parcel.yaml:2: is no YAML: mapping values are not allowed here - "
        "check indentation, colons and quotes around here"
    ]


def test_an_alias_is_refused_even_one_that_holds_itself(tmp_path: Path) -> None:
    assert faults_of(tmp_path, "name: parcel\nparameters: &p\n  a: *p\n")[0] == (
        "parcel.yaml:1: category is missing - add it"
    )
    assert "parcel.yaml:3: is an alias (*name) - write the text out: a template stands alone" in faults_of(
        tmp_path, "name: parcel\nparameters: &p\n  a: *p\n"
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n- b\n", "just words\n"])
def test_a_file_without_keys_is_no_template(tmp_path: Path, text: str) -> None:
    assert faults_of(tmp_path, text) == [
        "parcel.yaml:1: holds no template - start with name:, category:, ttl:, parameters: and locales:"
    ]


def test_a_file_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    (tmp_path / "parcel.yaml").write_bytes("body: não".encode("latin-1"))
    with pytest.raises(CatalogError) as caught:
        load_catalog(tmp_path)
    assert str(caught.value) == (
        "the template catalog has 1 fault:\nparcel.yaml: is not UTF-8 - save it as UTF-8, readable for this user"
    )


def test_the_file_is_called_like_the_template(tmp_path: Path) -> None:
    assert faults_of(tmp_path, GOOD, "order_shipped") == [
        "order_shipped.yaml:1: the file is called order_shipped.yaml - call both parcel, or both order_shipped"
    ]


def test_the_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD.replace("name: parcel", "name: a").replace("6h", "1s"))
    (tmp_path / "b.yaml").write_text(GOOD.replace("name: parcel", "name: b").replace("money", "mony"))
    (tmp_path / "c.yml").write_text(GOOD)
    with pytest.raises(CatalogError) as caught:
        load_catalog(tmp_path)
    assert isinstance(caught.value, NotifierError)
    assert str(caught.value).splitlines() == [
        "the template catalog has 3 faults:",
        "a.yaml:3: Meta takes 30 seconds to 12 hours for UTILITY - write ttl: 30s to 12h",
        "b.yaml:15: unknown format mony - did you mean money?",
        "c.yml: ends in .yml and would be passed over - rename it to c.yaml",
    ]


def test_a_folder_that_is_none_or_empty_is_told(tmp_path: Path) -> None:
    for folder, problem in ((tmp_path / "nowhere", "is no folder"), (tmp_path, "holds no template")):
        with pytest.raises(CatalogError, match=problem) as caught:
            load_catalog(folder)
        assert caught.value.faults[0].line == 0


def test_an_unknown_template_names_the_nearest(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, GOOD)
    with pytest.raises(UnknownTemplate) as caught:
        catalog.get("parcle")
    assert str(caught.value) == "no template is called 'parcle': did you mean parcel?"
    assert caught.value.nearest == "parcel"
    with pytest.raises(UnknownTemplate, match="see config/templates for the names"):
        catalog.get("zzzz")


def test_the_shipped_catalog_tells_every_order_event_that_a_shop_notifies() -> None:
    templates = load_catalog(SHIPPED).templates
    assert sorted(templates) == [
        "attempt_failed",
        "cod_confirmation",
        "order_cancelled",
        "order_confirmed",
        "order_created",
        "order_delivered",
        "order_on_hold",
        "order_partially_refunded",
        "order_partially_shipped",
        "order_processing",
        "order_refunded",
        "order_shipped",
        "out_for_delivery",
        "payment_failed",
        "payment_pending",
        "payment_received",
        "ready_for_pickup",
        "review_request",
        "shipment_delayed",
    ]
    events = {kind.replace(".", "_") for kind in EVENT_KINDS} | {kind.partition(".")[2] for kind in EVENT_KINDS}
    assert set(templates) <= events


def test_the_shipped_catalog_speaks_three_languages_and_takes_a_stop() -> None:
    for template in load_catalog(SHIPPED).templates.values():
        assert list(template.locales) == ["ar", "en", "pt_BR"]
        assert (template.ttl is None) == (template.category == "MARKETING")
        for locale, word in (("ar", "إيقاف"), ("en", "STOP"), ("pt_BR", "SAIR")):
            wording = template.locales[locale]
            assert word in (wording.footer or "")
            # Quick replies beside links cannot be seen on a desktop (whatsapp-cloud-api §3.4).
            assert len({button.type for button in wording.buttons}) == 1


def test_stop_buttons_and_cash_on_delivery_answers_have_their_payloads() -> None:
    templates = load_catalog(SHIPPED).templates
    payloads = {name: [button.payload for button in t.locales["ar"].buttons] for name, t in templates.items()}
    assert payloads["cod_confirmation"] == ["COD_CONFIRM:{{order_id}}", "COD_CANCEL:{{order_id}}"]
    assert sorted(name for name, found in payloads.items() if found == ["STOP_UPDATES:{{order_id}}"]) == [
        "order_confirmed",
        "order_delivered",
        "order_on_hold",
        "order_processing",
        "out_for_delivery",
        "payment_received",
        "ready_for_pickup",
    ]
