"""The provider stub (stub.c): started on a free port, its log read back."""

from __future__ import annotations

import struct
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from bench.ports import free_port
from notifier.cli.supervisor import Spec, Supervisor

SOURCE = Path(__file__).parent / "stub.c"

_RECORD = struct.Struct("<QQ40s24s")
_START, _GRACE = timedelta(seconds=10), timedelta(seconds=1)


class Arrival(NamedTuple):
    """One request as the stub saw it. at_ns: CLOCK_MONOTONIC, the same for all processes of the machine."""

    at_ns: int
    number: int
    ref: bytes
    to: bytes

    @property
    def provider_id(self) -> str:
        """The message id that it was answered with."""
        return f"wamid.BENCH{self.number:016x}"


@dataclass(slots=True)
class Stub:
    """A stub that runs."""

    url: str
    pid: int
    log: Path

    def count(self) -> int:
        """Requests answered so far."""
        return self.log.stat().st_size // _RECORD.size

    def arrivals(self, skip: int = 0) -> Iterator[Arrival]:
        """The requests in the order of their arrival, without the first `skip`."""
        with self.log.open("rb") as log:
            log.seek(skip * _RECORD.size)
            while block := log.read(_RECORD.size * 4096):
                whole = len(block) - len(block) % _RECORD.size
                for at_ns, number, ref, to in _RECORD.iter_unpack(block[:whole]):
                    yield Arrival(at_ns, number, ref.rstrip(b"\0"), to.rstrip(b"\0"))
                if whole < len(block):
                    return

    def times(self, skip: int = 0) -> array[float]:
        """When the requests arrived: monotonic seconds."""
        return array("d", (one.at_ns / 1e9 for one in self.arrivals(skip)))

    def wait_for(self, count: int, within: float) -> bool:
        """Whether so many requests were answered before `within` seconds had passed."""
        deadline = time.monotonic() + within
        while self.count() < count:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


@contextmanager
def running_stub(binary: Path, home: Path, name: str = "stub") -> Iterator[Stub]:
    """A stub on a free port, with its log in `home`; ends with the block."""
    port, log = free_port(), home / f"{name}.log"
    supervisor = Supervisor(home / "logs", restart=False, say=print)
    url = f"http://127.0.0.1:{port}"
    supervisor.start([Spec(name, (str(binary), str(port), str(log)), f"{url}/", 0, _GRACE)])
    try:
        supervisor.wait_ready(_START, lambda: False)
        yield Stub(url, supervisor.pids()[name], log)
    finally:
        supervisor.stop()
