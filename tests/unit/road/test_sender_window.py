"""Whatever workers do, no sliding second holds more uses than the rate; checked with a log of all uses."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.limits import Lease, Limiter
from tests.unit.road.driven import RATES, Driven

WORKERS = 3

# op, worker, two numbers in [0, 1) that the op reads as it likes
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["lease", "lease", "lease", "crash", "slow", "return_late", "throttled", "set_back", "rest"]),
        st.integers(0, WORKERS - 1),
        st.floats(0, 1, exclude_max=True),
        st.floats(0, 1, exclude_max=True),
    ),
    min_size=20,
    max_size=80,
)


class Shift:
    """Workers of one sender: what they lease, use, lose and give back, and when each use really was."""

    def __init__(self, sender: str, driven: Driven | None = None) -> None:
        self.driven = driven or Driven()
        self.driven.out = self.driven.back = 0.0005
        self.sender = sender
        self.workers: list[Limiter] = [self.driven.limiter() for _ in range(WORKERS)]
        self.uses: list[float] = []
        self.kept: list[tuple[Limiter, Lease, int]] = []

    def play(self, steps: Sequence[tuple[str, int, float, float]]) -> None:
        for step in steps:
            self.step(*step)

    def step(self, op: str, worker: int, one: float, two: float) -> None:
        limiter = self.workers[worker]
        getattr(self, op)(limiter, one, two)
        self.driven.real += 0.03 * two

    def lease(self, limiter: Limiter, one: float, two: float) -> None:
        """Leases, uses a part up to 10 ms late, and gives the rest back at once, or after others have had a turn."""
        lease = limiter.lease(self.sender, 1 + int(one * 200))
        used = len(lease.starts) - int(two * len(lease.starts))
        self._use(lease, used, late=one * 0.01)
        if one < 0.5:
            limiter.give_back(self.sender, lease, len(lease.starts) - used)
        else:
            self.kept.append((limiter, lease, len(lease.starts) - used))

    def crash(self, limiter: Limiter, one: float, two: float) -> None:
        """Leases and dies: its successor knows nothing, not even the server's clock."""
        lease = limiter.lease(self.sender, 50)
        self._use(lease, int(one * len(lease.starts)), late=two * 0.01)
        self.workers[self.workers.index(limiter)] = self.driven.limiter()

    def slow(self, limiter: Limiter, one: float, two: float) -> None:
        """The call or its reply is held up."""
        self.driven.out, self.driven.back = 0.0005 + one * 0.1, 0.0005 + two * 0.1
        self.lease(limiter, one, two)
        self.driven.out = self.driven.back = 0.0005

    def return_late(self, limiter: Limiter, one: float, two: float) -> None:
        for keeper, lease, unused in self.kept:
            keeper.give_back(self.sender, lease, unused)
        self.kept.clear()

    def throttled(self, limiter: Limiter, one: float, two: float) -> None:
        if one < 0.2:
            limiter.throttled(self.sender)

    def set_back(self, limiter: Limiter, one: float, two: float) -> None:
        self.driven.skew -= one * 2

    def rest(self, limiter: Limiter, one: float, two: float) -> None:
        self.driven.real += one

    def _use(self, lease: Lease, number: int, late: float) -> None:
        for start in lease.starts[:number]:
            due = lease.taken_at + start
            moment = max(self.driven.real, due + late)
            if moment <= due + lease.late.total_seconds():
                self.uses.append(moment)


def worst_second(uses: Sequence[float]) -> int:
    """The greatest number of uses in any second, its ends included."""
    ordered, worst, begin = sorted(uses), 0, 0
    for end, moment in enumerate(ordered):
        while moment - ordered[begin] > 1.0:
            begin += 1
        worst = max(worst, end - begin + 1)
    return worst


def test_the_checker_sees_one_use_too_many() -> None:
    assert worst_second([i / 79.99 for i in range(200)]) == 80
    assert worst_second([i / 80.01 for i in range(200)]) == 81


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["wa", "seven", "slow"]), STEPS)
def test_no_sliding_second_holds_more_uses_than_the_rate(
    sender: str, steps: list[tuple[str, int, float, float]]
) -> None:
    shift = Shift(sender)
    shift.play(steps)
    assert worst_second(shift.uses) <= RATES[sender]


def test_greedy_workers_with_late_uses_stay_within_the_rate_and_close_to_it() -> None:
    shift = Shift("wa")
    begin = shift.driven.real
    for turn in range(600):
        limiter = shift.workers[turn % WORKERS]
        lease = limiter.lease("wa", 4)
        shift._use(lease, len(lease.starts), late=(turn * 7 % 10) / 1_000)
        shift.driven.real += 0.015
    assert worst_second(shift.uses) <= 80
    assert len(shift.uses) / (max(shift.uses) - begin) >= 0.96 * 80


def test_permits_returned_after_somebody_else_leased_are_not_dealt_out_twice() -> None:
    shift = Shift("wa")
    a, b, c = shift.workers
    unused = a.lease("wa", 6)
    shift._use(b.lease("wa", 6), 6, late=0.0)
    a.give_back("wa", unused, 6)
    for _ in range(60):
        lease = c.lease("wa", 12)
        shift._use(lease, len(lease.starts), late=0.0)
        shift.driven.real += 0.02
    assert worst_second(shift.uses) <= 80


def test_workers_whose_first_reply_is_held_up_use_their_permits_no_later_than_the_others() -> None:
    shift = Shift("wa")
    for turn in range(60):
        if turn < 20:  # a new worker each turn: it knows the server's clock by one slow call only
            shift.driven.slow_replies = iter([0.1])
            shift.workers[0] = shift.driven.limiter()
        lease = shift.workers[0].lease("wa", 12)
        shift._use(lease, len(lease.starts), late=0.0)
        shift.driven.real += 0.02
    assert worst_second(shift.uses) <= 80
