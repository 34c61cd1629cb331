"""A sandbox without doors, threads or wall clock: time moves when the test says so, a script answers webhooks."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from notifier.sandbox import practice_config
from notifier.sandbox.answers import Answer
from notifier.sandbox.app import SandboxApp
from notifier.sandbox.clock import SandboxClock
from notifier.sandbox.record import Arrival, Reply
from notifier.sandbox.webhooks import Post

NUMBER, WABA, TOKEN = "100000000000001", "200000000000001", "sandbox-token"
SECRET = "sandbox-app-secret"
BEARER = f"Bearer {TOKEN}"
SID, AUTH_TOKEN, SENDER = "AC" + "0" * 31 + "1", "sandbox-auth-token", "+15005550006"
BASIC = "Basic " + base64.b64encode(f"{SID}:{AUTH_TOKEN}".encode()).decode()
STARTED = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
EXACT = {"sent": 1.0, "delivered": 2.0, "read": 4.0, "sms_sent": 1.0, "sms_delivered": 2.0, "spread": 0.0}

SHIPPED: dict[str, Any] = {
    "name": "order_shipped",
    "language": "ar",
    "category": "UTILITY",
    "parameter_format": "NAMED",
    "message_send_ttl_seconds": 60,
    "components": [
        {
            "type": "BODY",
            "text": "مرحبا {{name}}، طلبك {{number}} في الطريق.",
            "example": {
                "body_text_named_params": [
                    {"param_name": "name", "example": "سارة"},
                    {"param_name": "number", "example": "17"},
                ]
            },
        },
        {"type": "FOOTER", "text": "للإيقاف أرسل STOP"},
        {
            "type": "BUTTONS",
            "buttons": [
                {"type": "URL", "text": "تتبع", "url": "https://shop.example/o/{{1}}", "example": ["17"]},
                {"type": "QUICK_REPLY", "text": "إيقاف"},
            ],
        },
    ],
}
SHIPPED_PARTS: list[dict[str, Any]] = [
    {
        "type": "body",
        "parameters": [
            {"type": "text", "parameter_name": "number", "text": "17"},
            {"type": "text", "parameter_name": "name", "text": "سارة"},
        ],
    },
    {"type": "button", "sub_type": "url", "index": "0", "parameters": [{"type": "text", "text": "17"}]},
]
SHIPPED_TEXT = "مرحبا سارة، طلبك 17 في الطريق.\nللإيقاف أرسل STOP\n[تتبع: https://shop.example/o/17]\n[إيقاف]"


def shipped(to: str = "+966500000001", ref: str = "d-1", parts: Any = None) -> dict[str, Any]:
    """A template message that the sandbox accepts."""
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": to,
        "biz_opaque_callback_data": ref,
        "type": "template",
        "template": {
            "name": "order_shipped",
            "language": {"code": "ar", "policy": "deterministic"},
            "components": SHIPPED_PARTS if parts is None else parts,
        },
    }


@dataclass
class Carried:
    """A copy of one webhook request as it left."""

    url: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))


@dataclass
class Script:
    """Answers webhooks with the scripted replies, then with 200."""

    clock: SandboxClock
    replies: list[Reply] = field(default_factory=list)
    carried: list[Carried] = field(default_factory=list)

    def carry(self, post: Post, done: Callable[[Post, Reply], None]) -> None:
        self.carried.append(Carried(post.url, dict(post.headers), post.body, self.clock.monotonic()))
        done(post, self.replies.pop(0) if self.replies else 200)


class Bench:
    """One sandbox at a standstill. `real`: the real seconds its limits see."""

    def __init__(self, **config: Any) -> None:
        self.real = 1000.0
        self.clock = SandboxClock(rate=0.0, real=lambda: self.real, started_at=STARTED)
        changes = {"ladder": EXACT, "batch_window": 0.0, "templates": [{"waba_id": WABA, **SHIPPED}], **config}
        self.app = SandboxApp(practice_config(**changes), self.clock)
        self.app.world.webhook_urls[NUMBER] = "http://product/meta"
        self.script = Script(self.clock)
        self.app.world.outbox.courier = self.script

    def send(
        self, payload: Any = None, version: float = 25.0, authorization: str = BEARER, number: str = NUMBER
    ) -> Answer:
        body = payload if isinstance(payload, bytes) else json.dumps(payload or shipped()).encode()
        return self.app.meta.send(version, number, authorization, body, f"/v{version}/{number}/messages")

    def text(self, **form: str) -> Answer:
        fields = {"To": "+966500000001", "From": SENDER, "Body": "hello", **form}
        return self.text_raw(fields)

    def text_raw(self, fields: dict[str, str], authorization: str = BASIC, account: str = SID) -> Answer:
        path = f"/2010-04-01/Accounts/{account}/Messages.json"
        return self.app.twilio.send(account, authorization, urlencode(fields).encode(), path)

    def advance(self, seconds: float) -> None:
        self.app.world.agenda.advance(seconds)

    @property
    def last(self) -> Arrival:
        return self.app.world.record.arrivals[-1]

    def statuses(self) -> list[dict[str, Any]]:
        """Every status object that Meta reported, in the order it left."""
        values = [
            change["value"]
            for post in self.script.carried
            for entry in post.json["entry"]
            for change in entry["changes"]
        ]
        return [status for value in values for status in value.get("statuses", [])]


def body_of(answer: Answer) -> Any:
    """The answer's JSON."""
    return json.loads(answer.body)


def code_of(answer: Answer) -> tuple[int, int]:
    """(HTTP status, provider code) of a refusal."""
    body = body_of(answer)
    return answer.status, body["error"]["code"] if "error" in body else body["code"]
