"""A house for a test's processes: an empty Redis, an upgraded SQLite ledger, and a sandbox that knows the shop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from notifier.ledger import Ledger, open_ledger, upgrade
from notifier.sandbox.testing import SandboxClient
from tests.integration.workers.brokers import purge
from tests.integration.workers.processes import House


@pytest.fixture
def house(tmp_path: Path, redis_url: str, shop_sandbox: SandboxClient) -> House:
    made = House(tmp_path, redis_url, shop_sandbox.base_url)
    upgraded = open_ledger(made.ledger_url)
    upgrade(upgraded)
    upgraded.dispose()
    return made


@pytest.fixture(params=["redis", "rabbitmq"])
def either_house(request: pytest.FixtureRequest, house: House) -> House:
    """The house with Redis, or with RabbitMQ, as Celery's broker. Redis is the road in both."""
    if request.param == "rabbitmq":
        house.more["NOTIFIER_BROKER_URL"] = request.getfixturevalue("rabbitmq_url")
        purge(house.broker_url)
    return house


@pytest.fixture
def house_ledger(house: House) -> Iterator[Ledger]:
    """The ledger of the house's processes, to look into."""
    opened = open_ledger(house.ledger_url)
    yield opened
    opened.dispose()
