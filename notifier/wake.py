"""Coalesced wake-ups: of the many that notice work for a lane, one publishes a message, the others see that it did.

The flag `wake:<lane>` means "a wake-up is on its way and no drain has answered it yet".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from redis import Redis

from notifier.road import road

# A wake-up that nobody answers for that long is taken for lost, and the next who asks publishes again: the tick, which
# asks every second. Longer, and a lost message keeps a lane waiting; shorter, and busy workers are asked twice.
UNANSWERED = timedelta(seconds=3)


def ask(redis: Redis, prefix: str, lane: str) -> bool:
    """Asks for a drain of the lane. True: the caller must publish the wake-up; False: one is already on its way.

    Ask after the commit that made the work visible. Raises RoadUnavailable.
    """
    return bool(ask_many(redis, prefix, (lane,)))


def ask_many(redis: Redis, prefix: str, lanes: Sequence[str]) -> list[str]:
    """Asks for drains of several lanes in one round trip; returns those whose wake-up the caller must publish.

    Who cannot publish calls `answered`, or the lane stays unasked for up to a minute. Raises RoadUnavailable.
    """
    wanted = list(dict.fromkeys(lanes))
    if not wanted:
        return []
    with road("asking for drains"), redis.pipeline(transaction=False) as pipe:
        for lane in wanted:
            pipe.set(_flag(prefix, lane), 1, nx=True, px=UNANSWERED)
        answers = pipe.execute()
    return [lane for lane, first in zip(wanted, answers, strict=True) if first]


def answered(redis: Redis, prefix: str, lane: str) -> None:
    """The drain is there: takes the flag down. Call it before the first read of the ledger, never after.

    Taken down after the last read, it would strand the message that was committed between that read and the deletion:
    its sender asked, saw the flag, published nothing, and the drain that it trusted has already looked. Taken down
    first, such an asking publishes one wake-up too many, which finds nothing to do. Raises RoadUnavailable.
    """
    with road("answering a wake-up"):
        redis.delete(_flag(prefix, lane))


def is_asked(redis: Redis, prefix: str, lane: str) -> bool:
    """Whether somebody asked for a drain and none has answered. Raises RoadUnavailable."""
    with road("looking for a wake-up"):
        return bool(redis.exists(_flag(prefix, lane)))


def _flag(prefix: str, lane: str) -> str:
    return f"{prefix}wake:{lane}"
