"""What a parser may make of a body, by readers of our own that share nothing with it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import unquote_to_bytes

from notifier.channels import meta, twilio
from notifier.channels.contract import ReceiptUpdate, Update
from tests.fuzz import samples

Read = Callable[[bytes, Mapping[str, str]], Sequence[Update]]
Check = Callable[[bytes, Mapping[str, str], str, Sequence[str]], bool]
Told = Counter[tuple[str, str | None, str | None]]  # (status, the provider's id, our reference)

URL = "https://notify.example.com/receipts/twilio?ref=" + samples.REF
SECRETS = ("the-new-secret", "the-old-one")
STRANGER = "not-our-secret"


@dataclass(frozen=True, slots=True)
class Parser:
    """One receipt parser under trial. told: what the body says, by our own reader; signature: (body, secret) -> header.

    same: whether two bodies are one to the provider's scheme, which signs a form's fields and not its bytes.
    """

    name: str
    read: Read
    check: Check
    samples: tuple[bytes, ...]
    header: str
    signature: Callable[[bytes, str], str]
    told: Callable[[bytes], Told]
    same: Callable[[bytes, bytes], bool]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of one input. fault: what must not be, with no part of the body in it; receipts: how many were read."""

    fault: str | None
    receipts: int = 0


def judge(parser: Parser, body: bytes, random: Random) -> Judgement:
    """Reads the body and checks its signatures; never raises."""
    try:
        updates = parser.read(body, {"ref": samples.REF})
        signed = _signatures(parser, body, random)
    except Exception as error:
        return Judgement(f"crash: {type(error).__name__}")
    receipts = [update for update in updates if isinstance(update, ReceiptUpdate)]
    return Judgement(signed or _receipts(parser, body, receipts), len(receipts))


def _receipts(parser: Parser, body: bytes, receipts: Sequence[ReceiptUpdate]) -> str | None:
    """A receipt is accepted when the body says so, in its place, with these ids, and as often."""
    taken: Told = Counter((str(receipt.status), receipt.provider_id, receipt.ref) for receipt in receipts)
    if receipts and taken - parser.told(body):
        return "wrong accept: a receipt that the body does not hold"
    for receipt in receipts:
        if (receipt.status == "failed") is (receipt.outcome is None) or receipt.at.utcoffset() is None:
            return "wrong accept: a receipt without its outcome, or without a zone"
        if receipt.provider_id is None and receipt.ref is None:
            return "wrong accept: a receipt of no message"
    return None


def _signatures(parser: Parser, body: bytes, random: Random) -> str | None:
    """Ours, whichever of them, are accepted; a stranger's, another body's, a damaged and an absent one are not."""

    def accepted(signature: str | None, url: str = URL) -> bool:
        headers = {} if signature is None else {parser.header: signature}
        return parser.check(body, headers, url, SECRETS)

    right = parser.signature(body, random.choice(SECRETS))
    if not accepted(right):
        return "wrong refusal: our own signature"
    if accepted(None) or accepted("") or accepted(parser.signature(body, STRANGER)):
        return "wrong accept: no signature, or a stranger's"
    at = random.randrange(len(right))
    damaged = right[:at] + random.choice("0aZ=+ é") + right[at + 1 :]
    if damaged != right and accepted(damaged):
        return "wrong accept: a damaged signature"
    other = random.choice(parser.samples)
    if not parser.same(body, other) and accepted(parser.signature(other, SECRETS[0])):
        return "wrong accept: the signature of another body"
    return None


def _sign_meta(body: bytes, secret: str) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _told_by_meta(body: bytes) -> Told:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return Counter()
    return Counter(
        (item["status"], _id(item.get("id")), _id(item.get("biz_opaque_callback_data")))
        for entry in _objects(value, "entry")
        for change in _objects(entry, "changes")
        if change.get("field") == "messages"
        for item in _objects(change.get("value"), "statuses")
        if isinstance(item.get("status"), str)
    )


def _objects(value: Any, key: str) -> Iterator[dict[str, Any]]:
    inner = value.get(key) if isinstance(value, dict) else None
    return (one for one in inner if isinstance(one, dict)) if isinstance(inner, list) else iter(())


def _id(value: Any) -> str | None:
    """An id as we store one: printable ASCII, no longer than Meta's longest."""
    return value if isinstance(value, str) and re.fullmatch(r"[ -~]{1,512}", value) else None


def fields(body: bytes) -> list[tuple[str, str]]:
    """A form, decoded by hand."""
    found = []
    for piece in body.decode("utf-8", "replace").split("&"):
        name, _, value = piece.partition("=")
        if piece:
            found.append((_decoded(name), _decoded(value)))
    return found


def _decoded(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ").encode()).decode("utf-8", "replace")


def _signed_text(body: bytes) -> str:
    """What Twilio signs of a form: names and values, sorted, with nothing in between."""
    return "".join(name + value for name, value in sorted(set(fields(body))))


def _sign_twilio(body: bytes, secret: str) -> str:
    text = URL + _signed_text(body)
    return base64.b64encode(hmac.new(secret.encode(), text.encode("utf-8", "replace"), hashlib.sha1).digest()).decode()


def _told_by_twilio(body: bytes) -> Told:
    form = dict(fields(body))
    status = _TWILIO_WORDS.get(form.get("MessageStatus", "").lower(), "")
    ids = [_id(form.get(name)) for name in ("MessageSid", "SmsSid")]
    return Counter({(status, ids[0] or ids[1], samples.REF): 1})


_TWILIO_WORDS = {"sent": "sent", "delivered": "delivered", "read": "read", "undelivered": "failed", "failed": "failed",
                 "canceled": "failed"}  # fmt: skip

PARSERS: dict[str, Parser] = {
    "meta": Parser(
        "meta",
        meta.read_updates,
        meta.check_signature,
        samples.META,
        "X-Hub-Signature-256",
        _sign_meta,
        _told_by_meta,
        lambda one, other: one == other,
    ),
    "twilio": Parser(
        "twilio",
        twilio.read_updates,
        twilio.check_signature,
        samples.TWILIO,
        "X-Twilio-Signature",
        _sign_twilio,
        _told_by_twilio,
        lambda one, other: _signed_text(one) == _signed_text(other),
    ),
}  # fmt: skip
