"""A ledger with messages that wait, for the parts that measure how they leave."""

from __future__ import annotations

from datetime import timedelta

from bench.house import Place
from bench.rows import Copies, copy
from notifier.ledger import open_ledger

# The number of the order that the copies are made of. Beyond all others, below the bound of orders.marker.
SEED = 8_900_000


def fill(
    place: Place, count: int, *, first: int = 0, event: str = "order.shipped", lanes: int = 0, seed: int = SEED
) -> None:
    """Puts `count` due deliveries into the ledger, besides the seed: one order event taken in, and copies of it."""
    place.role("roles.seed", number=seed, event=event, lane="lane-0", read=False)
    _copy(place, Copies(seed, first, count, lanes=lanes))


def age(place: Place, count: int, *, first: int = 0, ago: timedelta = timedelta(days=30), seed: int = SEED) -> None:
    """Puts `count` messages into the ledger that were sent and read long ago. Needs a stub at the lane's address."""
    place.role("roles.seed", number=seed, event="order.shipped", lane="lane-0", read=True)
    _copy(place, Copies(seed, first, count, aged=ago))


def _copy(place: Place, copies: Copies) -> None:
    ledger = open_ledger(place.database_url)
    copy(ledger, copies)
    ledger.dispose()
