"""A worker whose Redis, as road and as Celery's broker, is looked up by a real Sentinel."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from notifier.ledger import open_ledger, upgrade
from notifier.sandbox.testing import SandboxClient
from notifier.sentinel import for_celery
from tests.fixtures.sentinel import watched_redis
from tests.integration.movements.incoming import an_order
from tests.integration.workers.processes import House, until

pytestmark = pytest.mark.timeout(240)


def test_events_reach_the_phone_before_and_after_a_failover(tmp_path: Path, shop_sandbox: SandboxClient) -> None:
    with watched_redis(tmp_path) as watched:
        house = House(tmp_path, watched.url, shop_sandbox.base_url)
        ledger = open_ledger(house.ledger_url)
        upgrade(ledger)
        ledger.dispose()
        broker, options = for_celery(watched.url)

        def send(order_id: str) -> None:
            event: Any = an_order(order_id, occurred_at=datetime.now(UTC).isoformat())
            with Celery("shop", broker=broker, broker_transport_options=options, set_as_current=False) as backend:
                backend.send_task("notifier.ingest", args=[event], queue="intake")

        with house.running("worker") as worker, house.running("beat"):
            send("1")
            until(lambda: len(shop_sandbox.phone("+201001234567")) == 1, "the first message is shown")
            watched.fail_over()
            send("2")
            until(lambda: len(shop_sandbox.phone("+201001234567")) == 2, "the second message is shown")
            assert worker.stop() == 0
