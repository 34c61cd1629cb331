"""Three shops on one lane, one of them flooding it: who is told when."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest
from redis import Redis

from notifier.booking import AGEING
from notifier.drain import drain
from notifier.ledger import Ledger, claims
from notifier.ledger.claims import Claimed
from notifier.transport import Transport
from tests.fixtures.drains import Scripted, due
from tests.fixtures.ledger import NOW
from tests.fixtures.runtime import Clock, World, make_runtime

URGENT, USUAL, BULK = 0, 1, 2
SECOND = timedelta(seconds=1)
FLOOD = 120
RATE = 200
BATCH = 31  # what the limiter admits within 150 ms, and one more


@pytest.fixture
def street(ledger: Ledger, redis_client: Redis) -> World:
    """Three shops that share the sender `nile-wa`; the flood of `nile` has waited for longer than anything else."""
    clock, route = Clock(), {"routes": [{"whatsapp": "nile-wa", "sms": "nile-sms"}]}
    shops = {
        name: {"display_name": name, "country": "EG", "default_locale": "ar", **route} for name in ("delta", "oasis")
    }
    return World(
        make_runtime(ledger, redis_client, clock=clock, shops=shops, senders={"nile-wa": {"rate": RATE}}), clock, []
    )


Told = Callable[[], list[str]]


@pytest.fixture
def told(street: World, monkeypatch: pytest.MonkeyPatch) -> Told:
    """Drains the lane; the shops of the messages in the order in which they were claimed.

    They leave in that order, too, but for those whose permit a busy machine overtook.
    """
    claimed: list[str] = []
    real = claims.claim

    def claim(*given: Any) -> list[Claimed]:
        batch = real(*given)
        claimed.extend(one.shop for one in batch)
        return batch

    def told() -> list[str]:
        transport = Scripted()
        drain(street.runtime, "nile-wa", cast("Transport", transport), threading.Event())
        assert len(set(transport.refs)) == len(claimed)
        return claimed

    monkeypatch.setattr(claims, "claim", claim)
    return told


def last(shops: list[str], name: str) -> int:
    """How many had left when the last message of this shop did."""
    return len(shops) - shops[::-1].index(name)


def test_shops_with_little_to_say_share_the_lane_with_the_one_that_floods_it(street: World, told: Told) -> None:
    due(street, FLOOD, shop="nile", due_at=NOW - 60 * SECOND)
    due(street, 20, shop="delta", due_at=NOW - 2 * SECOND)
    due(street, 20, shop="oasis", due_at=NOW - SECOND)
    shops = told()
    assert len(shops) == FLOOD + 40
    assert max(last(shops, "delta"), last(shops, "oasis")) <= 3 * 20 + BATCH
    assert shops[: last(shops, "oasis")].count("nile") >= 20  # and the flood was not held back either


def test_the_urgent_message_of_a_small_shop_goes_before_the_flood(street: World, told: Told) -> None:
    due(street, FLOOD, shop="nile", priority=BULK, due_at=NOW - 60 * SECOND)
    due(street, 20, shop="delta", priority=USUAL, due_at=NOW - 2 * SECOND)
    due(street, 20, shop="oasis", priority=URGENT, due_at=NOW - SECOND)
    shops = told()
    assert shops[:10] == ["oasis"] * 10
    assert last(shops, "oasis") <= 20 + 4  # one of ten goes to the level below, so that it never stands still
    assert last(shops, "delta") <= 40 + 8


def test_bulk_that_has_waited_for_long_goes_beside_the_urgent_flood(street: World, told: Told) -> None:
    due(street, FLOOD, shop="nile", priority=URGENT, due_at=NOW - SECOND)
    due(street, 10, shop="delta", priority=BULK, due_at=NOW - 2 * AGEING)
    due(street, 10, shop="oasis", priority=BULK, due_at=NOW - SECOND)
    shops = told()
    assert last(shops, "delta") <= 2 * 10 + BATCH
    assert last(shops, "oasis") > last(shops, "delta")
    assert last(shops, "oasis") < len(shops)  # the flood does not starve even what is neither urgent nor old
