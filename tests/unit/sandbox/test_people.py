"""Each row of the table, as a sender sees it: the answer, the receipts, and what the phone shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from notifier.sandbox.people import PEOPLE, person_for
from tests.unit.sandbox.bench import Bench, body_of, code_of, shipped

LADDER = ["sent", "delivered", "read"]
HOUR = 3600.0

# digits, (manner, HTTP status) of the first answer, of the second, statuses of an accepted message, shown after
WHATSAPP = [
    ("001", ("plain", 200), ("plain", 200), LADDER, 2.0),
    ("901", ("plain", 200), ("plain", 200), ["failed 131026"], None),
    ("902", ("plain", 200), ("plain", 200), ["sent"], None),
    ("903", ("plain", 200), ("plain", 200), ["sent", "read"], 4.0),
    ("904", ("plain", 200), ("plain", 200), ["read", "read", "delivered", "delivered", "sent", "sent"], 2.0),
    ("905", ("plain", 500), ("plain", 200), LADDER, 2.0),
    ("906", ("reset", 200), ("reset", 200), LADDER, 2.0),
    ("907", ("held", 200), ("held", 200), LADDER, 2.0),
    ("908", ("reset", 0), ("plain", 200), LADDER, 2.0),
    ("909", ("plain", 200), ("plain", 200), ["failed 131050"], None),
    ("910", ("plain", 200), ("plain", 200), LADDER, 90.0),
    ("911", ("plain", 200), ("plain", 200), ["failed 131026"], None),
    ("912", ("plain", 200), ("plain", 200), ["failed 131026"], None),
    ("913", ("plain", 200), ("plain", 200), ["failed 131026"], None),
    ("914", ("plain", 200), ("plain", 200), [], None),
    ("915", ("plain", 400), ("plain", 200), LADDER, 2.0),
    ("916", ("plain", 400), ("plain", 200), LADDER, 2.0),
    ("917", ("plain", 502), ("plain", 200), LADDER, 2.0),
    ("918", ("plain", 200), ("plain", 200), LADDER, 2.0),
    ("919", ("slow", 200), ("slow", 200), LADDER, 2.0),
    ("920", ("plain", 200), ("plain", 200), LADDER, 3.0),
]


def test_every_person_of_the_table_is_tried_here() -> None:
    assert {row[0] for row in WHATSAPP} == {"001", *PEOPLE}


@pytest.mark.parametrize("digits, first, second, statuses, shown_after", WHATSAPP, ids=[row[0] for row in WHATSAPP])
def test_a_person_answers_reports_and_shows_as_the_table_says(
    digits: str, first: tuple[str, int], second: tuple[str, int], statuses: list[str], shown_after: float | None
) -> None:
    bench, payload = Bench(), shipped(f"+966500000{digits}")
    answers = [bench.send(payload), bench.send(payload)]
    assert [(answer.manner, answer.status) for answer in answers] == [first, second]
    message = bench.last
    bench.advance(HOUR)
    told = [f"{receipt.status} {receipt.code}" if receipt.code else receipt.status for receipt in message.receipts]
    assert told == statuses
    shown_at = message.shown_at and (message.shown_at - message.at).total_seconds()
    assert shown_at == shown_after
    assert {receipt.state for receipt in message.receipts} <= {"taken"}


@pytest.mark.parametrize(
    "digits, code", [("905", (500, 131016)), ("915", (400, 130429)), ("916", (400, 131056))], ids=["905", "915", "916"]
)
def test_a_first_refusal_carries_metas_own_code_and_nothing_is_sent_for_it(digits: str, code: tuple[int, int]) -> None:
    bench = Bench()
    assert code_of(bench.send(shipped(f"+966500000{digits}"))) == code
    bench.advance(HOUR)
    assert (bench.last.outcome, bench.last.ref, bench.last.receipts, bench.statuses()) == ("refused", "d-1", [], [])


@pytest.mark.parametrize("digits", ["908", "917"])
def test_what_broke_before_it_was_processed_is_recorded_as_broken_and_never_shown(digits: str) -> None:
    bench = Bench()
    bench.send(shipped(f"+966500000{digits}"))
    bench.advance(HOUR)
    assert (bench.last.outcome, bench.last.shown_at, bench.statuses()) == ("broken", None, [])


def test_half_an_answer_is_the_first_half_of_the_bytes() -> None:
    bench = Bench()
    half, whole = bench.send(shipped("+966500000918")).body, bench.send(shipped("+966500000001")).body
    assert len(half) == len(whole) // 2
    assert half.startswith(b'{"messaging_product":"whatsapp"')


def test_the_first_try_is_counted_for_each_phone_by_itself() -> None:
    bench = Bench()
    assert [bench.send(shipped(f"+96650000{n}905")).status for n in (1, 2, 1)] == [500, 500, 200]


@pytest.mark.parametrize("digits", ["901", "902", "909", "914"])
def test_people_without_whatsapp_still_get_their_sms(digits: str) -> None:
    bench = Bench()
    assert bench.text(To=f"+966500000{digits}").status == 201
    bench.advance(HOUR)
    assert [receipt.status for receipt in bench.last.receipts] == ["queued", "sent", "delivered"]
    assert [message.channel for message in bench.app.world.record.phone(f"+966500000{digits}")] == ["sms"]


def test_911_gets_its_sms_reported_as_undelivered_30005() -> None:
    bench = Bench()
    assert bench.text(To="+966500000911").status == 201
    bench.advance(HOUR)
    last = bench.last.receipts[-1]
    assert (last.status, last.code, bench.last.shown_at, bench.last.fate) == ("undelivered", "30005", None, "failed")


def test_912_has_opted_out_of_sms_for_good() -> None:
    bench = Bench()
    assert [code_of(bench.text(To="+966500000912")) for _ in range(2)] == [(400, 21610)] * 2


def test_913_is_throttled_once_over_sms() -> None:
    bench = Bench()
    first, second = (bench.text(To="+966500000913") for _ in range(2))
    assert (code_of(first), second.status, body_of(second)["status"]) == ((429, 20429), 201, "queued")


def test_whoever_is_not_in_the_table_reads_what_comes() -> None:
    assert (person_for("+966500000921").name, person_for("").name) == ("reader", "reader")


def test_the_documentation_lists_exactly_the_people_of_the_table() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (9\d\d) \| (\w+) \|", page, re.MULTILINE))
    assert rows == {person.digits: person.name for person in PEOPLE.values()}
