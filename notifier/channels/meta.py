"""WhatsApp through Meta's Cloud API: one template message a request.

API v21.0 to v26.0 (v25.0 when the sender names none), read on 2026-09-11 at
https://developers.facebook.com/documentation/business-messaging/whatsapp/. Account: `phone_number_id`, `api_version`.
Secrets: `token` (sending), `app_secret` (signature of webhooks), `verify_token` (handshake of the webhook's address).

- 200 means accepted, never delivered. There is no idempotency key, and Meta sends no Retry-After.
- `biz_opaque_callback_data` (512 characters) carries our delivery id; every status of the message brings it back.
- 80 messages/s a number, 45 at once and then one in 6 s a customer; rendered body 1,024 characters.
- Webhooks: up to 1,000 updates in a POST, in any order, twice, late; `failed` comes without `contacts`; a customer with
  a user name may come without a phone.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import orjson

from notifier.channels.contract import (
    Accepted,
    Answer,
    Capabilities,
    OutcomeClass,
    Outgoing,
    Refused,
    Request,
    Sender,
    TemplateMessage,
)
from notifier.channels.meta_codes import CODES, detail
from notifier.channels.meta_updates import read_updates
from notifier.channels.outcomes import by_status
from notifier.channels.reading import any_of, header, load_json, number, rows, table, word
from notifier.events import NotifierError

__all__ = [
    "CAPABILITIES",
    "build",
    "check_signature",
    "outcome_rows",
    "read_answer",
    "read_updates",
    "verify_subscription",
]

CAPABILITIES: Final = Capabilities(reads_receipts=True, carries_ref=True, idempotent=False)

API_VERSION: Final = "v25.0"

_HELD: Final = frozenset({"held_for_quality_assessment", "paused"})

# Meta refuses (132018, before v23 132012) line breaks, tabs and five spaces in a row inside a parameter.
_FORBIDDEN = re.compile(r"\s*[\n\r\t\v\f\x1c-\x1e\x85\u2028\u2029]\s*| {5,}")

_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def build(outgoing: Outgoing, sender: Sender) -> Request:
    """The request for one template message. Raises NotifierError when the message is not a template."""
    message = outgoing.message
    if not isinstance(message, TemplateMessage):
        raise NotifierError(f"meta: sender {sender.name} carries template messages only; route this to an sms sender")
    account = sender.account
    version, number_id = account.get("api_version", API_VERSION), account.get("phone_number_id", "")
    return Request(
        "POST",
        f"{sender.base_url}/{version}/{number_id}/messages",
        ("Authorization: Bearer " + sender.secret("token"), "Content-Type: application/json"),
        _dump(
            {
                "messaging_product": "whatsapp",
                "recipient_type": "individual",
                "to": outgoing.to,
                "biz_opaque_callback_data": outgoing.ref,
                "type": "template",
                "template": {
                    "name": message.template,
                    "language": {"code": message.language},
                    "components": _components(message),
                },
            }
        ),
    )


def _components(message: TemplateMessage) -> list[dict[str, object]]:
    components: list[dict[str, object]] = []
    if message.header:
        components.append({"type": "header", "parameters": _named(message.header)})
    if message.body:
        components.append({"type": "body", "parameters": _named(message.body)})
    for button in message.buttons:
        parameter = (
            {"type": "text", "text": _suffix(button.value)}
            if button.kind == "url"
            else {"type": "payload", "payload": button.value}
        )
        components.append(
            {"type": "button", "sub_type": button.kind, "index": str(button.index), "parameters": [parameter]}
        )
    return components


def _suffix(value: str) -> str:
    """A URL's variable end, escaped: a bare space, colon or Arabic letter fails the send. What is escaped stays so."""
    if value.isascii() and value.isalnum():
        return value
    return quote(_BARE_PERCENT.sub("%25", value), safe="-._~/?=&%", errors="replace")


def _named(parameters: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"type": "text", "parameter_name": name, "text": _plain(text)} for name, text in parameters]


def _plain(text: str) -> str:
    """Most texts are fine already, and seeing that is ten times cheaper than the pattern."""
    if text.isprintable() and "     " not in text:
        return text
    return _FORBIDDEN.sub(" ", text)


def _dump(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # half a surrogate pair in a shop's text; Meta gets a replacement character
        return orjson.dumps(_mended(value))


def _mended(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: _mended(item) for key, item in value.items()}
    return [_mended(item) for item in value] if isinstance(value, list) else value


def read_answer(status: int, body: bytes) -> Answer:
    """What Meta's answer means. Never raises."""
    answer = table(load_json(body))
    if 200 <= status < 300:
        message = next(rows(answer.get("messages")), {})
        provider_id = word(message.get("id"))
        if provider_id:
            return Accepted(provider_id, held=message.get("message_status") in _HELD)
    return _refused(status, table(answer.get("error")))


def _refused(status: int, error: Mapping[str, Any]) -> Refused:
    code = number(error.get("code"))
    if code is None:
        return Refused(_without_code(status), f"http_{status}", detail(error))
    row = CODES.find(code, number(error.get("error_subcode")))
    if row is not None:
        return Refused(row.outcome(receipt=False), str(code), detail(error), row.wait)
    if error.get("is_transient") is True or status >= 500:
        return Refused(OutcomeClass.RETRY, str(code), detail(error))
    return Refused(by_status(status), str(code), detail(error))


def _without_code(status: int) -> OutcomeClass:
    """The class of an answer that is not Meta's JSON.

    Meta's own page calls any 5xx retryable, and so is one that carries Meta's error object. But a bare 502 or 504 comes
    from something between us and Meta, after our bytes had left: Meta may have taken the message, and a second try
    would be a second message. The same for a 2xx without a message id. Both wait for the receipt.
    """
    if status >= 500 or status < 300:
        return OutcomeClass.UNKNOWN
    return by_status(status)


def check_signature(body: bytes, headers: Mapping[str, str], url: str, secrets: Sequence[str]) -> bool:
    """Whether X-Hub-Signature-256 is the HMAC-SHA256 of these raw bytes under one of the app secrets.

    Over the bytes as they came: Meta signs its own escaping, and parsing and dumping again changes it.
    """
    given = header(headers, "X-Hub-Signature-256")
    expected = [
        "sha256=" + hmac.new(secret.encode("utf-8", "replace"), body, hashlib.sha256).hexdigest()
        for secret in secrets
        if secret
    ]
    return any_of(expected, given)


def verify_subscription(query: Mapping[str, str], verify_tokens: Sequence[str]) -> str | None:
    """The challenge to answer Meta's GET handshake with, as plain text and 200; None: answer 403."""
    given = query.get("hub.verify_token", "")
    if query.get("hub.mode") != "subscribe" or not any_of([token for token in verify_tokens if token], given):
        return None
    return query.get("hub.challenge")


def outcome_rows() -> tuple[tuple[str, str, str, str], ...]:
    """(code, class of the answer, class of the failed receipt, meaning) a row, as the provider's page prints them."""
    return CODES.printed()
