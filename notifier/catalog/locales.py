"""Locales: which wording a customer gets, and in whose spelling its dates and money are written. Pure look-ups."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

import babel

from notifier.catalog.template import Template

CODE = re.compile(r"[a-z]{2,3}(_[A-Z]{2,3})?")
"""A locale as Meta spells it (whatsapp-cloud-api §5.5)."""

_WANTED = re.compile(r"([A-Za-z]{2,3})(?:[-_][A-Za-z]{4})?(?:[-_]([A-Za-z]{2}|[0-9]{3}))?(?:[-_.@].*)?")

# Old codes of languages (Java, WordPress), and the ones that Meta spells otherwise.
_LANGUAGES = {"iw": "he", "in": "id", "no": "nb", "tl": "fil"}


def pick_locale(template: Template, wanted: str | None, shop_default: str) -> str | None:
    """The locale of a template for a customer who wants `wanted`; None when neither that nor the shop's default fits.

    A language in another country's spelling is better than another language: ar-EG takes ar, pt-PT takes pt_BR.
    """
    for wish in (wanted, shop_default):
        found = _nearest(wish, template.locales) if wish else None
        if found:
            return found
    return None


def _nearest(wish: str, locales: Iterable[str]) -> str | None:
    code = _code(wish)
    if code is None:
        return None
    language = code.partition("_")[0]
    known = list(locales)
    siblings = (other for other in known if other.partition("_")[0] == language)
    return next((other for other in (code, language) if other in known), next(siblings, None))


def _code(wish: str) -> str | None:
    """`pt-br`, `pt_BR.UTF-8`, `zh-Hant-TW`: language and country in Meta's spelling."""
    match = _WANTED.fullmatch(wish.strip())
    if match is None:
        return None
    language = match[1].lower()
    language = _LANGUAGES.get(language, language)
    return f"{language}_{match[2].upper()}" if match[2] else language


@lru_cache(maxsize=1024)
def reading_language(locale: str, wanted: str | None) -> str:
    """In whose spelling values are written: the customer's country's, if that speaks the wording's language.

    An Indian reads 1,23,456.00 in an English wording, and a Briton "Tue 24 Nov".
    """
    code = _code(wanted) if wanted else None
    if code is None or code.partition("_")[0] != locale.partition("_")[0] or "_" not in code:
        return locale
    return code if is_known(code) else locale


def is_known(code: str) -> bool:
    """Whether there is data about a locale: how it writes money and dates."""
    try:
        babel.Locale.parse(code)
    except (ValueError, babel.UnknownLocaleError):
        return False
    return True


@lru_cache(maxsize=256)
def is_rtl(code: str) -> bool:
    """Whether a locale is written from right to left."""
    return babel.Locale.parse(code).text_direction == "rtl"
