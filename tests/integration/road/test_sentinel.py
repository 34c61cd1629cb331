"""notifier's own client behind a real Sentinel, while the primary dies."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from notifier.cli.network import problem_with_broker
from notifier.door import notify, open_road
from notifier.inbox import Inbox, RoadUnavailable, Ticket
from tests.fixtures.sentinel import watched_redis
from tests.integration.movements.incoming import an_order

pytestmark = pytest.mark.timeout(180)


def insist(event: dict[str, Any], inbox: Inbox) -> Ticket:
    """Hands in as a shop does, which calls again after any error: a connection of before may still be in the pool."""
    for _ in range(200):
        try:
            return notify(event, inbox=inbox)
        except RoadUnavailable:
            time.sleep(0.05)
    raise AssertionError("the road stayed away")


def test_the_door_goes_on_with_the_new_primary_and_knows_what_the_old_one_had(tmp_path: Path) -> None:
    with watched_redis(tmp_path) as watched, closing(open_road(watched.url)) as road:
        inbox = Inbox(road)
        first = notify(an_order("1"), inbox=inbox)
        road.wait(1, 10_000)
        watched.fail_over()
        assert insist(an_order("1"), inbox) == Ticket(first.event_id, "duplicate")
        assert insist(an_order("2"), inbox).status == "queued"
        assert inbox.stats().length == 2
        assert problem_with_broker(watched.url) is None


def test_without_a_primary_the_road_is_away_and_says_so(tmp_path: Path) -> None:
    with watched_redis(tmp_path) as watched, closing(open_road(watched.url)) as road:
        watched.replica.kill()
        watched.primary.kill()
        with pytest.raises(RoadUnavailable):
            Inbox(road).stats()
