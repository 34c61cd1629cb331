"""A limiter on a clock that the test drives: the script's and this process's, and the way between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from fakeredis import FakeRedis, FakeServer
from redis import Redis

from notifier.limits import Limiter, ServerClock

RATES = {"wa": 80.0, "fast": 1000.0, "slow": 1.0, "seven": 7.0}


@dataclass
class Driven:
    """`real` is true time in seconds; the server's clock is off by `skew`, a call takes `out` and `back` seconds."""

    real: float = 1_800_000_000.0
    skew: float = 0.0
    out: float = 0.0
    back: float = 0.0
    slow_replies: Iterator[float] = field(default_factory=lambda: iter(()))  # `back` of the next calls
    server: FakeServer = field(default_factory=FakeServer)
    prefix: str = "n:"
    really: Redis | None = None  # a real server in place of the fake one

    def server_us(self) -> int:
        self.real += self.out
        moment = round((self.real + self.skew) * 1e6)
        self.real += next(self.slow_replies, self.back)
        return moment

    def redis(self) -> Redis:
        return self.really or FakeRedis(server=self.server)

    def limiter(self) -> Limiter:
        """A limiter as one worker process has it, with its own idea of the server's clock."""
        return Limiter(self.redis(), self.prefix, RATES, clock=ServerClock(self.server_us, lambda: self.real))
