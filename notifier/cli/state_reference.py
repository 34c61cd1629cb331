"""Draws the state machine into docs/architecture.md: `make docs`. A test compares them."""

from __future__ import annotations

from pathlib import Path

from notifier.ledger.states import mermaid

PAGE = Path("docs/architecture.md")
BEGIN = "<!-- states: written by `make docs` from notifier/ledger/states.py -->"
END = "<!-- end of states -->"


def written_into(page: str) -> str:
    """The page with its picture as the code says now. Raises ValueError when the markers are gone."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has lost its markers: {BEGIN} … {END}")
    return f"{before}{BEGIN}\n\n```mermaid\n{mermaid()}```\n\n{END}{after}"


def main() -> None:
    """Write the picture into the page, below the current folder."""
    PAGE.write_text(written_into(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
