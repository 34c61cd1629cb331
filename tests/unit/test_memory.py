"""A worker gives back what it has freed, and not all the time."""

from __future__ import annotations

import platform

import pytest

from workers import memory
from workers.memory import EVERY, give_back

needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps freed pages")


def resident() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 -- no file of ours
        return int(file.read().split()[1]) * 4096


@pytest.fixture(autouse=True)
def never_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_last", float("-inf"))


@needs_glibc
def test_freed_memory_between_living_objects_goes_back() -> None:
    blocks = [bytearray(60_000) for _ in range(2_000)]  # below glibc's bound for a mapping of its own
    for block in blocks:
        block[:] = b"x" * len(block)
    del blocks[::2], blocks[10::11]
    before = resident()
    assert give_back()
    assert resident() < before - 20_000_000


@needs_glibc
def test_it_is_not_done_again_at_once() -> None:
    assert [give_back(now) for now in (0.0, EVERY / 2, EVERY)] == [True, False, True]
