"""Formats: how a value of an order event reads in the customer's language.

A format turns one value into text; "" means that there is nothing to show, and the parameter's default stands in.
What cannot be read raises ValueError with words that never repeat the value. No clock, no settings; Babel's data only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache, lru_cache
from typing import Literal, NamedTuple, cast
from zoneinfo import ZoneInfo

import babel
from babel.dates import DateTimePattern, format_time, match_skeleton
from babel.numbers import format_decimal

from notifier.catalog.money import Money, decimal, write_money

Takes = Literal["text", "amount", "time"]
"""What a format can read. `text` reads anything; the others need an amount or a point in time (or free `vars`)."""

LONGEST_VALUE = 160
"""Characters of one value. A body may have 1,024 after filling (Meta answers 132005 above): one runaway value must
not cost the customer the message. Nothing that identifies an order comes near it."""


class Reading(NamedTuple):
    """For whom a value is written. language: a Babel identifier (ar_EG); timezone: an IANA name."""

    language: str
    timezone: str


@dataclass(frozen=True, slots=True)
class Format:
    """A row of the table: what it takes, how it writes, what it is for, and a value to show it with."""

    takes: Takes
    write: Callable[[object, Reading], str]
    purpose: str
    sample: object


def text(value: object, reading: Reading) -> str:
    """Any value as one line: Meta refuses newlines, tabs and runs of spaces in parameters (whatsapp-cloud-api §1.2)."""
    line = one_line(value)
    return line if len(line) <= LONGEST_VALUE else line[: LONGEST_VALUE - 1].rstrip() + "…"


# Names of two words whose first alone is another name, or none. Arabic: servant of, father of, mother of.
_JOINED_TO_NEXT = frozenset(["عبد", "أبو", "ابو", "أم", "ام", "abd", "abdul", "abdel", "abdal", "abu", "abou", "umm"])
_JOINED_TO_PREVIOUS = frozenset(["الله", "الدين", "الرحمن", "allah", "eldin", "aldin", "el-din", "al-din"])
_LATIN_TITLES = frozenset(["mr", "mrs", "ms", "miss", "dr", "prof", "eng", "sr", "sra", "srta", "dra"])
_TITLES = _LATIN_TITLES | frozenset(["السيد", "السيدة", "الأستاذ", "الأستاذة", "د", "م", "أ"])
_INSIDE_NAMES = frozenset("'’-\u200c\u200d")
_LONGEST_NAME = 30


def first_name(value: object, reading: Reading) -> str:
    """The first name of a full name, to greet with; "" when it is no name.

    Names come from a form that anybody can fill in: links, numbers and addresses are not repeated to a customer.
    """
    words = [word.strip(".,،") for word in one_line(value).split()]
    while len(words) > 1 and words[0].casefold() in _TITLES:
        words = words[1:]
    if not words or not _is_name(words[0]):
        return ""
    name = words[0]
    if len(words) > 1 and _is_name(words[1]) and _belong_together(words[0], words[1]):
        name = f"{words[0]} {words[1]}"
    return name.title() if name.isupper() or name.islower() else name


def _is_name(word: str) -> bool:
    """Letters and their marks only, of any script, and what stands inside names: O'Brien, Ana-Maria."""
    if not word or len(word) > _LONGEST_NAME or not word[0].isalpha():
        return False
    return word.isalpha() or all(unicodedata.category(letter)[0] in "LM" or letter in _INSIDE_NAMES for letter in word)


def _belong_together(first: str, second: str) -> bool:
    return first.casefold() in _JOINED_TO_NEXT or second.casefold() in _JOINED_TO_PREVIOUS


def money(value: object, reading: Reading) -> str:
    """An amount with its currency: two, three or no decimals as the currency has them."""
    if not isinstance(value, Money):
        raise ValueError("is no amount with a currency")
    return write_money(value, reading.language)


def number(value: object, reading: Reading) -> str:
    """A number with the language's separators."""
    return format_decimal(decimal(value), locale=_babel(reading.language))


def day(value: object, reading: Reading) -> str:
    """Weekday, day and month in the recipient's time zone. No year: an order's dates are near."""
    return _weekday(_local(value, reading.timezone), reading.language)


