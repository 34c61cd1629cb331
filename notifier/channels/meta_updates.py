"""Reading Meta's webhooks: statuses, customers' wishes, templates' standing. The adapter's other half is meta.py.

Fields read on 2026-09-11: `messages` (statuses and inbound), `user_preferences`, `message_template_status_update`,
`template_category_update`. Everything in them may be absent: `contacts` on a failed status, `recipient_id` and `from`
of a customer with a user name, `timestamp`. A time comes as a number or as a string of digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from notifier.channels.contract import (
    NOT_TOLD,
    OutcomeClass,
    ReceiptUpdate,
    Status,
    StopRequest,
    TemplateStatus,
    Update,
)
from notifier.channels.keywords import asked
from notifier.channels.meta_codes import CODES, detail
from notifier.channels.reading import load_json, moment, number, phone, redact, rows, table, word

STOP_PAYLOAD: Final = "STOP_UPDATES"  # a quick reply whose payload begins so is a request for silence

_STATUSES: Final[dict[str, Status]] = {"sent": "sent", "delivered": "delivered", "read": "read", "failed": "failed"}

# Not here: FLAGGED (a warning, still sends), LOCKED (cannot be edited, still sends), and what Meta will think of next.
_TEMPLATE_EVENTS: Final = {
    "APPROVED": True,
    "REINSTATED": True,
    "UNPAUSED": True,
    "UNARCHIVED": True,
    "PENDING": False,
    "REJECTED": False,
    "PAUSED": False,
    "DISABLED": False,
    "IN_APPEAL": False,
    "PENDING_DELETION": False,
    "DELETED": False,
    "LIMIT_EXCEEDED": False,
    "ARCHIVED": False,
}
_WISHES: Final = {"stop": False, "resume": True}  # user_preferences; `signup` is a wish about something else


def read_updates(body: bytes, query: Mapping[str, str]) -> Sequence[Update]:
    """Every update in a webhook, in its order. What is unknown or unreadable is passed over. Never raises."""
    updates: list[Update] = []
    for entry in rows(table(load_json(body)).get("entry")):
        account, at = word(entry.get("id")) or "", moment(entry.get("time")) or NOT_TOLD
        for change in rows(entry.get("changes")):
            value, kind = table(change.get("value")), change.get("field")
            if kind == "messages":
                updates.extend(_receipts(value))
                updates.extend(_stops(value))
            elif kind == "user_preferences":
                updates.extend(_preferences(value))
            elif kind in ("message_template_status_update", "template_category_update"):
                updates.extend(_standing(value, kind, account, at))
    return updates


def _receipts(value: Mapping[str, Any]) -> Iterator[ReceiptUpdate]:
    for item in rows(value.get("statuses")):
        given = item.get("status")
        status = _STATUSES.get(given) if isinstance(given, str) else None
        provider_id, ref = word(item.get("id")), word(item.get("biz_opaque_callback_data"))
        if status is None or not (provider_id or ref):
            continue
        at = moment(item.get("timestamp")) or NOT_TOLD
        if status != "failed":
            yield ReceiptUpdate(status, at, provider_id, ref)
            continue
        error = next(rows(item.get("errors")), {})
        code, outcome = _failure(error)
        yield ReceiptUpdate(status, at, provider_id, ref, code, outcome, detail(error))


def _failure(error: Mapping[str, Any]) -> tuple[str, OutcomeClass]:
    code = number(error.get("code"))
    if code is None:  # failed, and no word why: this channel did not reach the customer
        return "none", OutcomeClass.FALLBACK
    row = CODES.find(code)
    return str(code), row.outcome(receipt=True) if row else OutcomeClass.DEAD


def _stops(value: Mapping[str, Any]) -> Iterator[StopRequest]:
    """Requests in a customer's own words or by a button. They mean the shop, not the channel: silence everywhere."""
    ours = _our_number(value)
    for message in rows(value.get("messages")):
        customer, at = phone(message.get("from")), moment(message.get("timestamp")) or NOT_TOLD
        if customer is None:
            continue
        if _payload(message).startswith(STOP_PAYLOAD):
            yield StopRequest(customer, False, None, "order_updates", at, ours, "whatsapp:quick_reply")
            continue
        wish = asked(table(message.get("text")).get("body"))
        if wish is False:
            yield StopRequest(customer, False, None, None, at, ours, "whatsapp:stop_word")
        elif wish:  # taken back where it was said, and for what was ordered: no more than that
            yield StopRequest(customer, True, "whatsapp", "order_updates", at, ours, "whatsapp:start_word")


def _payload(message: Mapping[str, Any]) -> str:
    reply = table(table(message.get("interactive")).get("button_reply"))
    payload = table(message.get("button")).get("payload") or reply.get("id")
    return payload if isinstance(payload, str) else ""


def _preferences(value: Mapping[str, Any]) -> Iterator[StopRequest]:
    """WhatsApp's own switch, which is about marketing only. A stop there does not touch order updates."""
    ours = _our_number(value)
    for item in rows(value.get("user_preferences")):
        customer, said = phone(item.get("wa_id")), item.get("value")
        granted = _WISHES.get(said) if isinstance(said, str) else None
        if customer is None or granted is None or item.get("category", "marketing_messages") != "marketing_messages":
            continue
        at = moment(item.get("timestamp")) or NOT_TOLD
        yield StopRequest(customer, granted, "whatsapp", "marketing", at, ours, "whatsapp:user_preferences")


def _our_number(value: Mapping[str, Any]) -> str:
    return word(table(value.get("metadata")).get("phone_number_id")) or ""


def _standing(value: Mapping[str, Any], kind: str, account: str, at: datetime) -> Iterator[TemplateStatus]:
    template = word(value.get("message_template_name"))
    event = value.get("event") if kind == "message_template_status_update" else value.get("new_category")
    if not template or not isinstance(event, str):
        return
    if kind == "message_template_status_update":
        usable, words = _TEMPLATE_EVENTS.get(event), value.get("reason")
    else:  # a template that became MARKETING costs more, loses its TTL and the US, and is capped: stop it
        usable, words = (False if event == "MARKETING" else None), "category"
    if usable is not None:
        reason = redact(" ".join(part for part in (event, words) if isinstance(part, str) and part != "NONE"))
        yield TemplateStatus(template, _language(value), usable, reason, at, account)


def _language(value: Mapping[str, Any]) -> str:
    """`en-US` here, `en_US` there: Meta writes both."""
    return (word(value.get("message_template_language")) or "").replace("-", "_")
