"""What is handed in, and how it must end: order events made from a seed, each with a mark that its message will show.

The mark travels as the order's number, so every wording shows it, and a message on a phone is known without our ledger.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final, Literal

from notifier.events import EVENT_KINDS, business_key

Expected = Literal["told", "silent", "either"]
Door = Literal["python", "file", "celery", "http"]
DOORS: Final[tuple[Door, ...]] = ("python", "celery", "http", "file")

MARK: Final = re.compile(r"X(\d{7})X")

# People of the sandbox's table who must be told whatever happens to the first try, on one channel or the other. Not the
# two whose first try is "too fast for the sender": of ten thousand events, hundreds would hold every lane at its least.
_TOLD = ("901", "902", "903", "904", "905", "906", "907", "916", "918", "919", "920")

# Nobody can be told: refused, or reachable on no channel.
_SILENT = ("909", "911")

# Not told, unless a fault takes the very try that would have failed: the answer to the first is lost before anything
# was accepted, the SMS is refused.
_EITHER = ("908", "912", "914", "917")

_LIFE = ("order.created", "payment.received", "order.shipped", "shipment.out_for_delivery", "order.delivered")
_ALONE = (*_LIFE, "order.confirmed", "order.cancelled", "order.refunded", "shipment.delayed")
_PARCEL = frozenset({"order.shipped", "shipment.out_for_delivery", "order.delivered", "shipment.delayed"})

# (shop, country, phone's beginning, digits that count up before the last three, language)
SHOPS: Final = (
    ("qamar-books", "SA", "+9665", 5, "ar"),
    ("atelie-lume", "BR", "+55119", 5, "pt_BR"),
    ("fern-and-kiln", "GB", "+44740", 4, "en"),
)
_SAUDI_NETWORKS = "0345689"


@dataclass(frozen=True, slots=True)
class Given:
    """One event to hand in. mark: shown by its message. at: seconds after the start. doors: more than one is a copy.

    order: which order it belongs to; expected: what must become of it when nothing later overtakes it.
    """

    mark: str
    at: float
    doors: tuple[Door, ...]
    order: tuple[str, str]
    key: str
    event: str
    shipment: str | None
    expected: Expected
    phone: str = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)
    plain: bool = False  # an ordinary reader's only message: what the time to recover is measured on

    @property
    def rank(self) -> int | None:
        return EVENT_KINDS[self.event].rank

    @property
    def always(self) -> bool:
        return EVENT_KINDS[self.event].always


def generate(seed: int, events: int, seconds: float, doors: Sequence[Door] = DOORS) -> list[Given]:
    """About `events` events, handed in over `seconds`, in the order of their times. The same seed gives the same.

    doors: those that are open; what would come by another comes by the first of them.
    """
    rng = random.Random(f"orders:{seed}")
    numbers, given = count(1), list[Given]()
    while len(given) < events:
        given += _order(rng, next(numbers), seconds)
    open_doors = [replace(one, doors=tuple(door if door in doors else doors[0] for door in one.doors)) for one in given]
    return sorted(open_doors, key=lambda one: one.at)


def readers(seed: int) -> Iterator[Given]:
    """Ordinary readers' only messages without end, for whoever wants load. The same seed gives the same."""
    rng = random.Random(f"readers:{seed}")
    for number in count(1):
        shop = SHOPS[number % len(SHOPS)]
        yield _given(
            rng, shop, number, 0, rng.choice(_ALONE), _phone(rng, shop, number, "001"), 0.0, "told", plain=True
        )


def _order(rng: random.Random, number: int, seconds: float) -> list[Given]:
    kind = rng.choices(("reader", "person", "life", "quiet"), weights=(55, 25, 16, 4))[0]
    shop = rng.choices(SHOPS, weights=(4, 4, 2))[0]
    start = rng.uniform(0.0, seconds)
    if kind == "reader":
        phone = _phone(rng, shop, number, f"{rng.randrange(900):03d}")
        return [_given(rng, shop, number, 0, rng.choice(_ALONE), phone, start, "told", plain=True)]
    if kind == "person":
        digits = rng.choice((*_TOLD, *_TOLD, *_SILENT, *_EITHER))
        expected: Expected = "silent" if digits in _SILENT else "either" if digits in _EITHER else "told"
        return [_given(rng, shop, number, 0, rng.choice(_ALONE), _phone(rng, shop, number, digits), start, expected)]
    if kind == "quiet":
        return [_quiet(rng, shop, number, start)]
    return list(_life(rng, shop, number, start, seconds))


