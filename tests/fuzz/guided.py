"""One parser under atheris, started by `python -m tests.fuzz --guided`. An exception ends it with its input."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from random import Random

import atheris  # not among the pinned dependencies: there is no wheel for every Python

with atheris.instrument_imports(include=["notifier.channels", "json"]):
    from tests.fuzz.judges import PARSERS, judge

PARSER = PARSERS[sys.argv[1]]


class Found(Exception):
    """The judge found a fault."""


def try_one(body: bytes) -> None:
    """One input of the fuzzer's."""
    judgement = judge(PARSER, body, Random(len(body)))
    if judgement.fault:
        raise Found(judgement.fault)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as corpus:
        for number, sample in enumerate(PARSER.samples):
            (Path(corpus) / str(number)).write_bytes(sample)
        atheris.Setup([sys.argv[0], *sys.argv[2:], f"-artifact_prefix={corpus}/", corpus], try_one)
        atheris.Fuzz()
