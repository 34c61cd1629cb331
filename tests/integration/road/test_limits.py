"""The limiter on a real server, with threads that lease at the same time."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from notifier.ids import new_id
from notifier.limits import Lease, Limiter
from tests.fixtures.redis_server import connect
from tests.unit.road.driven import RATES, Driven
from tests.unit.road.test_sender_window import STEPS, Shift, worst_second

RATE = 400.0
SECONDS = 1.6


def _work(url: str, end: float, uses: list[float]) -> None:
    """Leases, uses each permit at its time, gives back what it could not use; lateness beyond the lease's is void."""
    with connect(url) as redis:
        limiter = Limiter(redis, "n:", {"wa": RATE})
        while time.monotonic() < end:
            lease = limiter.lease("wa", 20)
            for start in lease.starts:
                due = lease.taken_at + start
                _rest(due - time.monotonic())
                if time.monotonic() <= due + lease.late.total_seconds():
                    uses.append(time.monotonic())
            if not lease.starts:
                _rest(lease.wait.total_seconds())


def _rest(seconds: float) -> None:
    threading.Event().wait(max(0.0, seconds))


def test_four_workers_together_stay_within_the_rate_of_every_sliding_second(redis_url: str) -> None:
    end = time.monotonic() + SECONDS
    uses: list[list[float]] = [[] for _ in range(4)]
    workers = [threading.Thread(target=_work, args=(redis_url, end, mine)) for mine in uses]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    merged = [moment for mine in uses for moment in mine]
    assert worst_second(merged) <= RATE
    assert all(uses)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["wa", "seven", "slow"]), STEPS)
def test_whatever_workers_do_a_real_server_keeps_every_sliding_second_within_the_rate(
    redis_client: Redis, sender: str, steps: list[tuple[str, int, float, float]]
) -> None:
    shift = Shift(sender, Driven(really=redis_client, prefix=f"{new_id()}:"))
    shift.play(steps)
    assert worst_second(shift.uses) <= RATES[sender]


def test_leases_of_concurrent_workers_never_overlap(redis_url: str) -> None:
    """By the server's own time: the tokens say where each lease ends, the spacing how long it is."""
    leases: list[Lease] = []

    def work() -> None:
        with connect(redis_url) as redis:
            limiter = Limiter(redis, "n:", {"wa": 1_000.0})
            for _ in range(50):
                lease = limiter.lease("wa", 3)
                if lease.starts:
                    leases.append(lease)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    spans = sorted((int(one.token) - len(one.starts) * one.spacing_us, int(one.token)) for one in leases)
    assert len(spans) > 4
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))


def test_every_limit_works_on_the_time_of_the_server(redis_client: Redis) -> None:
    limiter = Limiter(redis_client, "n:", {"wa": 80.0})
    lease = limiter.lease("wa", 5)
    assert limiter.give_back("wa", lease, 5) is True
    assert limiter.throttled("wa").throttles == 1
    assert [wait.total_seconds() > 5 for wait in limiter.admit_pairs("wa", ["+1"] * 46)] == [False] * 45 + [True]
    assert limiter.admit_portfolio("p", ["+1", "+2"], 1) == [True, False]