def _life(rng: random.Random, shop: _Shop, number: int, start: float, seconds: float) -> Iterator[Given]:
    """Two to five events of one order, from at once to some seconds apart, sometimes told in the wrong order."""
    digits = f"{rng.randrange(900):03d}" if rng.random() < 0.7 else rng.choice(("901", "904", "906", "918", "920"))
    phone, at = _phone(rng, shop, number, digits), start
    steps = list(_LIFE[: rng.randint(2, len(_LIFE))])
    if rng.random() < 0.15:
        steps.append("order.cancelled")
    if rng.random() < 0.15:
        swapped = rng.randrange(len(steps) - 1)
        steps[swapped], steps[swapped + 1] = steps[swapped + 1], steps[swapped]
    for place, event in enumerate(steps):
        yield _given(rng, shop, number, place, event, phone, min(at, seconds), "told")
        at += rng.choice((0.0, rng.uniform(0.0, 1.0), rng.uniform(1.0, 8.0)))


def _quiet(rng: random.Random, shop: _Shop, number: int, start: float) -> Given:
    """Somebody who must not be told: said no, has no phone, or the shop does not tell of it."""
    phone = _phone(rng, shop, number, f"{rng.randrange(900):03d}")
    why = rng.choice(("refused", "no_phone", "disabled"))
    event = "order.processing" if why == "disabled" else "order.created"
    given = _given(rng, shop, number, 0, event, phone, start, "silent")
    customer: dict[str, Any] = dict(given.body["customer"])
    if why == "no_phone":
        del customer["phone"]
    if why == "refused":
        customer["consent"] = {**customer["consent"], "granted": False}
    return _replaced(given, {**given.body, "customer": customer})


def _replaced(given: Given, body: Mapping[str, Any]) -> Given:
    return Given(
        given.mark, given.at, given.doors, given.order, given.key, given.event, given.shipment, given.expected,
        given.phone, body,
    )  # fmt: skip


_Shop = tuple[str, str, str, int, str]


def _phone(rng: random.Random, shop: _Shop, number: int, digits: str) -> str:
    """A valid mobile of its own for every order, with the person in the last three digits."""
    _, country, beginning, width, _ = shop
    if country == "SA":
        network, rest = divmod(number, 10_000)
        return f"{beginning}{_SAUDI_NETWORKS[network % len(_SAUDI_NETWORKS)]}{rest:04d}{digits}"
    return f"{beginning}{number % 10**width:0{width}d}{digits}"


def _given(
    rng: random.Random,
    shop: _Shop,
    number: int,
    place: int,
    event: str,
    phone: str,
    at: float,
    expected: Expected,
    *,
    plain: bool = False,
) -> Given:
    name, country, _, _, language = shop
    order_id, mark = f"c{number}", f"X{number * 10 + place:07d}X"
    shipment = f"{order_id}-1" if event in _PARCEL else None
    key = business_key(name, order_id, event, shipment, None)
    said = datetime.now(UTC).isoformat(timespec="seconds")
    body: dict[str, Any] = {
        "shop": name,
        "event": event,
        "order_id": order_id,
        "order_number": mark,
        "customer": {
            "phone": phone,
            "country": country,
            "locale": language,
            "name": "Noor",
            "consent": {"granted": True, "purpose": "order_updates", "source": "checkout", "at": said},
        },
        "order": {"total": "20.00", "currency": "USD"},
    }
    if shipment:
        body["shipment"] = {"id": shipment, "carrier": "Post", "tracking_number": f"T{number}"}
    if event == "order.refunded":
        body["refund"] = {"amount": "20.00", "currency": "USD"}
    return Given(mark, at, _doors(rng), (name, order_id), key, event, shipment, expected, phone, body, plain)


def _doors(rng: random.Random) -> tuple[Door, ...]:
    """Mostly one door; every tenth event comes through two or three at once."""
    copies = rng.choices((1, 2, 3), weights=(90, 8, 2))[0]
    first: tuple[Door, ...] = tuple(rng.choices(DOORS, weights=(35, 30, 20, 15), k=copies))
    return first


def comparable(older: Given, newer: Given) -> bool:
    """Whether the newer event makes the older one pointless: further on the way, about the same parcel or the order."""
    if older.order != newer.order or older.rank is None or newer.rank is None or older.always:
        return False
    same = older.shipment == newer.shipment or older.shipment is None or newer.shipment is None
    return same and newer.rank > older.rank
