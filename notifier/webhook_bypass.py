"""When Redis is away: webhooks are read by the door itself, and their events planned and written into the ledger.

WooCommerce never sends a webhook twice, and Shopify gives up after four hours: better slow than lost. A body that
cannot be taken through would have to wait in the quarantine, which is away too: it is refused, and may come again.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from notifier.bypass import write_past_the_road
from notifier.inbox import Entry, RoadUnavailable
from notifier.intake import Refusal
from notifier.runtime import Runtime
from notifier.streams import Item
from notifier.webhook_stream import Webhook
from notifier.webhooks import Read, left_over, read_item, take_read


def take_past_the_road(runtime: Runtime, webhooks: Sequence[Webhook]) -> list[bool]:
    """Takes each webhook through on its own; whether it is safe. Raises LedgerUnavailable: perhaps some are."""
    return [_take(runtime, one) for one in webhooks]


def _take(runtime: Runtime, webhook: Webhook) -> bool:
    now = runtime.clock()
    item = Item(b"%d-0" % int(now.timestamp() * 1000), _fields(webhook), 1)
    read = read_item(runtime, item)
    if not isinstance(read, Read) or any(left_over(read)):
        return False
    refused: list[Refusal] = []

    def hand_in(entries: Sequence[Entry]) -> None:
        if not all(write_past_the_road(runtime, entries)):
            raise RoadUnavailable("an event cannot be planned, and the quarantine is away")

    try:
        take_read(runtime, [read], refused, hand_in, now)
    except RoadUnavailable:
        return False
    return not refused


def _fields(webhook: Webhook) -> dict[bytes, bytes]:
    return {
        b"shop": webhook.shop.encode(),
        b"source": webhook.source.encode(),
        b"headers": orjson.dumps(dict(webhook.headers)),
        b"body": webhook.body,
    }
