"""What handing over costs the backend that does it."""

from __future__ import annotations

from collections.abc import Mapping

from bench.figures import Figure, measured
from bench.house import UNLIMITED, House


def door(house: House) -> Mapping[str, Figure]:
    """Mean µs of a `notify()` call in a process that does nothing else, a round a process."""
    sizes, samples = house.sizes, []
    place = house.place("door", "", {"lane-0": UNLIMITED}, "http://127.0.0.1:9")
    for number in range(sizes.rounds):
        first = number * (sizes.door_calls + 1)
        report = place.role("roles.call", first=first, count=sizes.door_calls, event="order.shipped", pause=0)
        samples.append(report["mean"] * 1e6)
    return {"door.notify_us": measured(*samples)}
