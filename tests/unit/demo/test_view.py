"""What the demo prints."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from notifier.demo.judge import Summary
from notifier.demo.play import rates
from notifier.demo.view import LaneRow, Screen, Snapshot, last_word

SEEN = Snapshot(
    seconds=7.2,
    lines=525,
    handed=80,
    ended=61,
    states={"told whatsapp": 58, "suppressed stale": 3},
    shown={"whatsapp": 58, "sms": 0},
    per_second=21.4,
    busiest=30.0,
    lanes=(LaneRow("qamar-wa", "whatsapp", 4, 2),),
    note="2 phones are off",
)
SUMMARY = Summary(
    events=6,
    duplicates=1,
    rejected=2,
    stored=1,
    notifications=4,
    told=2,
    told_by={"whatsapp": 1, "sms": 1},
    read=1,
    suppressed={"stale": 1},
    unreached=1,
    pending=0,
    lost=0,
    doubles=0,
    seconds=41.3,
)


def _console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=140, color_system=None)


def _written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_without_a_terminal_there_is_one_plain_line_at_a_time() -> None:
    console = _console(terminal=False)
    with Screen(console) as screen:
        screen.show(SEEN)
        screen.show(SEEN)  # sooner than the next line is due
    assert _written(console).splitlines() == [
        "   7 s  handed in 80/525  ended 61  |  suppressed 3, told 58  |  on phones: whatsapp 58, sms 0"
        "  |  21 messages/s  2 phones are off",
    ]


def test_on_a_terminal_there_are_states_channels_lanes_and_progress() -> None:
    console = _console(terminal=True)
    with Screen(console) as screen:
        screen.show(SEEN)
    for words in ("61 of 525 events ended", "told whatsapp", "Shown on phones", "qamar-wa", "21 messages/s"):
        assert words in _written(console)


def test_the_last_word_is_for_the_owner_of_a_shop() -> None:
    said = last_word(SUMMARY)
    assert "2 customers' messages arrived: 1 on WhatsApp, 1 by SMS where WhatsApp could not reach them" in said
    assert "1 came after the customer had been told of something later" in said
    assert "lost: 0   told twice: 0   still waiting: 0" in said
    assert said.endswith("Every event ended as it should.")


def test_the_last_word_names_the_doors_that_were_used() -> None:
    said = last_word(replace(SUMMARY, doors={"shopify": 3, "python": 2}))
    assert "They came by Shopify (3), notify() (2)." in said
    assert "They came by" not in last_word(SUMMARY)


def test_what_went_wrong_is_listed_and_the_rest_of_a_long_list_is_counted() -> None:
    said = last_word(replace(SUMMARY, wrong=[f"line {number}" for number in range(23)]))
    assert "23 events did not end as they should:" in said
    assert "line 19\n  and 3 more" in said
    assert "Every event ended" not in said


def test_rates_are_measured_over_a_second_or_more() -> None:
    assert rates([(0.0, 0), (0.5, 40), (1.0, 50), (1.25, 60), (3.0, 90)]) == [0.0, 50.0, 20.0]
