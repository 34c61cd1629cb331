"""notifier.replay where two operators are at it at once, and where what is fed again comes a second time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from redis import Redis

from notifier.ledger import Ledger
from notifier.replay import Refusal, ReplayReport, feed_again, replay
from tests.fixtures.ledger import NOW
from tests.integration.cli.conftest import Terminal, an_order_event, as_lines
from tests.integration.cli.test_dead import deliveries_of, granted, unreached


def test_of_two_replays_at_once_one_opens_a_delivery(either: Terminal, ledger: Ledger) -> None:
    with ledger.begin() as conn:
        one = unreached(conn)
        granted(conn)
    runtime, start = either.runtime(), threading.Barrier(2)

    def act(by: str) -> ReplayReport:
        start.wait()
        with ledger.begin() as conn:
            return replay(conn, runtime, [one.notification.id], NOW, by)

    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(act, ("amira", "basma")))
    runtime.ledger.dispose()
    runtime.redis.close()

    assert sorted(len(report.opened) for report in reports) == [0, 1]
    [refused] = [verdict.refused for report in reports for verdict in report.refused]
    assert refused in (Refusal.MOVED, Refusal.NOT_DEAD)
    with ledger.read() as conn:
        assert sorted(row["state"] for row in deliveries_of(conn, one)) == ["expired", "queued"]


def test_an_event_that_is_fed_twice_becomes_one_notification(
    terminal: Terminal, sqlite_ledger: Ledger, redis_client: Redis, house: object
) -> None:
    runtime = terminal.runtime()
    body = as_lines(an_order_event()).strip().encode()
    runtime.quarantine.put({b"id": b"e-1", b"key": b"", b"door": b"celery", b"body": body}, "poison")
    items = runtime.quarantine.list(10)

    first, second = feed_again(runtime, items), feed_again(runtime, items)
    runtime.redis.close()
    runtime.ledger.dispose()
    terminal.take_in()

    assert [fed.problem for fed in (*first, *second)] == [None, None]
    assert redis_client.xlen("notifier:quarantine") == 0
    [order] = terminal.json("why", "o-1")["orders"]
    assert [(event["door"], event["copies"]) for event in order["events"]] == [("celery", 0)]
