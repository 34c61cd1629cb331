"""Coalesced wake-ups: of the many that notice work for a lane, one publishes a message, the others see that it did.

The flag `wake:<lane>` means "a wake-up is on its way and no drain has answered it yet".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from redis import Redis

from notifier.road import call, command, road

# A wake-up that nobody answers for that long is taken for lost, and the next who asks publishes again: the tick, which
# asks every second. Longer, and a lost message keeps a lane waiting; shorter, and busy workers are asked twice.
UNANSWERED = timedelta(seconds=3)

# It may wait this much longer for each that is published before it, up to a bound. One worker took 15 ms for a lane of
# a thousand, and the tick published three wake-ups for each of them before its drain came. The price: of very many
# lanes that are woken at once, one whose message is lost sleeps for UNANSWERED + MOST_QUEUED.
QUEUED = timedelta(milliseconds=20)
MOST_QUEUED = timedelta(seconds=7)

# KEYS the flags; ARGV: UNANSWERED, QUEUED and MOST_QUEUED, in ms. Answers with the places of those that were not up.
_ASK = """
local first = {}
for place, flag in ipairs(KEYS) do
  local ms = ARGV[1] + math.min(#first * ARGV[2], ARGV[3])
  if redis.call('SET', flag, 1, 'NX', 'PX', ms) then first[#first + 1] = place end
end
return first
"""


def ask(redis: Redis, prefix: str, lane: str) -> bool:
    """Asks for a drain of the lane. True: the caller must publish the wake-up; False: one is already on its way.

    Ask after the commit that made the work visible. Raises RoadUnavailable.
    """
    return bool(ask_many(redis, prefix, (lane,)))


def ask_many(redis: Redis, prefix: str, lanes: Sequence[str]) -> list[str]:
    """Asks for drains of several lanes in one round trip; returns those whose wake-up the caller must publish.

    Who cannot publish calls `unasked`, or the lanes wait until their flags end. Raises RoadUnavailable.
    """
    wanted = list(dict.fromkeys(lanes))
    if not wanted:
        return []
    with road("asking for drains"):
        places = call(
            redis.register_script(_ASK),
            [flag(prefix, lane) for lane in wanted],
            [span // timedelta(milliseconds=1) for span in (UNANSWERED, QUEUED, MOST_QUEUED)],
        )
    return [wanted[place - 1] for place in places]


def answered(redis: Redis, prefix: str, lane: str) -> None:
    """The drain is there: takes the flag down. Call it before the first read of the ledger, never after.

    Taken down after the last read, it would strand the message that was committed between that read and the deletion:
    its sender asked, saw the flag, published nothing, and the drain that it trusted has already looked. Taken down
    first, such an asking publishes one wake-up too many, which finds nothing to do. Raises RoadUnavailable.
    """
    with road("answering a wake-up"):
        command(redis, "DEL", flag(prefix, lane))


def unasked(redis: Redis, prefix: str, lanes: Sequence[str]) -> None:
    """Takes the flags down again of lanes for which no wake-up is on its way. Raises RoadUnavailable."""
    if lanes:
        with road("taking back wake-ups"):
            command(redis, "DEL", *(flag(prefix, lane) for lane in lanes))


def is_asked(redis: Redis, prefix: str, lane: str) -> bool:
    """Whether somebody asked for a drain and none has answered. Raises RoadUnavailable."""
    with road("looking for a wake-up"):
        return bool(command(redis, "EXISTS", flag(prefix, lane)))


def flag(prefix: str, lane: str) -> str:
    """The key of the lane's flag."""
    return f"{prefix}wake:{lane}"
