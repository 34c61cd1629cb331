"""What a template is: frozen values, spelled the way the YAML file spells them.

The dataclasses are the schema as well: load.py reads a file straight into them, so a key exists exactly once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictInt, StringConstraints

EVERY_LOCALE = "*"
"""The locale of a default or example that was written once, as plain text, for all locales."""

VARIABLE = re.compile(r"\{\{([a-z0-9_]+)\}\}")
"""One variable of a text. Meta's names: lower-case letters, digits and `_` (whatsapp-cloud-api §1.2)."""

_TTL = re.compile(r"([1-9][0-9]*)(s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def _ttl(value: object) -> object:
    if value is None:
        return None
    match = _TTL.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("write a number and a unit: 30s, 45m or 6h")
    try:
        return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
    except (OverflowError, ValueError):
        raise ValueError("that is longer than time itself: write 30s to 12h") from None


def _for_every_locale(value: object) -> object:
    return {EVERY_LOCALE: value} if isinstance(value, str) else value


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
PerLocale = Annotated[dict[str, Text], BeforeValidator(_for_every_locale)]


@dataclass(frozen=True, slots=True)
class Param:
    """One named value of a template.

    source: dotted paths into the order event, or `shop.name`; the first that has something wins.
    example: what Meta's reviewers see, and what lint measures with; per locale, or once for all.
    format: a name of formats.FORMATS.
    default: stands in for an empty value, for Meta refuses empty parameters; written out, not formatted; per locale,
        or once for all.
    """

    source: Annotated[tuple[Text, ...], BeforeValidator(_as_list)]
    example: PerLocale
    format: Text = "text"
    default: PerLocale = field(default_factory=dict)

    def example_in(self, locale: str) -> str:
        """The example for a locale; empty when none was written (which lint refuses)."""
        return self.example.get(locale) or self.example.get(EVERY_LOCALE, "")

    def default_in(self, locale: str) -> str:
        """What stands in for an empty value in a locale; empty when the parameter has no default there."""
        return self.default.get(locale) or self.default.get(EVERY_LOCALE, "")


@dataclass(frozen=True, slots=True)
class ButtonSpec:
    """One button. kind `url` opens `url`, which may end in one variable; `quick_reply` sends `payload` back to us."""

    type: Literal["url", "quick_reply"]
    text: Text
    url: Text | None = None
    payload: Text | None = None

    @property
    def target(self) -> str:
        """The one of `url` and `payload` that belongs to the kind; empty when it was left out (which lint refuses)."""
        return (self.url if self.type == "url" else self.payload) or ""

    @property
    def url_base(self) -> str:
        """A URL up to its variable: the part that Meta approves and nobody can change at send time."""
        return VARIABLE.split(self.target, maxsplit=1)[0]


@dataclass(frozen=True, slots=True)
class Locale:
    """The wording of a template in one language. `sms` is a text of its own, not the body cut short."""

    body: Text
    sms: Text
    header: Text | None = None
    footer: Text | None = None
    buttons: tuple[ButtonSpec, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A named wording. Compared by identity, so that a compiled form can be kept for it.

    ttl: Meta drops the message when it could not deliver it for that long (whatsapp-cloud-api §1.5); fallback for
        silence waits for it. None for MARKETING: through `/messages` Meta has no TTL for those, and so silence about
        one has no fallback.
    sms_max_segments: the longest SMS that lint lets pass, measured with the examples.
    """

    name: Text
    category: Literal["UTILITY", "MARKETING"]
    parameters: dict[str, Param]
    locales: dict[str, Locale]
    ttl: Annotated[timedelta | None, BeforeValidator(_ttl)] = None
    sms_max_segments: Annotated[StrictInt, Field(ge=1)] = 3


def variables(text: str | None) -> tuple[str, ...]:
    """The names of the variables of a text, in reading order, repeats included."""
    return tuple(VARIABLE.findall(text or ""))
