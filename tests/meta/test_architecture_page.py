"""The architecture page shows the state machine that the code has."""

from __future__ import annotations

from pathlib import Path

from notifier.cli.state_reference import PAGE, written_into

ROOT = Path(__file__).parents[2]


def test_the_picture_of_the_states_is_the_table_of_steps() -> None:
    page = (ROOT / PAGE).read_text(encoding="utf-8")

    assert written_into(page) == page, "run make docs"


def test_every_module_that_the_page_names_exists() -> None:
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    rooms = page[page.index("## Rooms") : page.index("## The way of one message")]
    named = {word for word in rooms.split() if word.endswith((".py", "/")) and word != "notifier/"}

    assert [name for name in sorted(named) if not ((ROOT / "notifier" / name).exists() or (ROOT / name).exists())] == []