def day_and_time(value: object, reading: Reading) -> str:
    """Weekday, day, month and time in the recipient's time zone."""
    local, locale = _local(value, reading.timezone), _babel(reading.language)
    clock = format_time(local, "short", locale=locale)
    return str(locale.datetime_formats["medium"]).format(clock, _weekday(local, reading.language))


def _weekday(local: datetime, language: str) -> str:
    return _weekday_of(local.date(), language)


@lru_cache(maxsize=4096)
def _weekday_of(day: date, language: str) -> str:
    """Kept: the parcels of a day arrive within a handful of days, and Babel takes 30 us for each date."""
    return str(_weekday_pattern(language).apply(day, _babel(language)))


@cache
def _weekday_pattern(language: str) -> DateTimePattern:
    """Looked for once a language: Babel compares all skeletons each time, which was an eighth of a drain's work."""
    known = _babel(language).datetime_skeletons
    name = "MMMMEd" if "MMMMEd" in known else match_skeleton("MMMMEd", known)
    return cast("DateTimePattern", known[name])


def _local(value: object, timezone: str) -> datetime:
    """A point in time on the recipient's wall. A plain date has no zone and is not moved."""
    moment = _moment(value)
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time(), UTC)
    if moment.tzinfo is None:
        raise ValueError("is a time without a zone (write 2026-11-24T14:00:00+03:00)")
    try:
        return moment.astimezone(ZoneInfo(timezone))
    except (KeyError, ValueError, OSError, OverflowError):
        raise ValueError("cannot be told in the recipient's time zone") from None


_MILLISECONDS_FROM = 20_000_000_000  # above it (the year 2603) a Unix time can only be milliseconds; pydantic agrees


def _moment(value: object) -> datetime | date:
    if isinstance(value, (datetime, date)):
        return value
    try:
        if isinstance(value, str):
            return date.fromisoformat(value) if len(value) == len("2026-11-24") else datetime.fromisoformat(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value if abs(value) < _MILLISECONDS_FROM else value / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise ValueError("is no date or time (write 2026-11-24 or 2026-11-24T14:00:00+03:00)")


FORMATS: Mapping[str, Format] = {
    "text": Format("text", text, "Anything, as one line", "  Salam\nExpress "),
    "first_name": Format(
        "text", first_name, "The first name of a full name; nothing if it is no name", "MARIA DA SILVA"
    ),
    "money": Format("amount", money, "An amount with its currency", Money(Decimal("1234.5"), "SAR")),
    "number": Format("amount", number, "A number", 1234567),
    "date": Format("time", day, "Weekday, day and month, in the recipient's time zone", "2026-11-24T14:05:00Z"),
    "datetime": Format("time", day_and_time, "The same, with the time", "2026-11-24T14:05:00Z"),
}


def formats_table(languages: tuple[str, ...] = ("en", "ar", "pt_BR"), timezone: str = "Asia/Riyadh") -> str:
    """The table of docs/templates.md, in Markdown: every format, and one value in each language."""
    head = ("format", "writes", "from", *languages)
    rows = [head, ("---",) * len(head)]
    for name, row in FORMATS.items():
        shown = (row.write(row.sample, Reading(language, timezone)) for language in languages)
        rows.append((f"`{name}`", row.purpose, f"`{' '.join(str(row.sample).split())}`", *shown))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


@lru_cache(maxsize=256)
def _babel(language: str) -> babel.Locale:
    return babel.Locale.parse(language)


# Control characters, halves of pairs that no encoding takes, and the overrides that turn the rest of a line around.
_UNSEEN = re.compile(r"[\x00-\x08\x0e-\x1b\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def one_line(value: object) -> str:
    """Any single value as one visible line. Raises ValueError for a group of values."""
    # Most texts are fine already, and seeing that is ten times cheaper than the work.
    if type(value) is str and value.isprintable() and "  " not in value and value.strip() == value:
        return value
    if isinstance(value, (Mapping, list, tuple)):
        raise ValueError("is a group of values, not one")
    return " ".join(_UNSEEN.sub("", str(value)).split())
