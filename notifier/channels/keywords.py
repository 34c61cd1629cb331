"""Words by which a customer asks for silence, or takes it back. The whole message must be the word."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Not here on purpose: CANCEL, END, الغاء, CANCELAR, ANNULER. From somebody with an order they cancel the order.
_STOP_WORDS: Final = (
    ("stop", "stop all", "stopall", "unsubscribe", "opt out", "optout", "opt-out", "revoke"),
    ("إيقاف", "ايقاف", "أوقف", "توقف", "إلغاء الاشتراك", "الغاء الاشتراك", "إلغاء الإشتراك"),
    ("sair", "parar", "pare", "descadastrar", "cancelar inscrição"),
    ("baja", "alto", "parar", "darme de baja", "cancelar suscripción"),
    ("arret", "arrêt", "arrêter", "désabonner", "se désabonner", "désinscription"),
)
_START_WORDS: Final = ("start", "unstop", "ابدأ")  # few: a grant must not come from a word with a second meaning

_MARKS = re.compile(r"[^\w\s]|_")


def _folded(text: str) -> str:
    """Without case, accents, Arabic vowel signs and letter variants, punctuation and doubled spaces."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join(_MARKS.sub(" ", bare.replace("ـ", "").casefold()).split())


STOP_WORDS: Final = frozenset(_folded(word) for language in _STOP_WORDS for word in language)
START_WORDS: Final = frozenset(map(_folded, _START_WORDS))
_LONGEST: Final = 60  # characters; a longer message is a letter to the shop, not a word


def asked(text: object, more_stops: frozenset[str] = frozenset()) -> bool | None:
    """False: silence is asked for. True: it is taken back. None: neither. more_stops: folded words of one provider."""
    if not isinstance(text, str) or len(text) > _LONGEST:
        return None
    word = _folded(text)
    if word in STOP_WORDS or word in more_stops:
        return False
    return True if word in START_WORDS else None
