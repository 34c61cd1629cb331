"""Who is to be told: a phone as people write it becomes E.164, country and time zone, or the reason why not.

Phones arrive un-normalised from every platform (platforms-and-sms §0.7): nothing is assumed but the address.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType
from phonenumbers.timezone import time_zones_for_number

from notifier.policy.countries import ALIASES, BY_AREA_CODE, ZONES


class PhoneFault(StrEnum):
    """Why a text is nobody's mobile. Never holds the text: it may be personal data."""

    MISSING = "missing"  # no phone at all: guest and point-of-sale orders, or a permission the platform withholds
    NOT_A_NUMBER = "not_a_number"  # no run of digits that could be one
    NO_COUNTRY = "no_country"  # no international prefix, and no country to dial it in
    NOT_VALID = "not_valid"  # digits, but no number of that country
    NOT_MOBILE = "not_mobile"  # a fixed line, where the country tells the two apart


@dataclass(frozen=True, slots=True)
class Recipient:
    """phone: E.164; country: ISO 3166 of the number, not of the address; timezone: an IANA name."""

    phone: str = field(repr=False)
    country: str
    timezone: str


@dataclass(frozen=True, slots=True)
class NoRecipient:
    """Reason.NO_RECIPIENT, and what exactly is missing."""

    fault: PhoneFault


_REMEMBERED: Final = 16_384  # numbers, about 10 MB: parsing one costs 100-200 µs, and an order has four or five events
_FEWEST_DIGITS: Final = 6  # Less is a house number or an extension
_FEWEST_INTERNATIONAL: Final = 11  # with country code; below it a forgotten + is a guess that could reach a stranger
_RUN: Final = re.compile(r"\+?[\s(]*\+?\d[\d\s().\-\u2010-\u2015\u2212]*")
_MOBILE: Final = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})
# Brazil put a 9 before its mobile numbers (2012-2016); old address books still lack it. Fixed lines begin with 2-5.
_RENUMBERED: Final = {"BR": (re.compile(r"0?(\d\d)([6-9]\d{7})"), r"\g<1>9\g<2>")}


def find_recipient(text: str | None, *countries: str | None) -> Recipient | NoRecipient:
    """The recipient behind a phone as somebody wrote it.

    countries: where it would be dialled without an international prefix, likeliest first (address, then the shop's
    own); ISO codes in any case, unknown ones are passed over.
    """
    if text is None or not text.strip():
        return NoRecipient(PhoneFault.MISSING)
    return _find(text, tuple(filter(None, map(_region, countries))))


def _region(country: str | None) -> str | None:
    code = (country or "").strip().upper()
    code = ALIASES.get(code, code)
    return code if code in ZONES else None


@lru_cache(maxsize=_REMEMBERED)
def _find(text: str, regions: tuple[str, ...]) -> Recipient | NoRecipient:
    written = _written_digits(text)
    if not written:
        return NoRecipient(PhoneFault.NOT_A_NUMBER)
    readings = list(_readings(written, regions))
    if not readings:
        return NoRecipient(PhoneFault.NO_COUNTRY)
    found = next(filter(None, (_parsed(digits, region) for digits, region in readings)), None)
    if found is None:
        return NoRecipient(PhoneFault.NOT_VALID)
    number, kind = found
    country = phonenumbers.region_code_for_number(number) or ""
    if kind not in _MOBILE or country not in ZONES:
        return NoRecipient(PhoneFault.NOT_MOBILE)
    phone = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return Recipient(phone, country, _zone(number, country))


def _written_digits(text: str) -> str:
    """The first run of digits that could be a phone, with its + if it has one; "" if there is none.

    Any script's digits; the marks that turn the writing direction, which copied numbers often carry, are dropped.
    """
    plain = "".join(_ascii(character) for character in unicodedata.normalize("NFKC", text))
    runs = (re.sub(r"[^\d+]", "", run) for run in _RUN.findall(plain))
    return next((run for run in runs if len(run) >= _FEWEST_DIGITS), "")


def _ascii(character: str) -> str:
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    return "" if unicodedata.category(character) == "Cf" else character


def _readings(written: str, regions: tuple[str, ...]) -> Iterator[tuple[str, str | None]]:
    """What the digits may mean, likeliest first: (digits, region to dial them in, None for international)."""
    digits = written.lstrip("+")
    plus = digits != written
    if digits.startswith("00"):
        yield "+" + digits[2:], None
    elif plus and not digits.startswith("0"):
        yield written, None
        return
    for region in regions:
        yield digits, region
        if region in _RENUMBERED and (match := _RENUMBERED[region][0].fullmatch(digits)):
            yield match.expand(_RENUMBERED[region][1]), region
    if len(digits) >= _FEWEST_INTERNATIONAL and not digits.startswith("0"):
        yield "+" + digits, None


def _parsed(digits: str, region: str | None) -> tuple[PhoneNumber, int] | None:
    """A valid number with its type: `number_type` does all that `is_valid_number` does, and both cost 40 us each."""
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return None
    kind = phonenumbers.number_type(number)
    return None if kind == PhoneNumberType.UNKNOWN else (number, kind)


def _zone(number: PhoneNumber, country: str) -> str:
    if country in BY_AREA_CODE:
        zones: tuple[str, ...] = time_zones_for_number(number)
        if len(zones) == 1 and zones[0] != phonenumbers.timezone.UNKNOWN_TIMEZONE:
            return zones[0]
    return ZONES[country]
