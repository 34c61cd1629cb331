from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.catalog import Catalog, RenderError, load_catalog, render_template, render_text
from notifier.channels.contract import Button, TemplateMessage, TextMessage
from tests.unit.catalog.builders import GOOD, SHIPPED, facts, parcel

FULL: dict[str, Any] = {
    "order_number": "#1001-A",
    "customer": {"name": "Sara Ahmed", "locale": "en-GB", "phone": "+966500000000"},
    "order": {"total": "1234.50", "currency": "SAR"},
    "shipment": {"carrier": "Aramex", "tracking_number": "LX482", "eta": "2026-11-24T14:00:00Z"},
    "refund": {"amount": "60", "currency": "SAR"},
    "links": {"order_status": "https://track.example/orders/ab12?key=x"},
    "vars": {"window": "14:00-18:00", "reason": "address", "pickup_point": "Olaya", "pickup_code": "4685"},
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(SHIPPED)


EVERY = [(path.stem, locale) for path in sorted(SHIPPED.glob("*.yaml")) for locale in ("ar", "en", "pt_BR")]


@pytest.mark.parametrize(("name", "locale"), EVERY)
def test_every_template_renders_with_all_that_an_event_can_hold(catalog: Catalog, name: str, locale: str) -> None:
    message = render_template(catalog.get(name), locale, facts(**FULL))
    assert (message.template, message.language) == (name, locale)
    assert all(value for _, value in (*message.header, *message.body))
    assert all(button.value for button in message.buttons)
    assert "#1001-A" in message.text
    assert "Jasmine Store" in message.text
    assert "{{" not in message.text


@pytest.mark.parametrize(("name", "locale"), EVERY)
def test_every_template_renders_without_an_empty_value_from_an_event_that_holds_next_to_nothing(
    catalog: Catalog, name: str, locale: str
) -> None:
    message = render_template(catalog.get(name), locale, facts(customer={"name": " "}, order=None, vars={}))
    assert all(value.strip() for _, value in (*message.header, *message.body))
    assert all(button.value for button in message.buttons)
    assert "5551" in message.text
    assert "5551" in render_text(catalog.get(name), locale, facts()).text


@pytest.mark.parametrize(("name", "locale"), EVERY)
def test_every_sms_names_shop_and_order_and_stays_small(catalog: Catalog, name: str, locale: str) -> None:
    shop = {"ar": "متجر الياسمين", "en": "Jasmine Store", "pt_BR": "Loja Jasmim"}[locale]
    for event in (FULL, {"order_number": "Q-20446"}):
        message = render_text(catalog.get(name), locale, facts(shop_name=shop, **event))
        assert shop in message.text
        assert event["order_number"] in message.text
        assert (message.encoding, message.segments) in [("gsm7", 1), ("ucs2", 1), ("ucs2", 2)]
        assert message.encoding == ("ucs2" if locale == "ar" else "gsm7")


def test_a_template_message_holds_names_values_buttons_and_what_the_customer_reads(tmp_path: Path) -> None:
    message = render_template(parcel(tmp_path), "en", facts(**FULL))
    assert message == TemplateMessage(
        template="parcel",
        language="en",
        header=(),
        body=(("name", "Sara"), ("number", "#1001-A"), ("total", "SAR\u00a01,234.50")),
        buttons=(Button(0, "url", "%231001-A"), Button(1, "quick_reply", "STOP_UPDATES:#1001-A")),
        text=(
            "On its way\n\n"
            "Hi Sara, your order #1001-A for SAR\u00a01,234.50 has left our house.\n\n"
            "Reply STOP to stop.\n\n"
            "[Track]\n[Stop updates]"
        ),
    )


def test_a_text_message_is_spelled_for_gsm_and_measured(tmp_path: Path) -> None:
    text = "Order #1001-A has left our house. Total: SAR 1,234.50."
    assert render_text(parcel(tmp_path), "en", facts(**FULL)) == TextMessage(text, 1, "gsm7")


def test_a_header_has_its_variable(tmp_path: Path) -> None:
    template = parcel(tmp_path, GOOD.replace("header: On its way", 'header: "Order {{number}}"'))
    assert render_template(template, "en", facts()).header == (("number", "5551"),)


def test_a_button_without_a_variable_takes_no_value(tmp_path: Path) -> None:
    template = parcel(tmp_path, GOOD.replace("t/{{number}}", "help"))
    assert [button.index for button in render_template(template, "en", facts()).buttons] == [1]


def test_percent_signs_of_a_wording_stay(tmp_path: Path) -> None:
    template = parcel(tmp_path, GOOD.replace("has left our house.\n", "has left, 100 %s sure.\n"))
    assert "100 %s sure" in render_template(template, "en", facts()).text


@pytest.mark.parametrize(
    ("label", "links", "suffix"),
    [
        (
            "a link of ours loses the approved part",
            {"tracking": "https://track.example/t/ab/1?k=ü|x"},
            "ab/1?k=%C3%BC%7Cx",
        ),
        ("the link of another host is of no use", {"tracking": "https://carrier.example/LX1"}, "10%2F482"),
        ("nothing after the approved part is nothing", {"tracking": "https://track.example/t/"}, "10%2F482"),
        ("a bare word is taken and encoded", {"tracking": "LX 1:2"}, "LX%201%3A2"),
        ("none", {}, "10%2F482"),
    ],
)
def test_a_url_suffix_fits_behind_the_approved_part(
    tmp_path: Path, label: str, links: dict[str, str], suffix: str
) -> None:
    text = GOOD.replace("[order_number, order_id]", "[links.tracking, order_number, order_id]")
    message = render_template(parcel(tmp_path, text), "en", facts(links=links, order_number="10/482"))
    assert message.buttons[0].value == suffix


def test_a_foreign_word_keeps_its_direction(catalog: Catalog) -> None:
    arabic = dict(render_template(catalog.get("order_shipped"), "ar", facts(shop_name="متجر", **FULL)).body)
    assert arabic["order_number"] == "\u200e#1001-A\u200e"
    assert arabic["shop_name"] == "متجر"
    english = dict(render_template(catalog.get("order_shipped"), "en", facts(shop_name="متجر", **FULL)).body)
    assert english["order_number"] == "#1001-A"
    assert english["shop_name"] == "متجر\u200e"


def test_dates_and_money_follow_the_customers_country_and_zone(catalog: Catalog) -> None:
    event = FULL | {"shipment": {"eta": "2026-11-24T23:30:00Z"}}
    told = dict(render_template(catalog.get("order_shipped"), "en", facts("Europe/London", **event)).body)
    assert told["eta"] == "Tue 24 Nov"
    told = dict(render_template(catalog.get("order_shipped"), "pt_BR", facts("Asia/Riyadh", **event)).body)
    assert told["eta"] == "qua., 25 de novembro"


@pytest.mark.parametrize(
    ("label", "event", "amount"),
    [
        (
            "its own currency",
            {"refund": {"amount": 60, "currency": "AED"}, "order": {"currency": "SAR"}},
            "AED\u00a060.00",
        ),
        ("the order's", {"refund": {"amount": 60.5}, "order": {"currency": "SAR"}}, "SAR\u00a060.50"),
        ("no currency, no guess", {"refund": {"amount": "60"}}, "the full order amount"),
        ("no proper currency", {"refund": {"amount": "60", "currency": "pounds"}}, "the full order amount"),
        ("the next source", {"refund": None, "order": {"total": "90", "currency": "SAR"}}, "SAR\u00a090.00"),
        ("a zero is an amount", {"refund": {"amount": 0, "currency": "SAR"}}, "SAR\u00a00.00"),
    ],
)
def test_an_amount_takes_the_currency_beside_it(
    catalog: Catalog, label: str, event: dict[str, Any], amount: str
) -> None:
    body = dict(render_template(catalog.get("order_refunded"), "en", facts(**event)).body)
    assert body["refund_amount"] == amount


@pytest.mark.parametrize(
    ("label", "locale", "event", "message"),
    [
        ("a locale nobody wrote", "fr", {}, "template order_shipped (fr): no such locale; there are ar, en, pt_BR"),
        (
            "no date",
            "en",
            {"shipment": {"eta": "secret"}},
            "template order_shipped (en), parameter eta: shipment.eta is no date or time "
            "(write 2026-11-24 or 2026-11-24T14:00:00+03:00)",
        ),
        (
            "an order without its id",
            "en",
            {"order_id": None},
            "template order_shipped (en), parameter order_number: "
            "order_number and order_id is missing, and there is no default",
        ),
        (
            "a list for a number",
            "en",
            {"order_number": ["secret"]},
            "template order_shipped (en), parameter order_number: order_number is a group of values, not one",
        ),
    ],
)
def test_what_cannot_be_rendered_says_which_parameter_and_never_the_value(
    catalog: Catalog, label: str, locale: str, event: dict[str, Any], message: str
) -> None:
    with pytest.raises(RenderError) as caught:
        render_template(catalog.get("order_shipped"), locale, facts(**event))
    assert str(caught.value) == message


def test_an_amount_that_is_none_is_refused_in_the_sms_as_well(tmp_path: Path) -> None:
    with pytest.raises(RenderError) as caught:
        render_text(parcel(tmp_path), "en", facts(order={"total": "12,50", "currency": "SAR"}))
    assert (caught.value.parameter, caught.value.template, caught.value.locale) == ("total", "parcel", "en")
    assert caught.value.missing == "order.total is no number (write 1234.50, without separators)"


words = st.text(alphabet="aB19 .,:/%{}\n\t\x00\u00a0\u202e\ud800شé😀", max_size=12)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | words | st.sampled_from(["12.50", "SAR", "2026-11-24"])
)
keys = st.sampled_from(["name", "locale", "total", "amount", "currency", "eta", "carrier", "order_status", "tracking"])
json_values: st.SearchStrategy[Any] = (
    scalars | st.lists(scalars, max_size=2) | st.dictionaries(keys, scalars | st.just([]), max_size=4)
)


@given(st.dictionaries(st.sampled_from(sorted(FULL)), json_values))
def test_any_json_renders_or_is_refused_with_a_render_error(catalog: Catalog, event: dict[str, Any]) -> None:
    for name in ("order_shipped", "order_refunded"):
        try:
            message = render_template(catalog.get(name), "ar", facts(**event))
        except RenderError:
            continue
        assert all(value.strip() for _, value in message.body)
        assert not any(bad in value for _, value in message.body for bad in ("\n", "\t", "     "))
        message.text.encode("utf-8")
