"""What every adapter must pass. test_conformance.py runs it over the registry; each provider brings one `Subject`."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import orjson

from notifier.channels import meta, twilio
from notifier.channels.contract import Button, Outgoing, Sender, TemplateMessage, TextMessage
from notifier.channels.meta_codes import CODES as META_CODES
from notifier.channels.outcomes import OutcomeTable
from notifier.channels.twilio_codes import CODES as TWILIO_CODES

URL = "https://notify.shop.example/receipts/provider?ref=d_1"


@dataclass(frozen=True)
class Subject:
    """One adapter with everything the suite needs to try it. `module` is typed loosely: registry rows are modules."""

    name: str
    module: Any
    codes: OutcomeTable
    sender: Sender
    outgoing: Outgoing
    accepted: bytes
    webhook: bytes

    def refusal(self, code: int, subcode: int | None = None) -> bytes:
        """The provider's error body with this code."""
        words: dict[str, object] = {"message": "no", "code": code}
        if self.name == "twilio":
            return orjson.dumps({**words, "status": 400, "more_info": "https://errors.example"})
        return orjson.dumps({"error": words if subcode is None else {**words, "error_subcode": subcode}})

    def sign(self, body: bytes, secret: str) -> Mapping[str, str]:
        """The headers that the provider would send with `body` to URL."""
        if self.name == "meta":
            return {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}
        text = URL + "".join(name + value for name, value in sorted(parse_qsl(body.decode(), keep_blank_values=True)))
        digest = hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()
        return {"X-Twilio-Signature": base64.b64encode(digest).decode()}


META = Subject(
    name="meta",
    module=meta,
    codes=META_CODES,
    sender=Sender(
        name="nile-wa",
        channel="whatsapp",
        provider="meta",
        base_url="https://graph.facebook.com",
        account={"phone_number_id": "106540352242922", "api_version": "v25.0"},
        secrets={"token": ("EAAsecret-new", "EAAsecret-old"), "app_secret": ("app-secret",)},
    ),
    outgoing=Outgoing(
        ref="d_01HZX",
        to="+966500000001",
        message=TemplateMessage(
            template="order_shipped",
            language="ar",
            header=(("order", "1001"),),
            body=(("name", "ليلى"), ("carrier", "Aramex")),
            buttons=(Button(0, "url", "t/AB-12"), Button(1, "quick_reply", "STOP_UPDATES:1001")),
            text="ليلى، طلبك 1001 في الطريق",
        ),
        valid_for=timedelta(hours=4),
    ),
    accepted=b'{"messaging_product":"whatsapp","contacts":[{"input":"+966500000001","wa_id":"966500000001"}],'
    b'"messages":[{"id":"wamid.HBgL","message_status":"accepted"}]}',
    webhook=b'{"object":"whatsapp_business_account","entry":[{"id":"2","changes":[{"field":"messages","value":'
    b'{"statuses":[{"id":"wamid.HBgL","status":"delivered","timestamp":"1764590400",'
    b'"biz_opaque_callback_data":"d_01HZX"}]}}]}]}',
)

TWILIO = Subject(
    name="twilio",
    module=twilio,
    codes=TWILIO_CODES,
    sender=Sender(
        name="nile-sms",
        channel="sms",
        provider="twilio",
        base_url="https://api.twilio.com",
        account={"account_sid": "AC00000000000000000000000000000001", "from": "NILE"},
        secrets={"auth_token": ("secret-new", "secret-old")},
        callback_url="https://notify.shop.example/receipts/twilio",
    ),
    outgoing=Outgoing(
        ref="d_01HZX",
        to="+201000000001",
        message=TextMessage("Nile: order 1001 is on its way", 1, "gsm7"),
        valid_for=timedelta(hours=4),
    ),
    accepted=b'{"sid":"SM00000000000000000000000000000001","status":"queued","error_code":null}',
    webhook=b"MessageSid=SM00000000000000000000000000000001&MessageStatus=delivered&To=%2B201000000001",
)

SUBJECTS = (META, TWILIO)
