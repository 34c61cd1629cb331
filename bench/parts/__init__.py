"""The measurements, a file a group of figures, and who takes which."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.figures import Figure
from bench.house import House
from bench.parts import deliver, door, door_http, latency, lifecycle, limiter, memory, scale

# What a part returns: key -> figure, for every key of its own.
Part = Callable[[House], Mapping[str, Figure]]

PARTS: Mapping[str, Part] = {
    "deliver": deliver.deliver,
    "lifecycle": lifecycle.on_postgresql,
    "lifecycle_sqlite": lifecycle.on_sqlite,
    "door": door.door,
    "door_http": door_http.door_http,
    "limiter_80": limiter.at_80,
    "limiter_1000": limiter.at_1000,
    "throttled": limiter.throttled,
    "latency_idle": latency.idle,
    "latency_urgent": latency.urgent,
    "scale_rows": scale.rows,
    "scale_lanes": scale.lanes,
    "memory": memory.memory,
}
