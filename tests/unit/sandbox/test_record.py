from __future__ import annotations

from notifier.sandbox.page import render
from notifier.sandbox.people import PEOPLE
from notifier.sandbox.record import busiest_second
from tests.unit.sandbox.bench import NUMBER, SENDER, Bench, shipped


def test_a_summary_has_every_key_before_anything_happened() -> None:
    assert Bench().app.world.record.summary() == {
        "arrivals": 0,
        "accepted": 0,
        "refused": {},
        "broken": 0,
        "shown": {"whatsapp": 0, "sms": 0},
        "shown_twice": {},
        "failed": 0,
        "dropped": 0,
        "in_flight": 0,
        "throttled": 0,
        "max_per_second": {},
        "max_asked_per_second": {},
        "receipts": {"sent": 0, "pending": 0, "taken": 0, "undelivered": 0, "unaddressed": 0, "forged_accepted": 0},
    }


def test_a_summary_counts_what_the_phones_saw_and_the_receipts_told() -> None:
    bench = Bench()
    bench.send(shipped("+966500000001", "d-1"))
    bench.text(StatusCallback="http://product/t?ref=d-1")
    bench.send(shipped("+966500000901", "d-2"))
    bench.send(shipped("+966500000902", "d-3"))
    bench.send(shipped("+966500000910", "d-4"))
    bench.send(shipped("+966500000915", "d-5"))
    bench.send(shipped("+966500000917", "d-6"))
    bench.advance(61.0)
    summary = bench.app.world.record.summary()
    assert summary == {
        "arrivals": 7,
        "accepted": 5,
        "refused": {"130429": 1},
        "broken": 1,
        "shown": {"whatsapp": 1, "sms": 1},
        "shown_twice": {"d-1": 2},
        "failed": 1,
        "dropped": 1,
        "in_flight": 1,
        "throttled": 1,
        "max_per_second": {NUMBER: 4, SENDER: 1},
        "max_asked_per_second": {NUMBER: 6, SENDER: 1},
        "receipts": {"sent": 9, "pending": 0, "taken": 9, "undelivered": 0, "unaddressed": 0, "forged_accepted": 0},
    }


def test_the_busiest_second_is_found_between_whole_seconds() -> None:
    bench = Bench()
    for real in (10.0, 10.6, 10.9, 11.1, 11.5, 11.6, 13.0):
        bench.real = real
        bench.send()
    assert busiest_second(bench.app.world.record.arrivals) == {NUMBER: 4}


def test_a_second_is_half_open() -> None:
    bench = Bench()
    for real in (10.0, 11.0):
        bench.real = real
        bench.send()
    assert busiest_second(bench.app.world.record.arrivals) == {NUMBER: 1}


def test_an_arrival_tells_everything_as_json() -> None:
    bench = Bench()
    bench.send()
    bench.advance(1.0)
    told = bench.last.as_json()
    assert (told["id"], told["at"], told["monotonic"], told["real"]) == (1, "2026-11-23T09:00:00+00:00", 0.0, 1000.0)
    assert (told["sender"], told["recipient"], told["outcome"], told["fate"]) == (
        NUMBER,
        "+966500000001",
        "accepted",
        "pending",
    )
    assert told["receipts"] == [
        {
            "status": "sent",
            "at": "2026-11-23T09:00:01+00:00",
            "code": None,
            "replies": [200],
            "state": "taken",
            "forged": False,
        }
    ]


def test_the_page_shows_phones_in_their_own_direction_and_nothing_a_sender_wrote_as_markup() -> None:
    bench = Bench()
    bench.text(Body="<script>alert(1)</script> مرحبا")
    bench.advance(10.0)
    page = render(bench.app.world.record)
    assert '<div class="message sms" dir="auto">&lt;script&gt;alert(1)&lt;/script&gt; مرحبا</div>' in page
    assert '<bdi dir="ltr">+966500000001</bdi> <small>reader</small>' in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_page_says_when_there_is_nothing_to_see() -> None:
    assert "No phone shows anything yet." in render(Bench().app.world.record)


def test_every_person_has_a_name_of_its_own() -> None:
    assert len({person.name for person in PEOPLE.values()}) == len(PEOPLE) == 20
