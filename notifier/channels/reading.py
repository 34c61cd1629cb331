"""Reading a stranger's bytes without ever raising: what every adapter needs for answers, webhooks and signatures."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson

DETAIL_LENGTH: Final = 300
_ID_LENGTH: Final = 512  # a wamid is far below; Meta's biz_opaque_callback_data may be as long

# Seven digits or more in a row, the separators people and providers put between them allowed: a phone.
_PHONE = re.compile(r"\+?\d(?:[ ()-]{0,2}\d){6,}")
# A word this long with a digit in it is a token, an account id or a message id, never prose.
_LONG_WORD = re.compile(r"[A-Za-z0-9_+/=-]{24,}")
_E164 = re.compile(r"\+?([1-9][0-9]{6,14})")


def load_json(body: bytes) -> object:
    """The JSON value in `body`; None when it is none.

    orjson refuses half of a surrogate pair, which a profile name cut in mid-emoji holds; the slower parser reads it.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def table(value: object) -> Mapping[str, Any]:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def rows(value: object) -> Iterator[Mapping[str, Any]]:
    """The objects in the value if it is a JSON array; whatever else is in it is passed over."""
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def word(value: object) -> str | None:
    """An id, a name or an enum: printable ASCII of sane length, else None. Keeps NUL and half surrogates out of SQL."""
    if not isinstance(value, str) or not 0 < len(value) <= _ID_LENGTH:
        return None
    return value if value.isascii() and value.isprintable() else None


def number(value: object) -> int | None:
    """A code: 131026, "131026" or 131026.0; None for anything else. Providers send all three."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) <= 18 else None
    return value if isinstance(value, int) else None


def moment(value: object) -> datetime | None:
    """Unix seconds, as a number or a string of digits, as an aware UTC datetime; None for anything else."""
    seconds = number(value)
    if seconds is None or not 0 < seconds < 253_402_300_800:  # the year 10000
        return None
    return datetime.fromtimestamp(seconds, UTC)


def phone(value: object) -> str | None:
    """A phone in E.164 from "16505551234" or "+16505551234"; None for a business-scoped id or anything else."""
    match = _E164.fullmatch(value) if isinstance(value, str) else None
    return f"+{match[1]}" if match else None


def redact(text: object, length: int = DETAIL_LENGTH) -> str:
    """Text fit for a log or the ledger: one line, phones and tokens replaced, cut to `length` characters."""
    if not isinstance(text, str):
        return ""
    plain = text[: 4 * length].encode("utf-8", "replace").decode()
    line = " ".join("".join(c if c.isprintable() else " " for c in plain).split())
    return _PHONE.sub("…", _LONG_WORD.sub(_hide_token, line))[:length]


def _hide_token(match: re.Match[str]) -> str:
    return "…" if any(c.isdigit() for c in match[0]) else match[0]


def header(headers: Mapping[str, str], name: str) -> str:
    """A header whatever its case; the empty string when it is absent."""
    found = headers.get(name) or headers.get(name.lower())
    if found is not None:
        return found
    return next((value for key, value in headers.items() if key.lower() == name.lower()), "")


def same_secret(ours: str, theirs: str) -> bool:
    """Whether two texts are equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(ours.encode("utf-8", "replace"), theirs.encode("utf-8", "replace"))


def any_of(expected: Sequence[str], given: str) -> bool:
    """Whether `given` is one of `expected`, all of them compared in constant time."""
    verdicts = [same_secret(one, given) for one in expected]
    return any(verdicts)
