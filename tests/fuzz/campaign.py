"""So many inputs for one parser, by mutation from a seed, or guided by coverage where atheris is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from tests.fuzz.judges import PARSERS, Parser, judge
from tests.fuzz.mutate import mutated


@dataclass(slots=True)
class Result:
    """What one campaign found. receipts: inputs of which at least one receipt was read; faults: by kind."""

    parser: str
    inputs: int = 0
    receipts: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    first: dict[str, bytes] = field(default_factory=dict)  # of each kind of fault
    seconds: float = 0.0

    @property
    def crashes(self) -> int:
        return sum(number for fault, number in self.faults.items() if fault.startswith("crash"))

    @property
    def wrong(self) -> int:
        return sum(self.faults.values()) - self.crashes


def campaign(parser: Parser, inputs: int, seed: int) -> Result:
    """The same seed gives the same inputs."""
    random, result, begun = Random(seed), Result(parser.name), time.monotonic()
    for _ in range(inputs):
        _try(parser, mutated(random, parser.samples), random, result)
    result.seconds = time.monotonic() - begun
    return result


def _try(parser: Parser, body: bytes, random: Random, result: Result) -> None:
    judgement = judge(parser, body, random)
    result.inputs += 1
    result.receipts += bool(judgement.receipts)
    if judgement.fault:
        result.faults[judgement.fault] += 1
        result.first.setdefault(judgement.fault, body)


def guided(name: str, inputs: int, seed: int) -> int:
    """The same judge under atheris, which looks for bytes that reach new code; its exit status. It needs a process."""
    command = [sys.executable, "-m", "tests.fuzz.guided", name, f"-runs={inputs}", f"-seed={seed}", "-max_len=4096"]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": "."}, check=False).returncode


__all__ = ["PARSERS", "Result", "campaign", "guided"]
