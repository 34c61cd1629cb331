"""Requests that come together share a round trip, and each gets its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from redis import Redis

from notifier.door import open_road
from notifier.gateway.commit import LARGEST_BATCH, LONGEST_QUEUE, Grouped, Overloaded
from notifier.gateway.receipts import Append, Body
from notifier.road import RoadUnavailable
from notifier.streams import Receipts
from tests.integration.gateway.conftest import PREFIX

Kept = Callable[[], list[dict[bytes, bytes]]]


class Counted(Receipts):
    """Remembers the sizes of the batches."""

    sizes: list[int]

    def append_many(self, bodies: Sequence[Body]) -> list[bool]:
        self.sizes.append(len(bodies))
        return super().append_many(bodies)


def counted(redis: Redis, max_length: int = 1000) -> Counted:
    receipts = Counted(redis, PREFIX, max_length=max_length)
    receipts.sizes = []
    return receipts


async def together(append: Append, number: int) -> list[bool | BaseException]:
    appends = (append(("meta", str(each).encode(), "")) for each in range(number))
    return await asyncio.gather(*appends, return_exceptions=True)


def test_all_that_wait_go_together_in_their_order_at_most_a_batch_at_a_time(redis_client: Redis, kept: Kept) -> None:
    receipts = counted(redis_client)

    answers = asyncio.run(together(Grouped(receipts.append_many), LARGEST_BATCH + 50))

    assert answers == [True] * 150
    assert receipts.sizes == [100, 50]
    assert [fields[b"body"] for fields in kept()] == [str(each).encode() for each in range(150)]


def test_each_is_told_for_itself_when_the_stream_fills_up_in_the_middle(redis_client: Redis, kept: Kept) -> None:
    answers = asyncio.run(together(Grouped(counted(redis_client, max_length=3).append_many), 5))

    assert answers == [True, True, True, False, False]
    assert len(kept()) == 3


def test_without_redis_all_are_told_and_the_next_ones_are_tried_again(closed_port: int) -> None:
    async def twice(append: Append) -> list[bool | BaseException]:
        return [*await together(append, 2), *await together(append, 1)]

    receipts = counted(open_road(f"redis://127.0.0.1:{closed_port}/0"))

    answers = asyncio.run(twice(Grouped(receipts.append_many)))

    assert [type(answer) for answer in answers] == [RoadUnavailable] * 3
    assert receipts.sizes == [2, 1]


def test_who_goes_away_while_waiting_spoils_nothing_for_the_others(redis_client: Redis, kept: Kept) -> None:
    async def one_leaves(append: Append) -> bool:
        leaving = asyncio.create_task(append(("meta", b"left", "")))
        staying = asyncio.create_task(append(("meta", b"stayed", "")))
        await asyncio.wait([leaving, staying], timeout=0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        return await staying

    assert asyncio.run(one_leaves(Grouped(counted(redis_client).append_many))) is True
    assert [fields[b"body"] for fields in kept()] == [b"left", b"stayed"]


def test_the_weight_of_each_counts_towards_a_batch_and_nothing_is_split() -> None:
    sizes: list[list[int]] = []

    def move(batch: Sequence[int]) -> Sequence[int]:
        sizes.append(list(batch))
        return [-one for one in batch]

    async def all_at_once() -> list[int]:
        shared = Grouped(move, largest=10)
        return await asyncio.gather(*(shared(each, weight=each) for each in (6, 4, 1, 25, 2)))

    assert asyncio.run(all_at_once()) == [-6, -4, -1, -25, -2]
    assert sizes == [[6, 4], [1], [25], [2]]


def test_who_would_wait_too_long_is_told_at_once() -> None:
    async def too_many() -> tuple[int | BaseException, int | BaseException]:
        shared: Grouped[int, int] = Grouped(lambda batch: batch)
        first = shared(1, weight=LONGEST_QUEUE + 1)
        return await asyncio.gather(first, shared(2), return_exceptions=True)

    first, second = asyncio.run(too_many())
    assert (first, type(second)) == (1, Overloaded)
