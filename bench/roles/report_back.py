"""What Meta tells about the messages that the stub took: sent, delivered and read, in signed and batched webhooks."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import time
from collections import deque
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.roles import play
from bench.roles.feed import Ears
from bench.stub import Arrival, Stub

# How long after the request each receipt is due, seconds; updates of one window go together, as Meta aggregates them.
LADDER = (("sent", 0.0), ("delivered", 1.0), ("read", 3.0))
WINDOW = 0.075
LARGEST = 1000

_STATUS = (
    '{"id":"%s","status":"%s","timestamp":"%d","recipient_id":"%s","biz_opaque_callback_data":"%s",'
    '"conversation":{"id":"6ceb9d929c9bdc4f90967a32f8639b62","origin":{"type":"utility"}},'
    '"pricing":{"billable":true,"pricing_model":"PMP","type":"regular","category":"utility"}}'
)
_BODY = (
    '{"object":"whatsapp_business_account","entry":[{"id":"%s","changes":[{"value":{"messaging_product":"whatsapp",'
    '"metadata":{"display_phone_number":"15550783881","phone_number_id":"%s"},"statuses":[%s]},"field":"messages"}]}]}'
)


class Meta:
    """The webhook client: one connection, one POST after the other."""

    def __init__(self, gateway_url: str, secret: str, waba_id: str, number_id: str) -> None:
        self._at = http.client.HTTPConnection(urlsplit(gateway_url).netloc, timeout=60)
        self._secret, self._ids = secret.encode(), (waba_id, number_id)

    def post(self, statuses: list[str]) -> bool:
        """Whether the gateway took them: anything but 200 Meta would send again."""
        body = (_BODY % (*self._ids, ",".join(statuses))).encode()
        signature = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={signature}"}
        self._at.request("POST", "/receipts/meta", body, headers)
        answer = self._at.getresponse()
        answer.read()
        return answer.status == 200


def report_back(log: str, gateway_url: str, secret: str, waba_id: str, number_id: str) -> dict[str, Any]:
    """Follows the stub's log; ends when nobody speaks to it any more and all is told."""
    meta, stub, ears = Meta(gateway_url, secret, waba_id, number_id), Stub("", 0, Path(log)), Ears()
    waiting: list[deque[Arrival]] = [deque() for _ in LADDER]
    seen = told = refused = 0
    while ears.open or any(waiting):
        ears.heard()
        begun = time.monotonic()
        for arrival in stub.arrivals(seen):
            seen += 1
            for rung in waiting:
                rung.append(arrival)
        due = _due(waiting)
        for start in range(0, len(due), LARGEST):
            while not meta.post(due[start : start + LARGEST]):
                refused += 1
                time.sleep(1)
        told += len(due)
        time.sleep(max(0.0, WINDOW - (time.monotonic() - begun)))
    return {"told": told, "refused": refused}


def _due(waiting: list[deque[Arrival]]) -> list[str]:
    now_ns, stamp = time.monotonic_ns(), int(time.time())
    found: list[str] = []
    for (status, after), rung in zip(LADDER, waiting, strict=True):
        while rung and now_ns - rung[0].at_ns >= after * 1e9:
            one = rung.popleft()
            found.append(_STATUS % (one.provider_id, status, stamp, one.to.decode().lstrip("+"), one.ref.decode()))
    return found


if __name__ == "__main__":
    play(report_back)
