"""A week becomes half a minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from notifier.demo.retime import Timed, retimed
from notifier.demo.samples import Sample

MONDAY = datetime(2026, 11, 16, tzinfo=UTC)
NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
FEED = timedelta(seconds=20)
DAY = timedelta(days=1)


def _sample(happened: datetime, **body: Any) -> Sample:
    return Sample(1, {"shop": "s", "order_id": "1", "occurred_at": happened.isoformat(), **body}, "key", "stored")


def _retimed(*samples: Sample) -> list[Timed]:
    return retimed(samples, NOW, FEED)


def _at(timed: Timed) -> datetime:
    return datetime.fromisoformat(timed.body["occurred_at"])


def test_first_and_last_line_span_the_feed() -> None:
    lines = _retimed(_sample(MONDAY), _sample(MONDAY + DAY), _sample(MONDAY + 4 * DAY))
    assert [line.offset for line in lines] == [timedelta(0), FEED / 4, FEED]
    assert [_at(line) for line in lines] == [NOW, NOW + FEED / 4, NOW + FEED]


def test_a_line_from_before_the_week_keeps_its_age_and_comes_first() -> None:
    old, *story = _retimed(_sample(MONDAY - 30 * DAY), _sample(MONDAY), _sample(MONDAY + 4 * DAY))
    assert old.offset == timedelta(0)
    assert _at(old) == NOW - 34 * DAY
    assert [line.old for line in (old, *story)] == [True, False, False]


def test_a_line_out_of_order_is_handed_in_at_its_turn_with_its_true_time() -> None:
    _, _, late = _retimed(_sample(MONDAY), _sample(MONDAY + 4 * DAY), _sample(MONDAY + DAY))
    assert late.offset == FEED
    assert _at(late) == NOW + FEED / 4


def test_a_consent_moves_with_the_week_so_that_a_stop_stays_after_the_grant() -> None:
    def consent(at: datetime) -> dict[str, Any]:
        return {"customer": {"consent": {"at": at.isoformat()}}}

    lines = _retimed(
        _sample(MONDAY, **consent(MONDAY - timedelta(minutes=3))),
        _sample(MONDAY + DAY, **consent(MONDAY + DAY)),
        _sample(MONDAY + 4 * DAY),
    )
    granted, stopped = (datetime.fromisoformat(line.body["customer"]["consent"]["at"]) for line in lines[:2])
    assert granted < NOW < stopped == _at(lines[1])


def test_an_estimated_arrival_keeps_its_distance() -> None:
    eta = {"shipment": {"eta": (MONDAY + 2 * DAY).isoformat()}}
    line, _ = _retimed(_sample(MONDAY, **eta), _sample(MONDAY + 4 * DAY))
    assert datetime.fromisoformat(line.body["shipment"]["eta"]) == NOW + 2 * DAY


def test_the_samples_themselves_stay_as_they_are() -> None:
    sample = _sample(MONDAY)
    _retimed(sample, _sample(MONDAY + DAY))
    assert sample.body["occurred_at"] == MONDAY.isoformat()


def test_a_single_line_is_now() -> None:
    (line,) = _retimed(_sample(MONDAY))
    assert (line.offset, _at(line)) == (timedelta(0), NOW)
