"""The door for the shops' platforms: raw webhook bodies, whose signature the gateway has checked, for webhooks.py.

Key, behind the prefix: `webhooks` (fields shop, source, headers as JSON, body).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from redis import Redis

from notifier.inbox import InboxFull
from notifier.road import call_many, call_many_to_disk, load_script, road

# A full order is 10 to 100 kB: memory is the real bound, and this the last one.
MAX_LENGTH = 200_000


@dataclass(frozen=True, slots=True)
class Webhook:
    """One call of a platform. source: its name within the shop. headers: those that its parser reads, lower case."""

    shop: str
    source: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Webhooks:
    """Keeps webhook bodies until a worker reads them.

    durable: they are kept when they are on disk, as in inbox.py: WooCommerce never sends a webhook twice.
    """

    def __init__(self, redis: Redis, prefix: str, *, max_length: int = MAX_LENGTH, durable: bool = False) -> None:
        self._durable = durable
        self.stream = f"{prefix}webhooks"
        self._redis = redis
        self._max_length = max_length
        self._script = load_script(redis, "notifier", "append_webhook.lua")

    def append(self, webhook: Webhook) -> None:
        """Keeps one body. Raises InboxFull before anything is written; RoadUnavailable."""
        if not self.append_many([webhook])[0]:
            raise InboxFull.of("stream of webhooks", self._max_length, self._max_length)

    def append_many(self, webhooks: Sequence[Webhook]) -> list[bool]:
        """Keeps bodies, in one round trip. Answer the platform only after it returned.

        Returns for each whether it was kept; False: the stream was full. A body that is kept twice tells nothing twice.
        Raises RoadUnavailable: perhaps some were kept.
        """
        calls = [
            ((self.stream,), (self._max_length, one.shop, one.source, orjson.dumps(dict(one.headers)), one.body))
            for one in webhooks
        ]
        with road("keeping webhooks"):
            answers = call_many_to_disk(self._script, calls) if self._durable else call_many(self._script, calls)
        return [not isinstance(answer, int) for answer in answers]


def read_webhook(fields: Mapping[bytes, bytes]) -> Webhook:
    """The webhook that a stream item holds. Raises KeyError or ValueError when no door wrote the item."""
    headers = {str(name): str(value) for name, value in orjson.loads(fields[b"headers"]).items()}
    return Webhook(fields[b"shop"].decode(), fields[b"source"].decode(), headers, fields[b"body"])
