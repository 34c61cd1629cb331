"""Whether a deliver worker grows: its resident memory early, and after a million messages."""

from __future__ import annotations

from collections.abc import Mapping

from bench.errors import Broken
from bench.figures import Figure, measured
from bench.house import UNLIMITED, House
from bench.measure import rss_mb
from bench.parts.backlog import fill
from bench.say import say

# The slowest that is waited for, messages a second.
_SLOWEST = 800


def memory(house: House) -> Mapping[str, Figure]:
    """RSS of one `notifier worker` of the channels' queues while it works off one long backlog."""
    early, late = house.sizes.memory
    with house.stub("stub-memory") as stub:
        place = house.place("memory", house.new_ledger("memory"), {"lane-0": UNLIMITED}, stub.url)
        fill(place, late + house.sizes.backlog)  # still at work at the last look
        with place.workers(("whatsapp,sms,email", "sweeps")) as pids:
            looks = []
            for count in (early, late):
                if not stub.wait_for(count, 60 + count / _SLOWEST):
                    raise Broken(f"only {stub.count():,} of {count:,} messages left in time")
                looks.append(rss_mb(pids["worker-0"]))
                say(f"after {count:,} messages: {looks[-1]:.1f} MB")
    return {"memory.worker_mb": measured(looks[1]), "memory.growth": measured(looks[1] / looks[0])}
