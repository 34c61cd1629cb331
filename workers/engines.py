"""HTTP engines, kept warm between the drains of a lane: a new one costs a TCP and a TLS handshake with the provider."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from notifier.runtime import Runtime
from notifier.transport import Transport

_idle: dict[str, list[Transport]] = defaultdict(list)
_lock = Lock()


@contextmanager
def engine_for(runtime: Runtime, lane: str) -> Iterator[Transport]:
    """An engine for one drain of this lane; nobody else uses it meanwhile. One that failed in use is thrown away."""
    with _lock:
        engine = _idle[lane].pop() if _idle[lane] else None
    engine = engine or runtime.transport(lane)
    try:
        yield engine
    except BaseException:
        engine.close()
        raise
    with _lock:
        _idle[lane].append(engine)
