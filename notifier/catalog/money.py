"""Money as a customer reads it: Babel's wording, at a tenth of Babel's price.

Babel needs about 40 µs for one amount, which would be most of a render. Its answer for one (language, currency) always
has the same shape, so we ask once, keep prefix, suffix and separators, and write the digits ourselves. Languages
that group otherwise than by threes (Indian English) go to Babel every time. A test compares the two for any amount.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import NamedTuple

from babel.numbers import format_currency, get_currency_precision

MOST_DIGITS = 20
"""Beyond any sum in any currency. 1E+999999 is a number too, and would be written out to its last zero."""


class Money(NamedTuple):
    """An amount beside its currency (ISO 4217). Amounts are Decimal, never float."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


def decimal(value: object) -> Decimal:
    """A number of the event as Decimal. A float gives its shortest spelling, the best that is left of it.

    Raises ValueError for what is no finite number.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        raise ValueError("is no number")
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError("is no number (write 1234.50, without separators)") from None
    if not number.is_finite() or abs(number.adjusted()) > MOST_DIGITS:
        raise ValueError("is no number that money or goods have")
    return number


def write_money(money: Money, language: str) -> str:
    """The amount with its currency in a language (Babel identifier), rounded to the decimals that the currency has."""
    shape = _shape(language, money.currency)
    if shape is None or money.amount.is_signed():
        return by_babel(money, language)
    digits = f"{money.amount.quantize(shape.quantum):,f}"
    return shape.prefix + digits.translate(shape.separators) + shape.suffix


def by_babel(money: Money, language: str) -> str:
    """Babel's own wording, with the space that CLDR wants between a code and a digit and Babel leaves out (SAR 12)."""
    written = format_currency(money.amount, money.currency, locale=language)
    return re.sub(r"(?<=[^\W\d_])(?=\d)", "\u00a0", written)


class _Shape(NamedTuple):
    prefix: str
    suffix: str
    separators: dict[int, str]
    quantum: Decimal


_PROBE = re.compile(
    r"(?P<prefix>[^0-9]*)1(?P<group>\D)234(?P=group)567(?:(?P<point>\D)0+)?(?P<suffix>[^0-9]*)", re.ASCII
)


@lru_cache(maxsize=1024)
def _shape(language: str, currency: str) -> _Shape | None:
    """How money looks there; None where digits are not ASCII or not always grouped by threes."""
    match = _PROBE.fullmatch(by_babel(Money(Decimal(1234567), currency), language))
    if match is None:
        return None
    group, point = match["group"], match["point"] or "."
    if f"1{group}234" not in by_babel(Money(Decimal(1234), currency), language):
        return None  # a language that leaves four digits together
    quantum = Decimal(1).scaleb(-get_currency_precision(currency))
    return _Shape(match["prefix"], match["suffix"], {ord(","): group, ord("."): point}, quantum)
