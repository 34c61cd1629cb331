"""What is handed in when: an order's next event waits until the one before it has come to its end.

So nothing of the outcome depends on the speed of the machine: `paid` always finds `created` told, as it does in life,
where hours lie between them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Set
from datetime import timedelta

from notifier.demo.retime import Timed

# Events of one order that lie closer together happen at once, and are handed in at once.
AT_ONCE = timedelta(minutes=1)

Order = tuple[str, str]


def bursts(lines: Iterable[Timed]) -> dict[Order, deque[list[Timed]]]:
    """Each order's lines in their order, those that happened at once together."""
    chains: dict[Order, deque[list[Timed]]] = {}
    for line in lines:
        chain = chains.setdefault(line.sample.order, deque())
        if chain and abs(line.sample.occurred_at - chain[-1][-1].sample.occurred_at) < AT_ONCE:
            chain[-1].append(line)
        else:
            chain.append([line])
    return chains


class Feed:
    """The lines that are still to be handed in, and the keys whose end is awaited."""

    def __init__(self, lines: Iterable[Timed]) -> None:
        self._chains = bursts(lines)
        self._awaited: dict[Order, frozenset[str]] = {}

    @property
    def done(self) -> bool:
        """Everything was handed in."""
        return not self._chains

    @property
    def awaited(self) -> frozenset[str]:
        """The business keys that were handed in and have not ended."""
        return frozenset().union(*self._awaited.values())

    def settle(self, ended: Set[str]) -> None:
        """These business keys have come to their end."""
        self._awaited = {order: rest for order, keys in self._awaited.items() if (rest := keys - ended)}

    def take(self, elapsed: timedelta) -> list[Timed]:
        """The lines whose turn it is, `elapsed` after the start; each is given once."""
        ready: list[Timed] = []
        for order, chain in list(self._chains.items()):
            if order in self._awaited or chain[0][0].offset > elapsed:
                continue
            burst = chain.popleft()
            ready += burst
            self._awaited[order] = frozenset(line.sample.key for line in burst)
            if not chain:
                del self._chains[order]
        return sorted(ready, key=lambda line: line.sample.line)
