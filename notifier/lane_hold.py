"""One drain a lane: whoever holds the lane drains it, the others leave it the wake-up.

It saves work, and nothing depends on it: two drains of one lane are safe, claims skip each other's rows. So it is a
plain expiring key. A drain that was refused leaves the wake flag standing; the holder looks for it after letting go, so
that work which came in between its last read and its end does not wait for the next tick.
"""

from __future__ import annotations

from datetime import timedelta

from redis import Redis

from notifier.road import call, road

# Longer than the slowest transaction of a turn; a drain that is silent for longer has died, and its lane waits so long.
HOLD = timedelta(seconds=5)

# Deletes, or prolongs, the hold if it is still ours. KEYS[1] the hold; ARGV: owner, ttl in ms (0: delete).
_IF_OURS = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[1]) end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""


class LaneHold:
    """The hold of one drain on one lane."""

    def __init__(self, redis: Redis, prefix: str, lane: str, owner: str) -> None:
        self._redis, self._owner = redis, owner
        self._key = f"{prefix}drain:{lane}"
        self._if_ours = redis.register_script(_IF_OURS)

    def take(self) -> bool:
        """True: the lane is ours for HOLD. Raises RoadUnavailable, as all of these do."""
        with road("holding a lane"):
            return bool(self._redis.set(self._key, self._owner, nx=True, px=HOLD))

    def keep(self) -> bool:
        """Prolongs the hold; False when it is not ours any more."""
        return self._set(HOLD)

    def let_go(self) -> None:
        """Gives the lane back, if it is still ours."""
        self._set(timedelta(0))

    def _set(self, ttl: timedelta) -> bool:
        with road("holding a lane"):
            return bool(call(self._if_ours, keys=[self._key], args=[self._owner, int(ttl.total_seconds() * 1000)]))
