"""Whether a deliver worker grows: its resident memory early, and after a million messages."""

from __future__ import annotations

import time
from collections.abc import Mapping
from statistics import median

from bench.errors import Broken
from bench.figures import Figure, measured
from bench.house import UNLIMITED, House
from bench.measure import rss_mb
from bench.parts.backlog import fill
from bench.say import say
from bench.stub import Stub

# The slowest that is waited for, messages a second.
_SLOWEST = 800

_PAUSE = 0.25  # seconds between two looks


def memory(house: House) -> Mapping[str, Figure]:
    """RSS of one `notifier worker` of the channels' queues while it works off one long backlog."""
    early, late = house.sizes.memory
    with house.stub("stub-memory") as stub, house.ledger("memory") as url:
        place = house.place("memory", url, {"lane-0": UNLIMITED}, stub.url)
        fill(place, late + house.sizes.backlog)  # still at work at the last look
        with place.workers(("whatsapp,sms,email", "sweeps")) as pids:
            looks = []
            for count in (early, late):
                looks.append(_usual(stub, pids["worker-0"], count, early // 2))
                say(f"after {count:,} messages: {looks[-1]:.1f} MB")
    return {"memory.worker_mb": measured(looks[1]), "memory.growth": measured(looks[1] / looks[0])}


def _usual(stub: Stub, pid: int, count: int, last: int) -> float:
    """The median of what it holds while the `last` of `count` messages leave: batches come and go by some MB."""
    if not stub.wait_for(count - last, 60 + count / _SLOWEST):
        raise Broken(f"only {stub.count():,} of {count:,} messages left in time")
    end = time.monotonic() + last / _SLOWEST
    held = [rss_mb(pid)]
    while stub.count() < count:
        if time.monotonic() > end:
            raise Broken(f"only {stub.count():,} of {count:,} messages left in time")
        time.sleep(_PAUSE)
        held.append(rss_mb(pid))
    return median(held)
