"""A process gives back what it has freed, and not all the time."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from notifier import process
from notifier.process import TRIMMED_EVERY, trim_memory

EVERY = TRIMMED_EVERY.total_seconds()


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time as trim_memory sees it; the last time was at 0."""
    now = [0.0]
    monkeypatch.setattr(process, "_trimmed_at", 0.0)
    monkeypatch.setattr("notifier.process.time.monotonic", lambda: now[0])
    return now


def resident() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 -- no file of ours
        return int(file.read().split()[1]) * 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps freed pages")
def test_freed_memory_between_living_objects_goes_back(moment: list[float]) -> None:
    blocks = [bytearray(8_000) for _ in range(15_000)]  # below the bound for a mapping of their own
    for block in blocks:
        block[:] = b"x" * len(block)
    del blocks[::2], blocks[10::11]
    before = resident()
    moment[0] = EVERY
    trim_memory()
    assert resident() < before - 20_000_000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps freed pages")
def test_in_a_settled_process_large_blocks_go_back_as_they_are_freed() -> None:
    code = """
from notifier.process import settle_memory
from tests.unit.test_process import resident
settle_memory()
blocks = [bytearray(b"x" * 20_000) for _ in range(2_000)]
before = resident()
del blocks[::2]
print(before - resident())
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(said.stdout) > 15_000_000


def test_it_is_not_done_again_at_once(moment: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[float] = []
    monkeypatch.setattr(process, "_trim", lambda _: done.append(moment[0]))
    for moment[0] in (EVERY / 2, EVERY, EVERY * 1.5, EVERY * 2):
        trim_memory()
    assert done == [EVERY, EVERY * 2]


def test_where_the_system_has_no_such_thing_nothing_happens(
    moment: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_trim", None)
    moment[0] = EVERY
    trim_memory()
    assert process._trimmed_at == 0.0
