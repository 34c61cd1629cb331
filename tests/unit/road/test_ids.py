from __future__ import annotations

import re
import time

import pytest

from notifier.ids import new_id


def test_an_id_is_32_lower_case_hexadecimal_characters() -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", new_id())


def test_ids_sort_as_text_by_the_time_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for milliseconds in (1, 999, 1_800_000_000_000, 1_800_000_000_001):
        monkeypatch.setattr(time, "time_ns", lambda at=milliseconds: at * 1_000_000)
        made.append(new_id())
    assert made == sorted(made)


def test_ids_of_one_moment_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_800_000_000_000_000_000)
    assert len({new_id() for _ in range(10_000)}) == 10_000
