"""Requests that come together share a round trip, and each gets its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from redis import Redis

from notifier.door import open_road
from notifier.gateway.commit import LARGEST_BATCH, Body, GroupCommit
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


async def together(commit: GroupCommit, number: int) -> list[bool | BaseException]:
    appends = (commit.append("meta", str(each).encode(), "") for each in range(number))
    return await asyncio.gather(*appends, return_exceptions=True)


def test_all_that_wait_go_together_in_their_order_at_most_a_batch_at_a_time(redis_client: Redis, kept: Kept) -> None:
    receipts = counted(redis_client)

    answers = asyncio.run(together(GroupCommit(receipts), LARGEST_BATCH + 50))

    assert answers == [True] * 150
    assert receipts.sizes == [100, 50]
    assert [fields[b"body"] for fields in kept()] == [str(each).encode() for each in range(150)]


def test_each_is_told_for_itself_when_the_stream_fills_up_in_the_middle(redis_client: Redis, kept: Kept) -> None:
    answers = asyncio.run(together(GroupCommit(counted(redis_client, max_length=3)), 5))

    assert answers == [True, True, True, False, False]
    assert len(kept()) == 3


def test_without_redis_all_are_told_and_the_next_ones_are_tried_again(closed_port: int) -> None:
    async def twice(commit: GroupCommit) -> list[bool | BaseException]:
        return [*await together(commit, 2), *await together(commit, 1)]

    receipts = counted(open_road(f"redis://127.0.0.1:{closed_port}/0"))

    answers = asyncio.run(twice(GroupCommit(receipts)))

    assert [type(answer) for answer in answers] == [RoadUnavailable] * 3
    assert receipts.sizes == [2, 1]


def test_who_goes_away_while_waiting_spoils_nothing_for_the_others(redis_client: Redis, kept: Kept) -> None:
    async def one_leaves(commit: GroupCommit) -> bool:
        leaving = asyncio.create_task(commit.append("meta", b"left", ""))
        staying = asyncio.create_task(commit.append("meta", b"stayed", ""))
        await asyncio.wait([leaving, staying], timeout=0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        return await staying

    assert asyncio.run(one_leaves(GroupCommit(counted(redis_client)))) is True
    assert [fields[b"body"] for fields in kept()] == [b"left", b"stayed"]
