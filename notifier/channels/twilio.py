"""SMS through Twilio Programmable Messaging: one text a request.

API 2010-04-01, read in November 2026 at https://www.twilio.com/docs/messaging/api/message-resource. Account:
`account_sid`, and `from` (number or sender name) or `messaging_service_sid`. Secret: `auth_token`, for sending and for
the signature of callbacks.

- 201 means queued. There is no idempotency key: our delivery id goes into the callback's URL and comes back with every
  status. 20429 was not taken and may be sent again.
- Above the number's rate (1/s for a long number, about 10/s for a sender name) Twilio queues, no longer than
  ValidityPeriod.
- Callbacks tell no time, come twice and out of order; `sent` stays the last word where a carrier gives no receipt.
- A customer's STOP is obeyed by Twilio itself (21610 from then on), and reported as an inbound message.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit, urlunsplit

from notifier.channels.contract import (
    NOT_TOLD,
    Accepted,
    Answer,
    Capabilities,
    OutcomeClass,
    Outgoing,
    ReceiptUpdate,
    Refused,
    Request,
    Sender,
    Status,
    StopRequest,
    TextMessage,
    Update,
)
from notifier.channels.keywords import asked
from notifier.channels.outcomes import by_status
from notifier.channels.reading import any_of, header, load_json, number, phone, redact, same_secret, table, word
from notifier.channels.twilio_codes import CODES
from notifier.events import NotifierError

CAPABILITIES: Final = Capabilities(reads_receipts=False, carries_ref=True, idempotent=False)

LONGEST_VALIDITY: Final = timedelta(hours=10)

STATUSES: Final[dict[str, Status]] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "undelivered": "failed",
    "failed": "failed",
    "canceled": "failed",
}
_LOST: Final = frozenset({"failed", "undelivered", "canceled"})

# Twilio obeys these by itself, whatever we think they mean; without them here the next SMS would be a 21610.
_TWILIO_STOPS: Final = frozenset({"cancel", "end", "quit"})
_OPT_OUT_TYPES: Final = {"STOP": False, "START": True}

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


def build(outgoing: Outgoing, sender: Sender) -> Request:
    """The request for one SMS. Raises NotifierError when the message is not a text."""
    message = outgoing.message
    if not isinstance(message, TextMessage):
        raise NotifierError(f"twilio: sender {sender.name} carries text messages only; route this to a whatsapp sender")
    account_sid = sender.account.get("account_sid", "")
    service = sender.account.get("messaging_service_sid", "")
    form = {
        "To": outgoing.to,
        **({"MessagingServiceSid": service} if service else {"From": sender.account.get("from", "")}),
        "Body": message.text,
        # So that a queued SMS cannot arrive after it has become untrue.
        "ValidityPeriod": str(_validity(outgoing.valid_for)),
    }
    if sender.callback_url:
        form["StatusCallback"] = _callback(sender.callback_url, outgoing.ref)
    credentials = base64.b64encode(f"{account_sid}:{sender.secret('auth_token')}".encode("utf-8", "replace")).decode()
    return Request(
        "POST",
        f"{sender.base_url}/2010-04-01/Accounts/{account_sid}/Messages.json",
        ("Authorization: Basic " + credentials, "Content-Type: application/x-www-form-urlencoded"),
        urlencode(form, errors="replace").encode(),
    )


def _validity(valid_for: timedelta) -> int:
    return max(1, min(int(valid_for.total_seconds()), int(LONGEST_VALIDITY.total_seconds())))


def _callback(url: str, ref: str) -> str:
    """Twilio's settings for a callback stand in the URL's fragment (`#rc=3&rp=all`), so the ref goes before it."""
    address, hash_mark, overrides = url.partition("#")
    return f"{address}{'&' if '?' in address else '?'}ref={quote(ref, safe='')}{hash_mark}{overrides}"


def read_answer(status: int, body: bytes) -> Answer:
    """What Twilio's answer means. Never raises."""
    answer = table(load_json(body))
    sid = word(answer.get("sid"))
    if 200 <= status < 300:
        if sid and answer.get("status") not in _LOST:
            return Accepted(sid)
        return _refused(status, number(answer.get("error_code")), answer.get("error_message"))
    return _refused(status, number(answer.get("code")), answer.get("message"))


def _refused(status: int, code: int | None, words: object) -> Refused:
    row = CODES.find(code) if code is not None else None
    text = f"http_{status}" if code is None else str(code)
    if row is not None:
        return Refused(row.outcome(receipt=False), text, redact(words), row.wait)
    if status >= 500 or (status < 300 and code is None):
        # Twilio does not say that a 5xx was not taken, and may have been about to answer 201: the callback will tell.
        return Refused(OutcomeClass.UNKNOWN, text, redact(words))
    return Refused(by_status(status), text, redact(words))


