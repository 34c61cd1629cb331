"""The list of figures: what `bench/results.json` holds, and what each must reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.measure import median

Sense = Literal["at least", "at most"]
Verdict = Literal["holds", "fails", "published", "absent"]


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure. part: who measures it; bound: what it must reach, None: it is published, not judged.

    aim: what we would rather have. places: decimals when printed.
    """

    key: str
    part: str
    unit: str
    sense: Sense = "at least"
    bound: float | None = None
    aim: float | None = None
    places: int = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured: a sample a round, or none and the reason. broken: it should have been there."""

    samples: tuple[float, ...] = ()
    reason: str = ""
    broken: bool = False

    @property
    def median(self) -> float | None:
        return median(self.samples) if self.samples else None


def measured(*samples: float) -> Figure:
    return Figure(samples)


def absent(reason: str) -> Figure:
    """Not measured here, and why; no fault."""
    return Figure(reason=reason)


GOALS: Sequence[Goal] = (
    Goal("deliver.msgs_per_s", "deliver", "msg/s"),
    Goal("deliver.vs_celery_requests", "deliver", "×", bound=20, places=1),
    Goal("deliver.vs_bullmq", "deliver", "×", bound=2, places=2),
    Goal("deliver.vs_bare_http", "deliver", "×", bound=0.25, aim=0.35, places=3),
    Goal("lifecycle.msgs_per_s", "lifecycle", "msg/s", bound=1000, aim=2000),
    Goal("lifecycle.sqlite_msgs_per_s", "lifecycle_sqlite", "msg/s", bound=1000),
    Goal("door.notify_us", "door", "µs", "at most", 200),
    Goal("door.http_events_per_s", "door_http", "events/s", bound=2000, aim=3000),
    Goal("door.http_batch_events_per_s", "door_http", "events/s", bound=10_000),
    Goal("door.webhook_p99_ms", "door_http", "ms", "at most", 100, places=1),
    Goal("limiter.80.max_in_any_second", "limiter_80", "msg", "at most", 80),
    Goal("limiter.80.utilisation", "limiter_80", "", bound=0.95, aim=0.98, places=3),
    Goal("limiter.1000.max_in_any_second", "limiter_1000", "msg", "at most", 1000),
    Goal("limiter.1000.utilisation", "limiter_1000", "", bound=0.95, aim=0.98, places=3),
    Goal("limiter.throttled", "throttled", "answers", "at most", 0),
    Goal("latency.idle_p50_ms", "latency_idle", "ms", "at most", 25, places=1),
    Goal("latency.idle_p99_ms", "latency_idle", "ms", "at most", 100, places=1),
    Goal("latency.urgent_p99_ms", "latency_urgent", "ms", "at most", 1000, places=1),
    Goal("scale.deliver_ratio", "scale_rows", "", bound=0.9, places=2),
    Goal("scale.lanes_ratio", "scale_lanes", "", bound=0.5, places=2),
    Goal("memory.worker_mb", "memory", "MB", "at most", 120, places=1),
    Goal("memory.growth", "memory", "", "at most", 1.05, places=3),
    Goal("cost.us_per_msg.notify", "lifecycle", "µs", "at most"),
    Goal("cost.us_per_msg.intake", "lifecycle", "µs", "at most"),
    Goal("cost.us_per_msg.deliver", "lifecycle", "µs", "at most"),
    Goal("cost.us_per_msg.gateway", "lifecycle", "µs", "at most"),
    Goal("cost.us_per_msg.receipts", "lifecycle", "µs", "at most"),
    Goal("cost.us_per_msg.sweeps", "lifecycle", "µs", "at most"),
    Goal("cost.us_per_msg.postgresql", "lifecycle", "µs", "at most"),
    Goal("cost.us_per_msg.redis", "lifecycle", "µs", "at most"),
)

PARTS: tuple[str, ...] = tuple(dict.fromkeys(goal.part for goal in GOALS))


def keys_of(part: str) -> tuple[str, ...]:
    return tuple(goal.key for goal in GOALS if goal.part == part)


def parts_for(wanted: Sequence[str]) -> tuple[str, ...]:
    """The parts that measure these keys; a key may be shortened at a dot (`limiter`, `cost.us_per_msg`)."""
    if not wanted:
        return PARTS
    return tuple(
        dict.fromkeys(
            goal.part for goal in GOALS if any(goal.key == key or goal.key.startswith(f"{key}.") for key in wanted)
        )
    )


def verdict(goal: Goal, figure: Figure) -> Verdict:
    """What the median says about the goal."""
    if figure.broken:
        return "fails"
    if figure.median is None:
        return "absent"
    if goal.bound is None:
        return "published"
    holds = figure.median >= goal.bound if goal.sense == "at least" else figure.median <= goal.bound
    return "holds" if holds else "fails"
