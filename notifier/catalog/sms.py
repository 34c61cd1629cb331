"""SMS text: which alphabet it needs, how many segments it costs, and the spelling that costs least.

Facts: platforms-and-sms §B2. A text whose every character is in GSM 03.38 travels as septets: 160 in one message, 153
in each part of a longer one. Any other character moves the whole text to UCS-2: 70, then 67 UTF-16 code units.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

Encoding = Literal["gsm7", "ucs2"]

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("^{}\\[]~|€\f")
"""These cost two septets: an escape and the character, and the two are never parted."""

_GSM = _BASIC | _EXTENSION

_LAST_BMP = "\uffff"

_ALONE = {"gsm7": 160, "ucs2": 70}
_PART = {"gsm7": 153, "ucs2": 67}

_PLAIN = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′`´", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys(
            "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " "
        ),
        **dict.fromkeys("\u00ad\u200b\u200e\u200f\u2060\ufeff", ""),  # invisible: soft hyphen, joiners of words, marks
        **{chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},  # full width to ASCII
        "…": "...",
        "•": "-",
        "·": "-",
        "₹": "Rs.",  # the sign alone would triple the price of an Indian text; shops write Rs. anyway
        "\t": " ",
    }
)
"""Typography only: a letter that GSM 03.38 lacks (ç, ã, ş) stays, for without it the word is another word."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a text costs. units: septets (gsm7) or UTF-16 code units (ucs2)."""

    encoding: Encoding
    units: int
    segments: int


def encoding_of(text: str) -> Encoding:
    """The alphabet that a text needs as it stands."""
    return "gsm7" if _GSM.issuperset(text) else "ucs2"


def spell(text: str) -> str:
    """The text with plain quotes, dashes, spaces and composed letters, where that brings it into GSM 03.38.

    A text that needs UCS-2 for its letters keeps its typography: there it costs nothing, and "…" is shorter than "...".
    """
    if _GSM.issuperset(text):
        return text
    composed = unicodedata.normalize("NFC", text)
    plain = composed.translate(_PLAIN)
    return plain if _GSM.issuperset(plain) else composed


def measure(text: str) -> Size:
    """Alphabet, units and segments of a text as it stands; spell() it first. An empty text is one segment."""
    encoding = encoding_of(text)
    wide = _wide(text, encoding)
    units = len(text) + wide
    if units <= _ALONE[encoding]:
        return Size(encoding, units, 1)
    room = _PART[encoding]
    # Without wide characters nothing can straddle a border, and the parts are simply full.
    return Size(encoding, units, len(split(text)) if wide else -(-units // room))


def split(text: str) -> tuple[str, ...]:
    """The text as its segments carry it; joined, they are the text. No two-unit character lies on a border."""
    encoding = encoding_of(text)
    if len(text) + _wide(text, encoding) <= _ALONE[encoding]:
        return (text,)
    room, start, used, parts = _PART[encoding], 0, 0, []
    for at, character in enumerate(text):
        cost = _cost(character, encoding)
        if used + cost > room:
            parts.append(text[start:at])
            start, used = at, 0
        used += cost
    return (*parts, text[start:])


def _cost(character: str, encoding: Encoding) -> int:
    if encoding == "gsm7":
        return 2 if character in _EXTENSION else 1
    return 2 if character > _LAST_BMP else 1


def _wide(text: str, encoding: Encoding) -> int:
    """How many characters cost two units."""
    if encoding == "gsm7" and _BASIC.issuperset(text):
        return 0
    return sum(_cost(character, encoding) - 1 for character in text)
