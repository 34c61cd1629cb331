from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.policy.fairness import AGEING, Flow, Quota, shares

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
URGENT, NORMAL, BULK = 0, 1, 2


def flow(priority: int, shop: str = "a", waited: timedelta = timedelta(0)) -> Flow:
    return Flow(priority, shop, NOW - waited)


def divided(flows: list[Flow], permits: int, **waiting: int) -> list[tuple[int, str, int]]:
    """waiting: p0_a=3 means three of shop a at priority 0."""
    known = {(int(name[1]), name[3:]): number for name, number in waiting.items()}
    return [(quota.priority, quota.shop, quota.count) for quota in shares(flows, permits, NOW, AGEING, known or None)]


@pytest.mark.parametrize(
    ("label", "flows", "permits", "expected"),
    [
        ("nothing due", [], 100, []),
        ("no permits", [flow(NORMAL)], 0, []),
        ("one flow takes all", [flow(BULK)], 100, [(BULK, "a", 100)]),
        ("shops share alike", [flow(NORMAL, "a"), flow(NORMAL, "b")], 100, [(NORMAL, "a", 50), (NORMAL, "b", 50)]),
        ("urgent first, and a tenth for the next", [flow(BULK), flow(URGENT)], 100,
         [(URGENT, "a", 90), (BULK, "a", 10)]),
        ("and a tenth of that for the next but one", [flow(BULK), flow(URGENT), flow(NORMAL)], 100,
         [(URGENT, "a", 90), (NORMAL, "a", 9), (BULK, "a", 1)]),
        ("a step risen", [flow(NORMAL, "a"), flow(BULK, "b", AGEING)], 100, [(NORMAL, "a", 50), (BULK, "b", 50)]),
        ("not quite risen", [flow(NORMAL, "a"), flow(BULK, "b", AGEING - timedelta(seconds=1))], 100,
         [(NORMAL, "a", 90), (BULK, "b", 10)]),
        ("old bulk shares with the urgent and never goes before", [flow(URGENT, "a"), flow(BULK, "b", 99 * AGEING)],
         100, [(URGENT, "a", 50), (BULK, "b", 50)]),
        ("a due time ahead of the clock is now", [flow(NORMAL, "a", -AGEING)], 10, [(NORMAL, "a", 10)]),
    ],
)  # fmt: skip
def test_a_batch_is_divided(label: str, flows: list[Flow], permits: int, expected: list[tuple[int, str, int]]) -> None:
    assert divided(flows, permits) == expected


def test_a_known_small_flow_leaves_the_rest_of_its_share_to_others() -> None:
    flows = [flow(URGENT, "a"), flow(BULK, "b")]
    assert divided(flows, 100, p0_a=3, p2_b=500) == [(URGENT, "a", 3), (BULK, "b", 97)]
    assert divided(flows, 100, p0_a=500, p2_b=2) == [(URGENT, "a", 98), (BULK, "b", 2)]
    assert divided(flows, 100, p0_a=3, p2_b=2) == [(URGENT, "a", 3), (BULK, "b", 2)]


def test_inside_a_level_too() -> None:
    flows = [flow(NORMAL, "a"), flow(NORMAL, "b"), flow(NORMAL, "c")]
    assert divided(flows, 90, p1_a=10, p1_b=500, p1_c=500) == [(NORMAL, "a", 10), (NORMAL, "b", 40), (NORMAL, "c", 40)]


def turns(flows: list[Flow], permits: int, number: int) -> Counter[str]:
    """What each shop gets in so many batches, one every 13 ms or so."""
    total: Counter[str] = Counter()
    for turn in range(number):
        for quota in shares(flows, permits, NOW + turn * timedelta(microseconds=13_001)):
            total[quota.shop] += quota.count
    return total


def test_less_than_a_whole_permit_takes_turns() -> None:
    """A sender of one message a second has one permit at a time: about one in ten is the lower level's."""
    total = turns([Flow(URGENT, "a", NOW), Flow(BULK, "b", NOW)], 1, 1000)
    assert total.total() == 1000
    assert 80 <= total["b"] <= 120


def test_what_does_not_divide_goes_round_however_long_each_has_waited() -> None:
    flows = [Flow(NORMAL, f"shop{number}", NOW - number * timedelta(seconds=1)) for number in range(7)]
    total = turns(flows, 3, 700)
    assert total.total() == 2100
    assert all(270 <= number <= 330 for number in total.values())


def test_the_same_instant_gives_the_same_shares() -> None:
    flows = [flow(NORMAL, "a"), flow(NORMAL, "b"), flow(BULK, "c")]
    assert shares(flows, 7, NOW) == shares(flows, 7, NOW)


