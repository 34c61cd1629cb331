"""Deliver workers on two and on four machines: nobody told twice, and no sender above its limit in any second."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.scaling.__main__ import main
from tests.scaling.machines import can_be_apart
from tests.scaling.proof import Case, run

PAGE = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def _needs_postgres(postgres_url: str) -> None:
    """Skips, or fails, where there is no PostgreSQL, as every test of it does."""


@pytest.mark.parametrize("machines", [2, 4])
def test_machines_that_share_the_stores_tell_everybody_once_and_keep_the_limit(machines: int) -> None:
    outcome = run(Case(machines, lanes=2, messages=320, apart=can_be_apart() is None), within=120)

    assert outcome.faults == []
    assert outcome.arrived == 320
    assert sum(outcome.shares.values()) == 320
    assert sum(number > 0 for number in outcome.shares.values()) >= 2


@pytest.mark.parametrize("line", re.findall(r"^python -m tests\.scaling *([^#\n]*)", PAGE, re.MULTILINE))
def test_the_commands_of_the_page_are_understood(line: str) -> None:
    context = main.make_context("scaling", line.split())

    assert set(context.params) == {"machines", "lanes", "rate", "messages", "cut", "together"}
