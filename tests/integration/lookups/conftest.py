"""A platform to ask, and the small shop whose sources ask it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from notifier.ledger import Ledger
from notifier.runtime import Runtime
from tests.fixtures.runtime import Clock, make_runtime
from tests.integration.lookups.platform import FakePlatform, running_platform


@pytest.fixture
def platform() -> Iterator[FakePlatform]:
    with running_platform() as found:
        yield found


@pytest.fixture
def runtime(
    ledger: Ledger, redis_client: Redis, clock: Clock, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> Runtime:
    """`nile` with a WooCommerce shop that can be asked, and a Shopify source that cannot."""
    monkeypatch.setenv("NOTIFIER_LOOKUP_NILE_WOO_KEY", "ck_1")
    monkeypatch.setenv("NOTIFIER_LOOKUP_NILE_WOO_SECRET", "cs_1")
    sources = {
        "woo": {"kind": "woocommerce", "look_up": {"kind": "woocommerce", "base_url": platform.url}},
        "shopify": {"kind": "shopify"},
    }
    events = {"order.confirmed": {"template": "order_confirmed"}}
    return make_runtime(ledger, redis_client, clock=clock, shops={"nile": {"sources": sources}}, events=events)
