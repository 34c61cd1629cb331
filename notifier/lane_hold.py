"""One drain a lane: whoever holds the lane drains it, the others leave it the wake-up.

It saves work, and nothing depends on it: two drains of one lane are safe, claims skip each other's rows. So it is a
plain expiring key. A drain that was refused leaves the wake flag standing; the holder looks for it as it lets go, so
that work which came in between its last read and its end does not wait for the next tick.
"""

from __future__ import annotations

from datetime import timedelta

from redis import Redis

from notifier import wake
from notifier.road import call, command, road

# Longer than the slowest transaction of a turn; a drain that is silent for longer has died, and its lane waits so long.
HOLD = timedelta(seconds=5)

_MS = HOLD // timedelta(milliseconds=1)

# KEYS[1] the hold; ARGV: owner, ms.
_KEEP = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('PEXPIRE', KEYS[1], ARGV[2]) or 0"

# KEYS: the hold, the wake flag; ARGV: owner.
_LET_GO = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return redis.call('EXISTS', KEYS[2])
"""


class LaneHold:
    """The hold of one drain on one lane."""

    def __init__(self, redis: Redis, prefix: str, lane: str, owner: str) -> None:
        self._redis, self._owner = redis, owner
        self._key, self._flag = f"{prefix}drain:{lane}", wake.flag(prefix, lane)

    def take(self) -> bool:
        """True: the lane is ours for HOLD. Raises RoadUnavailable, as all of these do."""
        with road("holding a lane"):
            return bool(command(self._redis, "SET", self._key, self._owner, "NX", "PX", _MS))

    def keep(self) -> bool:
        """Prolongs the hold; False when it is not ours any more."""
        with road("holding a lane"):
            return bool(call(self._redis.register_script(_KEEP), [self._key], [self._owner, _MS]))

    def let_go(self) -> bool:
        """Gives the lane back, if it is still ours. True: somebody asked for a drain, and none has answered."""
        with road("holding a lane"):
            return bool(call(self._redis.register_script(_LET_GO), [self._key, self._flag], [self._owner]))