def read_updates(body: bytes, query: Mapping[str, str]) -> Sequence[Update]:
    """A status callback or an inbound message: its update, or none. Never raises.

    query: of the URL that was called; its `ref` is our delivery id.
    """
    form = dict(_pairs(body))
    status = STATUSES.get(form.get("MessageStatus", "").lower())
    if status is not None:
        return _receipt(status, form, word(query.get("ref")))
    return _stop(form) if form.get("SmsStatus", "").lower() == "received" else ()


def _receipt(status: Status, form: Mapping[str, str], ref: str | None) -> Sequence[ReceiptUpdate]:
    provider_id = word(form.get("MessageSid")) or word(form.get("SmsSid"))
    if not (provider_id or ref):
        return ()
    code = number(form.get("ErrorCode"))
    return (receipt_of(status, NOT_TOLD, provider_id, ref, code, form.get("ErrorMessage")),)


def receipt_of(
    status: Status, at: datetime, provider_id: str | None, ref: str | None, code: int | None, words: object
) -> ReceiptUpdate:
    """A status of Twilio's as a receipt, whether it was told or asked for. code, words: of a failure."""
    if status != "failed":
        return ReceiptUpdate(status, at, provider_id, ref)
    row = CODES.find(code) if code is not None else None
    # Without a code: this channel did not reach the customer, and nobody knows why.
    outcome = row.outcome(receipt=True) if row else (OutcomeClass.FALLBACK if code is None else OutcomeClass.DEAD)
    return ReceiptUpdate(status, at, provider_id, ref, "none" if code is None else str(code), outcome, redact(words))


def _stop(form: Mapping[str, str]) -> Sequence[StopRequest]:
    customer = phone(form.get("From"))
    said = _OPT_OUT_TYPES.get(form.get("OptOutType", "").upper())
    source = "sms:opt_out" if said is not None else "sms:stop_word"
    granted = said if said is not None else asked(form.get("Body"), _TWILIO_STOPS)
    if customer is None or granted is None:
        return ()
    # A sender is configured by its number or by its messaging service: the stop is reported under each that was named.
    heard_by = [ours for key in ("To", "MessagingServiceSid") if (ours := word(form.get(key)))] or [""]
    if granted:  # taken back where it was said, and for what was ordered: no more than that
        source = source.replace("stop", "start")
        return tuple(StopRequest(customer, True, "sms", "order_updates", NOT_TOLD, ours, source) for ours in heard_by)
    return tuple(StopRequest(customer, False, None, None, NOT_TOLD, ours, source) for ours in heard_by)


def check_signature(body: bytes, headers: Mapping[str, str], url: str, secrets: Sequence[str]) -> bool:
    """Whether X-Twilio-Signature fits this request under one of the auth tokens.

    url: as Twilio called it, so the public one, query included. A form is signed with its parameters; any other body
    through its SHA-256 in the query (`bodySHA256`). Twilio signs with the default port or without it: both are tried.
    """
    claimed = parse_qs(urlsplit(url).query).get("bodySHA256") if _splits(url) else None
    if claimed and not same_secret(hashlib.sha256(body).hexdigest(), claimed[0].lower()):
        return False
    signed = "" if claimed else "".join(f"{name}{value}" for name, value in sorted(set(_pairs(body))))
    expected = [_sign(secret, address + signed) for secret in secrets if secret for address in _addresses(url)]
    return any_of(expected, header(headers, "X-Twilio-Signature"))


def _sign(secret: str, text: str) -> str:
    key = secret.encode("utf-8", "replace")
    return base64.b64encode(hmac.new(key, text.encode("utf-8", "replace"), hashlib.sha1).digest()).decode()


def _splits(url: str) -> bool:
    """Whether urllib reads the URL; it raises for a port that is no number and for a lone bracket."""
    try:
        urlsplit(url).port  # noqa: B018
    except ValueError:
        return False
    return True


def _addresses(url: str) -> tuple[str, ...]:
    """The URL as given, without its port, and with the default one."""
    if not _splits(url):
        return (url,)
    parts = urlsplit(url)
    credentials, at, _ = parts.netloc.rpartition("@")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    bare = urlunsplit(parts._replace(netloc=f"{credentials}{at}{host}"))
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 443)
    return (url, bare, urlunsplit(parts._replace(netloc=f"{credentials}{at}{host}:{port}")))


def _pairs(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    except ValueError:  # more fields than Python will read: nothing that Twilio sends
        return []


def outcome_rows() -> tuple[tuple[str, str, str, str], ...]:
    """(code, class of the answer, class of the callback, meaning) a row, as the provider's page prints them."""
    return CODES.printed()
