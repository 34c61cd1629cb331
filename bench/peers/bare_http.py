"""Our own transport in a bare loop: bodies made beforehand, no ledger, no limits, nothing read but the status.

What libcurl and Python cannot be pushed beyond: the share of it that a drain reaches is what the drain costs.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from bench.orders import phone
from bench.roles import play
from notifier.channels import adapter
from notifier.channels.contract import Outgoing, Request, Sender, TemplateMessage
from notifier.handles import Handles
from notifier.ids import new_id
from notifier.transport import Transport

# As a drain with its default settings has in flight.
IN_FLIGHT = 512

# Bodies are made before the clock starts, and sent in turn.
PREPARED = 5_000


def post(url: str, count: int) -> dict[str, Any]:
    """Posts `count` prepared requests; reports seconds."""
    requests = _prepared(url, min(count, PREPARED))
    hosts = frozenset({urlsplit(url).netloc})
    seconds = timedelta(seconds=20)
    handles = Handles(connect_timeout=seconds, timeout=seconds)
    with Transport(hosts, handles, max_connections=IN_FLIGHT) as transport:
        begun, submitted, ended = time.monotonic(), 0, 0
        while ended < count:
            while submitted < count and transport.in_flight < IN_FLIGHT:
                transport.submit(None, requests[submitted % len(requests)])
                submitted += 1
            ended += sum(exchange.status == 200 for exchange in transport.poll(seconds))
        return {"seconds": time.monotonic() - begun}


def _prepared(url: str, count: int) -> list[Request]:
    account = {"phone_number_id": "100000000000001"}
    token = "bench-token-of-about-the-length-that-tokens-of-meta-have" * 3
    sender = Sender("lane-0", "whatsapp", "meta", url, account, {"token": (token,)})
    build = adapter("meta").build
    return [
        build(Outgoing(new_id(), phone(number), _message(number), timedelta(hours=1)), sender)
        for number in range(count)
    ]


def _message(number: int) -> TemplateMessage:
    values = {
        "first_name": "Sara",
        "order_number": f"B-{number:08d}",
        "shop_name": "Bench & Sons",
        "carrier": "Swift Couriers",
        "tracking_number": f"SA{number:08d}77",
        "eta": "Thu, Dec 24",
    }
    return TemplateMessage("order_shipped", "en", (), tuple(values.items()), (), "")


if __name__ == "__main__":
    play(post)
