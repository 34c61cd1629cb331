"""Changes to a body, drawn from a seed: to its bytes, to its JSON or form, and what parsers are known to trip over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson

_WORDS = ("sent", "delivered", "read", "failed", "received", "STOP", "messages", "statuses", "PAUSED", "entry", "id",
          "MessageStatus", "MessageSid", "ErrorCode", "30003", "131026", "16505551234", "+", "-1", "0")  # fmt: skip

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 1e308, 2**63, 10**30, "", " ", "0", "\x00", "é", "\u202e", "😀", "'\";--", "%00",
    "a" * 600, "9" * 30, "sent ", "SENT", "sent\x00", [], {}, [[]], [None], {"": {}}, [{"status": "sent"}], *_WORDS,
)  # fmt: skip

_BYTES = (b"", b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\ud83d", b"\\u0000",
          b"NaN", b"1e999", b"-", b"&", b"=", b"%", b"%ff", b"+", b"\r\n", b'{"a":' * 50, b"[" * 2000)  # fmt: skip


def mutated(random: Random, samples: Sequence[bytes]) -> bytes:
    """One of the samples after one to four changes."""
    body = random.choice(samples)
    for _ in range(1 + int(random.random() * random.random() * 4)):
        body = random.choice(_CHANGES)(random, body, samples)
    return body


def _flip(random: Random, body: bytes, samples: Sequence[bytes]) -> bytes:
    if not body:
        return body
    at = random.randrange(len(body))
    return body[:at] + bytes((body[at] ^ (1 << random.randrange(8)),)) + body[at + 1 :]


def _cut(random: Random, body: bytes, samples: Sequence[bytes]) -> bytes:
    one, other = sorted((random.randrange(len(body) + 1), random.randrange(len(body) + 1)))
    return body[:one] + body[other:]


def _insert(random: Random, body: bytes, samples: Sequence[bytes]) -> bytes:
    at = random.randrange(len(body) + 1)
    return body[:at] + random.choice(_BYTES) + body[at:]


def _splice(random: Random, body: bytes, samples: Sequence[bytes]) -> bytes:
    other = random.choice(samples)
    return body[: random.randrange(len(body) + 1)] + other[random.randrange(len(other)) :]


def _recode(random: Random, body: bytes, samples: Sequence[bytes]) -> bytes:
    return body.decode("utf-8", "replace").encode(random.choice(("utf-16", "utf-32", "utf-8-sig", "utf-7")), "replace")


def _parts(random: Random, body: bytes, samples: Sequence[bytes]) -> bytes:
    """A value of the JSON or a field of the form becomes another; as it was when it is neither."""
    if body[:1] == b"{":
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            return body
        _change(random, value)
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str)
    pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    return urlencode(_field(random, pairs)).encode()


def _change(random: Random, value: Any) -> None:
    """Walks down by chance, and changes what it finds there."""
    while True:
        places: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not places:
            return
        place = random.choice(places)
        inner = value[place]
        if isinstance(inner, dict | list) and inner and random.random() < 0.8:
            value = inner
            continue
        random.choice(_DEEDS)(random, value, place)
        return


def _replace(random: Random, value: Any, place: Any) -> None:
    odd = random.choice(ODD)
    value[place] = odd if not isinstance(odd, int) or abs(odd) < 2**63 else 2**53  # what orjson can write


def _drop(random: Random, value: Any, place: Any) -> None:
    del value[place]


def _wrap(random: Random, value: Any, place: Any) -> None:
    value[place] = [value[place]] if random.random() < 0.5 else {"value": value[place]}


def _repeat(random: Random, value: Any, place: Any) -> None:
    if isinstance(value, list):
        value.extend([value[place]] * random.randrange(1, 5))
    else:
        value[random.choice(_WORDS)] = value[place]


_DEEDS: tuple[Callable[[Random, Any, Any], None], ...] = (_replace, _replace, _drop, _wrap, _repeat)


def _field(random: Random, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    place = random.randrange(len(pairs) + 1)
    name, value = pairs[place] if place < len(pairs) else (random.choice(_WORDS), "")
    changed = random.choice(
        (
            [(name, str(random.choice(ODD)))],
            [(str(random.choice(_WORDS)), value)],
            [(name.swapcase(), value)],
            [(name, value), (name, str(random.choice(ODD)))],
            [],
        )
    )
    return [*pairs[:place], *changed, *pairs[place + 1 :]]


_CHANGES = (_flip, _cut, _insert, _splice, _recode, *(_parts,) * 9)
