"""What a delivery will cost, from dated price tables (config/prices/*.yaml). The provider's bill decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal

import yaml

from notifier.events import NotifierError

Confidence = Literal["high", "medium", "low"]


class InvalidPrices(NotifierError):
    """A price table cannot be used. The message lists every faulty row with what is wrong."""


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one unit. unit: a message, or a segment of an SMS. country "*": wherever no own row exists.

    category: WhatsApp's (utility, marketing), "*" where the provider knows none. valid_from: the first day.
    """

    channel: str
    country: str
    category: str
    unit: Literal["message", "segment"]
    amount: Decimal
    currency: str
    valid_from: date
    confidence: Confidence
    source: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """An amount, and how far to trust it."""

    amount: Decimal
    currency: str
    confidence: Confidence


def estimate(
    prices: Iterable[Price], channel: str, country: str, category: str, segments: int, on: date
) -> Estimate | None:
    """The cost of one delivery on that day, or None where no row covers it.

    The recipient's country goes before "*", the category before "*", the later date before the earlier.
    """
    rows = [
        row
        for row in prices
        if row.channel == channel
        and row.country in (country, "*")
        and row.category in (category, "*")
        and row.valid_from <= on
    ]
    if not rows:
        return None
    row = max(rows, key=lambda row: (row.country != "*", row.category != "*", row.valid_from))
    units = segments if row.unit == "segment" else 1
    return Estimate(row.amount * units, row.currency, row.confidence)


def load_prices(text: str, place: str) -> tuple[Price, ...]:
    """The rows of one YAML table. place: the file's name, for messages.

    Raises InvalidPrices with every fault: amounts are quoted (a float has lost its cents), dates are dates.
    """
    try:
        table = yaml.safe_load(text)
        common = {name: table[name] for name in ("channel", "unit", "currency")}
        rows = list(table["prices"])
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise InvalidPrices(f"{place}: needs channel, unit, currency and a list of prices ({error})") from None
    faults: list[str] = []
    prices: list[Price] = []
    for number, row in enumerate(rows, 1):
        try:
            prices.append(_price({**common, **row}))
        except (KeyError, TypeError, ValueError, InvalidOperation) as error:
            faults.append(f"{place}: price {number}: {_told(error)}")
    if faults:
        raise InvalidPrices("\n".join(faults))
    return tuple(prices)


_CONFIDENCES: Final[tuple[Confidence, ...]] = ("high", "medium", "low")


def _price(row: Mapping[str, Any]) -> Price:
    if not isinstance(row["amount"], str):
        raise ValueError('amount must be quoted, as in "0.0107"')
    if not isinstance(row["valid_from"], date):
        raise ValueError("valid_from must be a date, as in 2026-10-01")
    if not isinstance(row["country"], str):  # YAML reads Norway as "no"
        raise ValueError('country must be a quoted ISO code or "*"')
    if row["unit"] not in ("message", "segment"):
        raise ValueError("unit must be message or segment")
    if row["confidence"] not in _CONFIDENCES:
        raise ValueError("confidence must be high, medium or low")
    amount = Decimal(row["amount"])
    if not amount.is_finite() or amount < 0:
        raise ValueError("amount must be a number, zero or more")
    return Price(
        channel=str(row["channel"]),
        country=row["country"],
        category=str(row.get("category", "*")),
        unit=row["unit"],
        amount=amount,
        currency=str(row["currency"]),
        valid_from=row["valid_from"],
        confidence=row["confidence"],
        source=str(row["source"]),
    )


def _told(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    return "amount must be a number" if isinstance(error, InvalidOperation) else str(error)
