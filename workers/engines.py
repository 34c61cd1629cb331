"""HTTP engines, kept warm between the drains of a lane: a new one costs a TCP and a TLS handshake with the provider.

Not for long, and not many: an engine at rest holds as many sockets as its drain had requests under way. A worker
that had served a thousand lanes of thirty messages held 20,000, and could open nothing more.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final, NamedTuple

from notifier.runtime import Runtime
from notifier.transport import IDLE, Transport

MOST: Final = 32  # engines at rest in one process


class _Resting(NamedTuple):
    lane: str
    since: float  # monotonic
    engine: Transport


_resting: list[_Resting] = []  # the longest at rest first
_lock = Lock()


@contextmanager
def engine_for(runtime: Runtime, lane: str) -> Iterator[Transport]:
    """An engine for one drain of this lane; nobody else uses it meanwhile. One that failed in use is thrown away."""
    engine = _take(lane) or runtime.transport(lane)
    try:
        yield engine
    except BaseException:
        engine.close()
        raise
    _keep(lane, engine)


def _take(lane: str) -> Transport | None:
    """The engine of this lane that has rested least; its connections are the likeliest to be open."""
    with _lock:
        for at in reversed(range(len(_resting))):
            if _resting[at].lane == lane:
                return _resting.pop(at).engine
    return None


def _keep(lane: str, engine: Transport) -> None:
    """Lets it rest, and closes those whose connections are too old to be used again, or which are too many."""
    now = time.monotonic()
    with _lock:
        _resting.append(_Resting(lane, now, engine))
        fresh = next(at for at, one in enumerate(_resting) if now - one.since <= IDLE.total_seconds())
        spent = _resting[: max(fresh, len(_resting) - MOST)]
        del _resting[: len(spent)]
    for one in spent:
        one.engine.close()
