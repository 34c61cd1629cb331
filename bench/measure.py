"""Reading the machine: CPU seconds and memory from /proc, percentiles, sliding windows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import ceil
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, with all of its threads; its children are not in it."""
    own = _times(Path(f"/proc/{pid}/stat"))
    return own[0] if own else 0.0


def tree_cpu_seconds(pid: int) -> float:
    """The same for a process, the children that it has waited for, and those that live (PostgreSQL's backends)."""
    total = sum(_times(Path(f"/proc/{pid}/stat")) or (0.0, 0.0))
    for place in Path("/proc").glob("[0-9]*/stat"):
        if _parent(place) == pid:
            total += sum(_times(place) or (0.0, 0.0))
    return total


def rss_mb(pid: int) -> float:
    """Resident memory of a process, MB (10^6 bytes)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least `share` of them do not exceed (nearest rank)."""
    return sorted(samples)[max(0, ceil(share * len(samples)) - 1)]


def median(samples: Sequence[float]) -> float:
    """The middle sample, or the mean of the two in the middle."""
    ordered, half = sorted(samples), len(samples) // 2
    return ordered[half] if len(samples) % 2 else (ordered[half - 1] + ordered[half]) / 2


def most_in_any(times: Sequence[float], window: float) -> int:
    """The most moments in any half-open stretch of `window` seconds."""
    ordered = sorted(times)
    most = first = 0
    for last, moment in enumerate(ordered):
        while moment - ordered[first] >= window:
            first += 1
        most = max(most, last - first + 1)
    return most


def rate_between(times: Sequence[float]) -> float:
    """Events a second from the first moment to the last."""
    span = max(times) - min(times)
    return (len(times) - 1) / span if span else 0.0


def _fields(place: Path) -> list[str]:
    """What follows the command's name, which may hold spaces and brackets: field 0 here is field 3 of proc(5)."""
    try:
        return place.read_text().rpartition(")")[2].split()
    except OSError:  # it ended meanwhile
        return []


def _times(place: Path) -> tuple[float, float] | None:
    """Seconds of its own, and of the children that it waited for."""
    fields = _fields(place)
    if not fields:
        return None
    user, system, children_user, children_system = map(int, fields[11:15])
    return (user + system) / _TICK, (children_user + children_system) / _TICK


def _parent(place: Path) -> int:
    fields = _fields(place)
    return int(fields[1]) if fields else 0
