"""What the HTTP door takes: one process of `notifier gateway`, with Redis and whoever sends beside it.

Nobody reads what it takes: the door is measured, and the inbox is emptied after every round. Before that its length is
compared with what was answered 2xx, so that no figure counts an event that is not there.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from redis import Redis

from bench.errors import Broken
from bench.figures import Figure, measured
from bench.house import SHOP, SHOPIFY_SECRET, UNLIMITED, House, Place
from bench.load import Answered, drive, per_second, post, prepare
from bench.measure import cpu_seconds, percentile
from bench.orders import marker, order_event, phone
from bench.say import say
from notifier.keys import create_key
from notifier.ledger import open_ledger

# As many calls at a time as a busy backend has threads; long lists come from few.
CONNECTIONS, LIST_CONNECTIONS = 64, 4
LIST = 1_000

# Webhooks a second of the steady rate: far above the busiest hour of a large shop.
WEBHOOKS = 500.0

_NOBODY = "http://127.0.0.1:9"  # nothing is sent in this part

Make = Callable[[int], bytes]
"""number -> request"""


@dataclass(frozen=True, slots=True)
class Door:
    """A gateway that runs, and who may use it."""

    house: House
    place: Place
    pid: int
    key: str

    def round(self, name: str, make: Make, first: int, count: int, connections: int, rate: float = 0) -> list[Answered]:
        """Sends requests `first` and on, `count` of them."""
        file = prepare((make(number) for number in range(first, first + count)), self.place.home / f"{name}.requests")
        try:
            return drive(self.house.load, self.place.gateway_url, file, connections, rate)
        finally:
            file.unlink()

    def single(self, number: int) -> bytes:
        """One order event."""
        return post("/v1/events", orjson.dumps(order_event(number)), {"Authorization": f"Bearer {self.key}"})

    def list(self, number: int) -> bytes:
        """A list of order events, of the thousand that this number stands for."""
        events = [order_event(number * LIST + step) for step in range(LIST)]
        return post("/v1/events", orjson.dumps(events), {"Authorization": f"Bearer {self.key}"})

    def empty(self, stream: str, expected: int) -> None:
        """Raises Broken unless the stream holds exactly what was answered with a yes; then forgets it."""
        name = f"{self.place.prefix}{stream}"
        with Redis.from_url(self.place.redis_url) as redis:
            found = redis.xlen(name)
            redis.unlink(name)
        if found != expected:
            raise Broken(f"{expected} were answered with a yes, and {found} are in {name}")


def door_http(house: House) -> Mapping[str, Figure]:
    """Events a second one by one and in lists, and how long a shop's webhook takes at a steady rate; in rounds."""
    singles, lists, webhooks = [], [], []
    with _open(house) as door:
        _warm(door)
        for number in range(house.sizes.rounds):
            singles.append(_one_by_one(door, number))
            lists.append(_in_lists(door, number))
            webhooks.append(_webhooks(door, number))
    return {
        "door.http_events_per_s": measured(*singles),
        "door.http_batch_events_per_s": measured(*lists),
        "door.webhook_p99_ms": measured(*webhooks),
    }


@contextmanager
def _open(house: House) -> Iterator[Door]:
    with house.ledger("http") as url:
        place = house.place("http", url, {"lane-0": UNLIMITED}, _NOBODY)
        ledger = open_ledger(url)
        with ledger.begin() as conn:
            made = create_key(conn, SHOP, "bench", ("events:write",), UNLIMITED, datetime.now(UTC), "bench")
        ledger.dispose()
        with place.gateway() as pids:
            yield Door(house, place, pids["gateway"], made.secret)


def _warm(door: Door) -> None:
    """A gateway that has just started opens its connections; nobody restarts it for every round."""
    door.round("warm", door.single, 8_000_000, 100, CONNECTIONS)
    door.empty("inbox", 100)


def _one_by_one(door: Door, number: int) -> float:
    count = door.house.sizes.door_posts
    cpu = cpu_seconds(door.pid)
    found = door.round("single", door.single, number * count, count, CONNECTIONS)
    cpu = cpu_seconds(door.pid) - cpu
    door.empty("inbox", count)
    slow = percentile([one.seconds for one in found], 0.99) * 1e3
    say(f"one by one: {per_second(found):,.0f}/s, p99 {slow:.1f} ms, {cpu / count * 1e6:.0f} us CPU an event")
    return per_second(found)


def _in_lists(door: Door, number: int) -> float:
    count = door.house.sizes.door_batches
    cpu = cpu_seconds(door.pid)
    found = door.round("list", door.list, 1_000 + number * count, count, LIST_CONNECTIONS)
    cpu = cpu_seconds(door.pid) - cpu
    door.empty("inbox", count * LIST)
    say(f"in lists: {per_second(found, LIST):,.0f}/s, {cpu / count / LIST * 1e6:.0f} us CPU an event")
    return per_second(found, LIST)


def _webhooks(door: Door, number: int) -> float:
    """p99 in ms, each from the moment at which it was due: one that waits for those before it is late, too."""
    count = max(1, int(door.house.sizes.door_webhooks * WEBHOOKS))
    found = door.round("webhook", shopify_webhook, number * count, count, CONNECTIONS, WEBHOOKS)
    door.empty("webhooks", count)
    times = [one.seconds * 1e3 for one in found]
    middle, slow = percentile(times, 0.5), percentile(times, 0.99)
    say(f"webhooks at {WEBHOOKS:.0f}/s: p50 {middle:.1f} ms, p99 {slow:.1f} ms, max {max(times):.1f} ms")
    return slow


def shopify_webhook(number: int) -> bytes:
    """orders/create as Shopify sends it, signed as Shopify signs."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    order = {
        "id": 5_000_000_000_000 + number,
        "name": f"#{marker(number)}",
        "created_at": now,
        "updated_at": now,
        "currency": "SAR",
        "total_price": "149.90",
        "customer_locale": "en",
        "phone": phone(number),
        "customer": {"id": 7_000_000_000_000 + number, "first_name": "Sara"},
        "shipping_address": {"first_name": "Sara", "address1": "Olaya St 12", "city": "Riyadh", "country_code": "SA"},
        "line_items": [{"id": number * 10 + step, "title": "Desk lamp", "quantity": 1, "price": "49.90",
                        "sku": f"LAMP-{step}", "grams": 900, "vendor": "Bench"} for step in range(3)],
        "payment_gateway_names": ["visa"],
    }  # fmt: skip
    body = orjson.dumps(order)
    signature = base64.b64encode(hmac.digest(SHOPIFY_SECRET.encode(), body, "sha256")).decode()
    headers = {"X-Shopify-Topic": "orders/create", "X-Shopify-Hmac-Sha256": signature}
    return post(f"/v1/sources/{SHOP}/shopify", body, headers)
