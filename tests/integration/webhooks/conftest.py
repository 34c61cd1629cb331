"""The small shop with a Shopify and a WooCommerce source, on either database."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from redis import Redis

from notifier.ledger import Ledger
from notifier.runtime import Runtime
from tests.fixtures.runtime import Clock, make_runtime
from tests.integration.webhooks.platforms import SETTINGS


@pytest.fixture
def runtime(ledger: Ledger, redis_client: Redis, clock: Clock) -> Runtime:
    return make_runtime(ledger, redis_client, clock=clock, **SETTINGS)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nobody listens for as long as the test runs: bound, and never listened on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
