"""What a peer's measurement has in common: fill its queue, start it, and read its rate off the stub."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from bench.errors import Broken
from bench.measure import rate_between
from bench.stub import Stub

# A peer that has not finished by then hangs.
LONGEST = 240.0


class Peer(Protocol):
    """fill: puts so many messages into its queue. work: its processes, tuned in this way, until the block ends."""

    name: str

    def fill(self, count: int) -> None: ...
    def work(self, tuning: str) -> AbstractContextManager[object]: ...


@dataclass(frozen=True, slots=True)
class Tuned:
    """A peer with the tuning that was best here; tried: messages a second of each."""

    peer: Peer
    tuning: str
    tried: Mapping[str, float]


def rate_of(peer: Peer, tuning: str, stub: Stub, count: int) -> float:
    """Messages a second from the first request to the last: starting the peer costs it nothing."""
    before = stub.count()
    peer.fill(count)
    with peer.work(tuning):
        if not stub.wait_for(before + count, LONGEST):
            raise Broken(f"{peer.name} ({tuning}) sent {stub.count() - before} of {count} in {LONGEST:g} s")
        return rate_between(stub.times(before))


def tune(peer: Peer, tunings: tuple[str, ...], stub: Stub, count: int, say: Callable[[str], None]) -> Tuned:
    """Tries each tuning once and keeps the fastest."""
    tried: dict[str, float] = {}
    for tuning in tunings:
        tried[tuning] = rate_of(peer, tuning, stub, count)
        say(f"{peer.name} {tuning}: {tried[tuning]:,.0f}/s")
    return Tuned(peer, max(tried, key=lambda tuning: tried[tuning]), tried)
