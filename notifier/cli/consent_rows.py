"""Consent records as people hand them over: arguments of a command, or rows of a CSV file. Pure."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from notifier.ledger.plans import NewConsent
from notifier.policy.consent import CLOCK_SKEW
from notifier.policy.shop import ShopRules
from notifier.telling.consents import CHANNELS, PURPOSES, BadValue, phone_of, purpose_meant

COLUMNS = ("shop", "phone", "channel", "purpose", "granted", "source", "at")

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is no consent record. problem: names the column and the remedy, never the value (a phone)."""

    line: int
    problem: str


@dataclass(slots=True)
class ReadRows:
    """What a file holds. seen: rows, good and bad."""

    records: list[NewConsent] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)


def read_rows(lines: Iterable[str], shops: Mapping[str, ShopRules], now: datetime) -> ReadRows:
    """Every row of a CSV text with a head. Raises BadValue when the head is not the COLUMNS, in any order."""
    reader = csv.DictReader(lines, strict=True)
    head = [name.strip() for name in reader.fieldnames or ()]
    if sorted(head) != sorted(COLUMNS):
        raise BadValue(f"line 1 must name the columns {','.join(COLUMNS)}")
    reader.fieldnames = head
    found = ReadRows()
    for line, row in _numbered(reader, found):
        try:
            found.records.append(_record(row, shops, now))
        except BadValue as error:
            found.bad.append(BadRow(line, str(error)))
    return found


def _numbered(reader: csv.DictReader[str], found: ReadRows) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The rows with their lines. A broken quote ends the file: nobody knows where the next row begins."""
    rows = iter(reader)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            found.bad.append(BadRow(reader.line_num, f"cannot be read as CSV ({error}); the rest was not looked at"))
            return
        if None in row or None in row.values():
            found.bad.append(BadRow(reader.line_num, f"has not {len(COLUMNS)} columns"))
        else:
            yield reader.line_num, {name: value.strip() for name, value in row.items()}


def _record(row: Mapping[str, str], shops: Mapping[str, ShopRules], now: datetime) -> NewConsent:
    rules = shops.get(row["shop"])
    if rules is None:
        raise BadValue(f"shop: no such shop; there are {', '.join(shops)}")
    granted = _one_of("granted", row["granted"].lower(), _WORDS)
    return NewConsent(
        shop=row["shop"],
        phone=phone_of(row["phone"], rules),
        channel=_word("channel", row["channel"], CHANNELS),
        purpose=purpose_meant(_word("purpose", row["purpose"], PURPOSES), granted),
        granted=granted,
        source=_filled("source", row["source"]),
        at=_instant(row["at"], now, granted),
    )


def _one_of(column: str, text: str, known: Mapping[str, bool]) -> bool:
    if text not in known:
        raise BadValue(f"{column}: write {', '.join(known)}")
    return known[text]


def _word(column: str, text: str, known: Sequence[str]) -> str | None:
    if text and text not in known:
        raise BadValue(f"{column}: write {', '.join(known)}, or nothing")
    return text or None


def _filled(column: str, text: str) -> str:
    if not text:
        raise BadValue(f"{column}: is empty; say where the record comes from, for it is the proof")
    return text


def _instant(text: str, now: datetime, granted: bool) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadValue("at: write it like 2026-03-01T12:00:00Z") from None
    if at.tzinfo is None:
        raise BadValue("at: names no time zone; write it like 2026-03-01T12:00:00Z")
    if granted and at > now + CLOCK_SKEW:
        raise BadValue("at: lies in the future; such a grant would outlive every stop until then")
    return at.astimezone(UTC)
