"""HTTP engines, kept warm between drains: a new one costs a TCP and a TLS handshake with the provider.

Rather with the lane that it served, else with any: most lanes send to the same host. A thousand lanes of thirty
messages made 30,000 connections before, and left a fifth fewer messages a second.

Not for long, and not many: an engine at rest holds as many sockets as its drain had requests under way. A worker
that had served a thousand lanes of thirty messages held 20,000, and could open nothing more.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final, NamedTuple

from notifier.handles import IDLE
from notifier.process import trim_memory
from notifier.runtime import Runtime
from notifier.transport import Transport

MOST: Final = 32  # engines at rest in one process


class _Resting(NamedTuple):
    lane: str
    engine: Transport


_resting: list[_Resting] = []  # those that heard something last are last
_lock = Lock()


@contextmanager
def engine_for(runtime: Runtime, lane: str) -> Iterator[Transport]:
    """An engine for one drain of this lane; nobody else uses it meanwhile. One that failed in use is thrown away."""
    engine = _take(lane) or runtime.transport()
    try:
        yield engine
    except BaseException:
        engine.close()
        raise
    _keep(lane, engine)
    runtime.handles.free()
    trim_memory()


def _take(lane: str) -> Transport | None:
    """Of the engines that served this lane last, or else of all, the one that was used last: its connections are the
    likeliest to be open."""
    with _lock:
        if not _resting:
            return None
        own = [at for at, one in enumerate(_resting) if one.lane == lane]
        return _resting.pop(own[-1] if own else -1).engine


def _keep(lane: str, engine: Transport) -> None:
    """Lets it rest, and closes those whose connections are too old to be used again, or which are too many."""
    now = time.monotonic()
    with _lock:
        _resting.append(_Resting(lane, engine))
        # By their last answer: a wake-up that finds nothing to do takes one too, and wakes no connection.
        _resting.sort(key=lambda one: one.engine.heard_at)
        cold = sum(now - one.engine.heard_at > IDLE.total_seconds() for one in _resting)
        spent = _resting[: max(cold, len(_resting) - MOST)]
        del _resting[: len(spent)]
    for one in spent:
        one.engine.close()
