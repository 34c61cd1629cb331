from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.catalog.formats import FORMATS, Reading
from notifier.catalog.money import Money, by_babel, decimal, write_money

EN, AR, PT = Reading("en", "Asia/Riyadh"), Reading("ar", "Asia/Riyadh"), Reading("pt_BR", "America/Sao_Paulo")


@pytest.mark.parametrize(
    ("amount", "currency", "language", "written"),
    [
        ("1234.5", "SAR", "en", "SAR\u00a01,234.50"),
        ("1234.5", "SAR", "ar", "\u200f1,234.50\u00a0ر.س.\u200f"),
        ("1234.5", "SAR", "pt_BR", "SAR\u00a01.234,50"),
        ("0", "BRL", "pt_BR", "R$\u00a00,00"),
        ("199.9", "BRL", "pt_BR", "R$\u00a0199,90"),
        ("19.99", "GBP", "en", "£19.99"),
        ("19.99", "GBP", "en_GB", "£19.99"),
        ("123456", "INR", "en_IN", "₹1,23,456.00"),
        ("12.3456", "KWD", "en", "KWD\u00a012.346"),
        ("12.5", "JPY", "en", "¥12"),
        ("-5", "GBP", "en", "-£5.00"),
        ("-5", "SAR", "en", "-SAR\u00a05.00"),
        ("1234.5", "EUR", "pt_PT", "1\u00a0234,50\u00a0€"),
    ],
)
def test_money_reads_as_the_language_and_the_currency_want(
    amount: str, currency: str, language: str, written: str
) -> None:
    assert write_money(Money(Decimal(amount), currency), language) == written


@given(
    st.decimals(min_value=-(10**17), max_value=10**17, allow_nan=False, allow_infinity=False, places=4),
    st.sampled_from(["SAR", "AED", "EGP", "INR", "BRL", "GBP", "KWD", "JPY", "XXX"]),
    st.sampled_from(["en", "en_IN", "en_GB", "ar", "ar_EG", "pt_BR", "pt_PT", "es", "hi", "de_CH", "fa", "fr"]),
)
def test_money_is_written_exactly_as_babel_writes_it(amount: Decimal, currency: str, language: str) -> None:
    money = Money(amount, currency)
    assert write_money(money, language) == by_babel(money, language)


def test_a_float_keeps_the_cents_that_it_shows() -> None:
    assert decimal(0.1) == Decimal("0.1")
    assert decimal(" 12.50 ") == Decimal("12.50")


@pytest.mark.parametrize("value", ["12,50", "", "NaN", "Infinity", "1E+999999", True, None, [1], {"amount": 1}])
def test_what_is_no_amount_is_refused_without_repeating_it(value: object) -> None:
    with pytest.raises(ValueError, match=r"^is no number") as caught:
        decimal(value)
    assert "12,50" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "reading", "written"),
    [
        ("date", "2026-11-24T14:05:00Z", EN, "Tue, Nov 24"),
        ("date", "2026-11-24T14:05:00Z", AR, "الثلاثاء، 24 نوفمبر"),
        ("date", "2026-11-24T14:05:00Z", PT, "ter., 24 de novembro"),
        ("date", "2026-11-24T14:05:00Z", Reading("en_GB", "Europe/London"), "Tue 24 Nov"),
        ("date", "2026-11-24T23:30:00Z", EN, "Wed, Nov 25"),
        ("date", "2026-11-24", PT, "ter., 24 de novembro"),
        ("date", date(2026, 11, 24), EN, "Tue, Nov 24"),
        ("date", datetime(2026, 11, 24, 1, tzinfo=UTC), PT, "seg., 23 de novembro"),
        ("date", 1795529100, EN, "Tue, Nov 24"),
        ("date", 1795529100000, EN, "Tue, Nov 24"),
        ("datetime", "2026-11-24T14:05:00Z", EN, "Tue, Nov 24, 5:05\u202fPM"),
        ("datetime", "2026-11-24T14:05:00Z", AR, "الثلاثاء، 24 نوفمبر، 5:05 م"),
        ("datetime", "2026-11-24T14:05:00Z", PT, "ter., 24 de novembro 11:05"),
        ("datetime", "2026-11-24T14:05:00-03:00", PT, "ter., 24 de novembro 14:05"),
        ("number", "1234567.5", EN, "1,234,567.5"),
        ("number", 1234567, AR, "1,234,567"),
        ("number", 1234.5, PT, "1.234,5"),
        ("text", "  Rua\tdas\n\nFlores  ", PT, "Rua das Flores"),
        ("text", "A\u202eB\x00C", EN, "ABC"),
        ("text", "a" * 161, EN, "a" * 159 + "…"),
    ],
)
def test_a_value_reads_as_its_format_says(name: str, value: object, reading: Reading, written: str) -> None:
    assert FORMATS[name].write(value, reading) == written


@pytest.mark.parametrize(
    ("name", "value", "reading", "reason"),
    [
        ("date", "next Tuesday", EN, "is no date or time"),
        ("date", True, EN, "is no date or time"),
        ("date", "2026-11-24T14:05:00", EN, "is a time without a zone"),
        ("date", "2026-11-24T14:05:00Z", Reading("en", "Mars/Olympus"), "cannot be told in the recipient's time zone"),
        ("number", "many", EN, "is no number"),
        ("money", "12.50", EN, "is no amount with a currency"),
        ("text", ["a"], EN, "is a group of values, not one"),
    ],
)
def test_a_value_that_cannot_be_read_is_refused_with_the_reason(
    name: str, value: object, reading: Reading, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        FORMATS[name].write(value, reading)


@pytest.mark.parametrize(
    ("full", "first"),
    [
        ("Sara Ahmed", "Sara"),
        ("  MARIA DA SILVA ", "Maria"),
        ("joão", "João"),
        ("McKenna Reid", "McKenna"),
        ("Dr. Ana-Maria Costa", "Ana-Maria"),
        ("o'brien", "O'Brien"),
        ("عبد الله المطيري", "عبد الله"),
        ("نور الدين", "نور الدين"),
        ("السيدة سارة محمد", "سارة"),
        ("سارة", "سارة"),
        ("Abdul Rahman", "Abdul Rahman"),
        ("प्रिया शर्मा", "प्रिया"),
        ("Dr.", "Dr"),
        (".", ""),
        ("", ""),
        ("0501234567", ""),
        ("https://evil.example/win Sara", ""),
        ("evil.example", ""),
        ("sara@shop.example", ""),
        ("A" * 31, ""),
    ],
)
def test_the_first_name_is_one_to_greet_with_or_nothing(full: str, first: str) -> None:
    assert FORMATS["first_name"].write(full, EN) == first
