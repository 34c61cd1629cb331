"""The sizes in docs/scaling.md follow from what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.sizing import BEGIN, END, NOTHING_YET, block, cores, costs, read, write_page

PAGE = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")
VALUES = {"cost.us_per_msg.intake": 300.0, "cost.us_per_msg.intake.min": 1.0, "cost.us_per_msg.redis": 60.0, "other": 9}


def test_the_page_says_what_the_last_recorded_run_says() -> None:
    written = PAGE.partition(BEGIN)[2].partition(END)[0].strip()

    assert written == block(read())


def test_a_core_is_used_to_six_tenths() -> None:
    assert cores(300.0, 1_000) == pytest.approx(0.5)


def test_the_table_has_a_line_for_each_stage_and_their_sum() -> None:
    assert costs(VALUES) == {"intake": 300.0, "redis": 60.0}
    assert block(VALUES).splitlines()[2:] == [
        "| intake | 300 | 2,000 | 0.01 | 0.05 | 0.50 | 0.19 |",
        "| redis | 60 | 10,000 | 0.01 | 0.01 | 0.10 | 0.04 |",
        "| together | 360 | 1,667 | 0.01 | 0.06 | 0.60 | 0.23 |",
    ]


def test_without_a_run_it_says_so() -> None:
    assert block(None) == block({"cost.us_per_msg.intake": None}) == NOTHING_YET


def test_only_what_is_between_the_marks_changes(tmp_path: Path) -> None:
    page, results = tmp_path / "page.md", tmp_path / "results.json"
    page.write_text(PAGE, encoding="utf-8")
    results.write_text(json.dumps(VALUES), encoding="utf-8")

    write_page(page, results)

    written = page.read_text(encoding="utf-8")
    assert written.partition(BEGIN)[0] == PAGE.partition(BEGIN)[0]
    assert written.partition(END)[2] == PAGE.partition(END)[2]
    assert "| together | 360 |" in written


def test_a_page_without_its_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing", encoding="utf-8")

    with pytest.raises(ValueError, match="has lost its marks"):
        write_page(page, tmp_path / "none.json")