FLOWS = st.lists(
    st.builds(
        lambda priority, shop, waited: Flow(priority, f"shop{shop}", NOW - timedelta(seconds=waited)),
        st.integers(0, 2),
        st.integers(0, 30),
        st.integers(0, 7200),
    ),
    unique_by=lambda one: (one.priority, one.shop),
    max_size=40,
)
LATER = st.integers(0, 999_999).map(lambda us: NOW + timedelta(microseconds=us))


@given(FLOWS, st.integers(0, 500), LATER)
def test_the_shares_sum_to_the_permits_and_name_each_flow_once(flows: list[Flow], permits: int, now: datetime) -> None:
    found = shares(flows, permits, now)
    assert sum(quota.count for quota in found) == (permits if flows else 0)
    assert all(quota.count > 0 for quota in found)
    names = [(quota.priority, quota.shop) for quota in found]
    assert len(set(names)) == len(names)
    assert set(names) <= {(one.priority, one.shop) for one in flows}


@given(FLOWS, st.integers(0, 500), LATER, st.integers(0, 1000))
def test_with_known_sizes_nothing_is_wasted_and_nothing_exceeds_its_flow(
    flows: list[Flow], permits: int, now: datetime, seed: int
) -> None:
    waiting = {(one.priority, one.shop): (seed * 31 + place * 17) % 60 for place, one in enumerate(flows)}
    found = shares(flows, permits, now, AGEING, waiting)
    assert sum(quota.count for quota in found) == min(permits, sum(waiting.values()))
    assert all(quota.count <= waiting[quota.priority, quota.shop] for quota in found)


@given(FLOWS, st.integers(0, 500), LATER)
def test_shops_of_one_level_and_priority_differ_by_one_at_most(flows: list[Flow], permits: int, now: datetime) -> None:
    fresh = [Flow(one.priority, one.shop, now) for one in flows]
    counts = {(quota.priority, quota.shop): quota.count for quota in shares(fresh, permits, now)}
    for priority in range(3):
        level = [counts.get((one.priority, one.shop), 0) for one in fresh if one.priority == priority]
        assert not level or max(level) - min(level) <= 1


@given(FLOWS, st.integers(10, 500), LATER)
def test_urgent_work_is_in_every_batch(flows: list[Flow], permits: int, now: datetime) -> None:
    """So an urgent message is never behind bulk by more than the batch that was under way when it came."""
    urgent = [one for one in flows if one.priority == URGENT]
    found = sum(quota.count for quota in shares(flows, permits, now) if quota.priority == URGENT)
    guaranteed_below = permits // 10 + 1
    assert found >= ((permits - guaranteed_below) // 3 if urgent else 0)


def run(queues: dict[tuple[int, str], list[datetime]], permits: int, turns: int, step: timedelta) -> list[list[Quota]]:
    """Serves real queues, oldest first, `turns` times; the drain without its ledger."""
    batches = []
    for turn in range(turns):
        now = NOW + turn * step
        flows = [Flow(*name, due[0]) for name, due in queues.items() if due]
        batch = shares(flows, permits, now)
        for quota in batch:
            del queues[quota.priority, quota.shop][: quota.count]
        batches.append(batch)
    return batches


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(0, 2), st.integers(1, 20))
def test_a_flooding_shop_does_not_starve_the_others(permits: int, flood_priority: int, others: int) -> None:
    queues = {(flood_priority, "flood"): [NOW] * 20_000}
    queues |= {(NORMAL, f"shop{number}"): [NOW] * 3 for number in range(others)}
    run(queues, permits, turns=400, step=timedelta(seconds=7, microseconds=137))
    assert [name for name, due in queues.items() if due and name[1] != "flood"] == []


def test_bulk_moves_even_under_endless_urgent_work() -> None:
    queues = {(URGENT, "a"): [NOW] * 100_000, (BULK, "b"): [NOW] * 50}
    run(queues, 20, turns=30, step=timedelta(seconds=1))
    assert queues[BULK, "b"] == []


def test_a_new_urgent_message_leaves_with_the_next_batch_whatever_waits() -> None:
    queues = {(BULK, f"shop{number}"): [NOW - 50 * AGEING] * 1000 for number in range(300)}
    run(queues, 100, turns=3, step=timedelta(seconds=1))
    queues[URGENT, "late"] = [NOW]
    (batch,) = run(queues, 100, turns=1, step=timedelta(seconds=1))
    assert queues[URGENT, "late"] == []
    assert batch[0].shop == "late"
