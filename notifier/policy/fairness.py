"""Who goes first inside a lane: priority, then equal shares between shops, and nobody waits for ever.

A flow is the due work of one shop at one priority. Each whole step of `ageing` that its oldest message has waited lifts
it by one priority, up to the most urgent and no further: old bulk shares with the urgent, it does not go before them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

AGEING: Final = timedelta(minutes=10)
"""The usual wait for a step up: bulk is as good as urgent after 20 minutes, well inside every shelf life."""

_GUARANTEED: Final = 10  # one permit of ten goes to the level below: enough to move, too little to be felt above
_UNBOUNDED: Final = 1 << 40
_EPOCH: Final = datetime(2020, 1, 1, tzinfo=UTC)
_SCRAMBLE: Final = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: neighbours end far apart

Waiting = Mapping[tuple[int, str], int]
"""(priority, shop) -> how many are due. A count capped at the batch will do."""


class FlowLike(Protocol):
    """The due work of one shop at one priority, as the ledger finds it. oldest_due: aware UTC."""

    @property
    def priority(self) -> int: ...
    @property
    def shop(self) -> str: ...
    @property
    def oldest_due(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class Flow:
    """The same as a value of ours."""

    priority: int
    shop: str
    oldest_due: datetime


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `count` deliveries of this flow in this batch."""

    priority: int
    shop: str
    count: int


def shares(
    flows: Sequence[FlowLike],
    permits: int,
    now: datetime,
    ageing: timedelta = AGEING,
    waiting: Waiting | None = None,
) -> list[Quota]:
    """How a batch of `permits` is divided, the most urgent first. The counts sum to permits, or to all that waits.

    Between levels it is strict, but for one permit of ten that goes down to the next. Inside a level each priority that
    has risen to it gets the same, and in that each shop; what does not divide goes round.
    waiting: with it no share is larger than its flow and the rest goes to others; without it a small flow takes
    its whole share from the batch, and the others take the rest in the next one.
    """
    turn = _turn(now)
    sizes = {(flow.priority, flow.shop): _UNBOUNDED for flow in flows} | dict(waiting or {})
    levels = _levels(flows, now, ageing)
    wanted = [sum(_wanted(level, sizes)) for level in levels]
    granted = _between_levels(wanted, permits, turn % _GUARANTEED)
    return [
        quota
        for level, budget in zip(levels, granted, strict=True)
        for quota in _inside_level(level, sizes, budget, turn // _GUARANTEED)
        if quota.count
    ]


def _turn(now: datetime) -> int:
    """A large number that looks drawn, yet is the same for the same `now`.

    What does not divide goes round by it. Going to the longest waiting instead would hand every single permit of a slow
    sender to the shop with the largest backlog. Scrambled, so that a drain's own rhythm does not favour a place.
    """
    return (now - _EPOCH) // timedelta(microseconds=1) * _SCRAMBLE % (1 << 64) >> 16


def _levels(flows: Sequence[FlowLike], now: datetime, ageing: timedelta) -> list[list[FlowLike]]:
    found: defaultdict[int, list[FlowLike]] = defaultdict(list)
    for flow in sorted(flows, key=lambda flow: flow.oldest_due):
        risen = max(now - flow.oldest_due, timedelta(0)) // ageing
        found[max(flow.priority - risen, 0)].append(flow)
    return [found[level] for level in sorted(found)]


def _between_levels(wanted: Sequence[int], permits: int, turn: int) -> list[int]:
    granted = [0] * len(wanted)
    left = permits
    for place, want in enumerate(wanted):
        below = bool(wanted[place + 1 :])
        kept = (left + turn) // _GUARANTEED if below else 0
        granted[place] = min(want, left - kept)
        left -= granted[place]
    for place, want in enumerate(wanted):  # what the levels below could not use comes back up
        more = min(want - granted[place], left)
        granted[place] += more
        left -= more
    return granted


def _inside_level(flows: Sequence[FlowLike], sizes: Waiting, budget: int, turn: int) -> list[Quota]:
    by_priority: defaultdict[int, list[FlowLike]] = defaultdict(list)
    for flow in flows:
        by_priority[flow.priority].append(flow)
    groups = [by_priority[priority] for priority in sorted(by_priority)]
    budgets = _split(budget, [sum(_wanted(group, sizes)) for group in groups], turn)
    return [
        Quota(flow.priority, flow.shop, number)
        for group, part in zip(groups, budgets, strict=True)
        for flow, number in zip(group, _split(part, _wanted(group, sizes), turn // len(groups)), strict=True)
    ]


def _split(budget: int, wanted: Sequence[int], turn: int) -> list[int]:
    """Equal parts, none above what is wanted; the single ones that remain go to those whose turn it is."""
    parts = [0] * len(wanted)
    first = turn % len(wanted)
    places = [place for place in (*range(first, len(wanted)), *range(first)) if wanted[place]]
    while budget > 0 and places:
        each = max(budget // len(places), 1)
        for place in places[:budget]:
            more = min(each, wanted[place] - parts[place])
            parts[place] += more
            budget -= more
        places = [place for place in places if parts[place] < wanted[place]]
    return parts


def _wanted(flows: Sequence[FlowLike], sizes: Waiting) -> list[int]:
    return [sizes[flow.priority, flow.shop] for flow in flows]
