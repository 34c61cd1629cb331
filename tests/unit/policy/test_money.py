from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from notifier.policy.money import Estimate, InvalidPrices, estimate, load_prices

WHATSAPP = """
channel: whatsapp
unit: message
currency: USD
prices:
  - {country: SA, category: utility, amount: "0.0107", valid_from: 2026-04-01, confidence: high, source: card}
  - {country: SA, category: marketing, amount: "0.0455", valid_from: 2025-07-01, confidence: medium, source: card}
  - {country: SA, category: marketing, amount: "0.0501", valid_from: 2026-04-01, confidence: high, source: card}
  - {country: "*", category: utility, amount: "0.0077", valid_from: 2025-07-01, confidence: low, source: card}
"""
SMS = """
channel: sms
unit: segment
currency: USD
prices:
  - {country: EG, amount: "0.3959", valid_from: 2026-01-01, confidence: medium, source: a list}
"""
PRICES = (*load_prices(WHATSAPP, "whatsapp.yaml"), *load_prices(SMS, "sms.yaml"))


@pytest.mark.parametrize(
    ("label", "channel", "country", "category", "segments", "on", "expected"),
    [
        ("the country's own row", "whatsapp", "SA", "utility", 1, date(2026, 11, 1),
         Estimate(Decimal("0.0107"), "USD", "high")),
        ("the price of that day", "whatsapp", "SA", "marketing", 1, date(2026, 3, 31),
         Estimate(Decimal("0.0455"), "USD", "medium")),
        ("from its first day on", "whatsapp", "SA", "marketing", 1, date(2026, 4, 1),
         Estimate(Decimal("0.0501"), "USD", "high")),
        ("elsewhere", "whatsapp", "PK", "utility", 1, date(2026, 11, 1), Estimate(Decimal("0.0077"), "USD", "low")),
        ("before the country's first row", "whatsapp", "SA", "utility", 1, date(2026, 1, 1),
         Estimate(Decimal("0.0077"), "USD", "low")),
        ("a WhatsApp message has no segments", "whatsapp", "SA", "utility", 3, date(2026, 11, 1),
         Estimate(Decimal("0.0107"), "USD", "high")),
        ("an SMS is paid by the segment", "sms", "EG", "utility", 3, date(2026, 11, 1),
         Estimate(Decimal("1.1877"), "USD", "medium")),
        ("nobody knows", "sms", "SA", "utility", 1, date(2026, 11, 1), None),
        ("before all rows", "whatsapp", "SA", "utility", 1, date(2020, 1, 1), None),
    ],
)  # fmt: skip
def test_a_delivery_costs(
    label: str, channel: str, country: str, category: str, segments: int, on: date, expected: Estimate | None
) -> None:
    assert estimate(PRICES, channel, country, category, segments, on) == expected


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ('{amount: "1", valid_from: 2026-01-01, confidence: high, source: x}', "country is missing"),
        ('{country: SA, amount: 0.1, valid_from: 2026-01-01, confidence: high, source: x}',
         'amount must be quoted, as in "0.0107"'),
        ('{country: SA, amount: "cheap", valid_from: 2026-01-01, confidence: high, source: x}',
         "amount must be a number"),
        ('{country: SA, amount: "-1", valid_from: 2026-01-01, confidence: high, source: x}',
         "amount must be a number, zero or more"),
        ('{country: SA, amount: "NaN", valid_from: 2026-01-01, confidence: high, source: x}',
         "amount must be a number, zero or more"),
        ('{country: SA, amount: "1", valid_from: "soon", confidence: high, source: x}',
         "valid_from must be a date, as in 2026-10-01"),
        ('{country: NO, amount: "1", valid_from: 2026-01-01, confidence: high, source: x}',
         'country must be a quoted ISO code or "*"'),
        ('{country: SA, amount: "1", valid_from: 2026-01-01, confidence: sure, source: x}',
         "confidence must be high, medium or low"),
        ('{country: SA, amount: "1", valid_from: 2026-01-01, confidence: high}', "source is missing"),
        ('{country: SA, amount: "1", valid_from: 2026-01-01, confidence: high, source: x, unit: letter}',
         "unit must be message or segment"),
    ],
)  # fmt: skip
def test_a_faulty_row_is_refused_with_its_place_and_rule(row: str, fault: str) -> None:
    with pytest.raises(InvalidPrices) as refused:
        load_prices(f"{SMS}  - {row}\n", "sms.yaml")
    assert str(refused.value) == f"sms.yaml: price 2: {fault}"


def test_all_faults_come_at_once() -> None:
    with pytest.raises(InvalidPrices) as refused:
        load_prices(SMS.replace("medium", "sure") + "  - {}\n", "sms.yaml")
    assert len(str(refused.value).splitlines()) == 2


@pytest.mark.parametrize("text", ["", "prices: []", "[]", "channel: [", "channel: sms\nunit: segment\ncurrency: USD\n"])
def test_what_is_no_table_is_refused(text: str) -> None:
    with pytest.raises(InvalidPrices, match=r"^prices\.yaml: needs channel, unit, currency and a list of prices"):
        load_prices(text, "prices.yaml")


CONFIG = Path(__file__).parents[3] / "config" / "prices"


@pytest.mark.parametrize("country", ["SA", "AE", "EG", "IN", "BR", "GB", "US"])
def test_the_shipped_tables_cover_the_countries_of_the_samples(country: str) -> None:
    prices = [row for path in CONFIG.glob("*.yaml") for row in load_prices(path.read_text(), path.name)]
    on = date(2026, 11, 20)
    whatsapp = estimate(prices, "whatsapp", country, "utility", 1, on)
    sms = estimate(prices, "sms", country, "utility", 1, on)
    assert whatsapp is not None
    assert sms is not None
    assert whatsapp.amount < sms.amount  # the reason why WhatsApp comes first
