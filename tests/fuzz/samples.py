"""Bodies as the providers send them, where mutation begins: every key and kind that the parsers read is in them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import orjson

WAMID = "wamid.HBgLMTY1MDU1NTEyMzQVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3RTcA"
REF = "01J0000000000000000000000A"
_META_DATA = {"display_phone_number": "15550783881", "phone_number_id": "100000000000001"}


def _webhook(field: str, value: dict[str, Any]) -> bytes:
    change = {"field": field, "value": value}
    return orjson.dumps(
        {"object": "whatsapp_business_account", "entry": [{"id": "2000", "time": 1767225600, "changes": [change]}]}
    )


def _status(status: str, **more: Any) -> dict[str, Any]:
    return {
        "id": WAMID,
        "status": status,
        "timestamp": "1767225600",
        "recipient_id": "16505551234",
        "biz_opaque_callback_data": REF,
        **more,
    }


def _messages(*statuses: dict[str, Any], **more: Any) -> bytes:
    return _webhook("messages", {"messaging_product": "whatsapp", "metadata": _META_DATA, "statuses": statuses, **more})


_ERROR = {"code": 131026, "title": "Message undeliverable", "error_data": {"details": "Message Undeliverable."}}
_INBOUND = {"from": "16505551234", "id": WAMID, "timestamp": "1767225600"}

META: tuple[bytes, ...] = (
    _messages(_status("sent", pricing={"billable": True, "category": "utility"})),
    _messages(_status("sent"), _status("delivered"), _status("read")),
    _messages(_status("failed", errors=[_ERROR])),
    _messages(messages=[{**_INBOUND, "type": "text", "text": {"body": "STOP"}}]),
    _messages(messages=[{**_INBOUND, "type": "button", "button": {"payload": "STOP_UPDATES", "text": "Stop"}}]),
    _messages(messages=[{**_INBOUND, "interactive": {"button_reply": {"id": "STOP_UPDATES", "title": "Stop"}}}]),
    _webhook(
        "user_preferences",
        {
            "metadata": _META_DATA,
            "user_preferences": [
                {"wa_id": "16505551234", "value": "stop", "category": "marketing_messages", "timestamp": 1767225600}
            ],
        },
    ),
    _webhook(
        "message_template_status_update",
        {
            "event": "PAUSED",
            "message_template_name": "order_shipped",
            "message_template_language": "en-US",
            "reason": "NONE",
        },
    ),
    _webhook(
        "template_category_update",
        {"message_template_name": "order_shipped", "message_template_language": "en", "new_category": "MARKETING"},
    ),
)

_ACCOUNT = {"AccountSid": "AC00000000000000000000000000000001", "ApiVersion": "2010-04-01", "To": "+16505551234"}
_SMS = {"MessageSid": "SM0123456789abcdef0123456789abcdef", "SmsSid": "SM0123456789abcdef0123456789abcdef"}

TWILIO: tuple[bytes, ...] = tuple(
    urlencode(form).encode()
    for form in (
        {**_ACCOUNT, **_SMS, "MessageStatus": "sent", "SmsStatus": "sent", "From": "+15005550006"},
        {**_ACCOUNT, **_SMS, "MessageStatus": "delivered", "RawDlrDoneDate": "2601010000"},
        {**_ACCOUNT, **_SMS, "MessageStatus": "undelivered", "ErrorCode": "30003", "ErrorMessage": "Unreachable"},
        {**_ACCOUNT, **_SMS, "MessageStatus": "failed"},
        {**_ACCOUNT, **_SMS, "SmsStatus": "received", "From": "+16505551234", "Body": "STOP", "OptOutType": "STOP"},
        {**_ACCOUNT, **_SMS, "SmsStatus": "received", "From": "+16505551234", "Body": "stop", "NumMedia": "0"},
    )
)
