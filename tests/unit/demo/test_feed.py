"""What is handed in when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from notifier.demo.feed import Feed
from notifier.demo.retime import Timed
from notifier.demo.samples import Sample

MONDAY = datetime(2026, 11, 16, tzinfo=UTC)
SOON, LATER = timedelta(seconds=1), timedelta(seconds=9)


def _line(number: int, order: str, hours: float, offset: timedelta = timedelta(0), key: str = "") -> Timed:
    body = {"shop": "s", "order_id": order, "occurred_at": (MONDAY + timedelta(hours=hours)).isoformat()}
    return Timed(Sample(number, body, key or f"k{number}", "stored"), offset, body)


def _keys(lines: list[Timed]) -> list[str]:
    return [line.sample.key for line in lines]


def test_a_line_waits_for_its_time() -> None:
    feed = Feed([_line(1, "a", 0, SOON), _line(2, "b", 1, LATER)])
    assert _keys(feed.take(SOON)) == ["k1"]
    assert not feed.done
    assert _keys(feed.take(LATER)) == ["k2"]
    assert feed.done


def test_each_line_is_given_once() -> None:
    feed = Feed([_line(1, "a", 0)])
    feed.take(SOON)
    assert feed.take(SOON) == []


def test_the_next_event_of_an_order_waits_for_the_end_of_the_one_before() -> None:
    feed = Feed([_line(1, "a", 0), _line(2, "a", 5)])
    assert _keys(feed.take(LATER)) == ["k1"]
    assert feed.take(LATER) == []
    feed.settle({"k1"})
    assert _keys(feed.take(LATER)) == ["k2"]


def test_other_orders_do_not_wait() -> None:
    feed = Feed([_line(1, "a", 0), _line(2, "a", 5), _line(3, "b", 5)])
    assert _keys(feed.take(LATER)) == ["k1", "k3"]


def test_events_of_one_order_within_a_minute_are_handed_in_together() -> None:
    feed = Feed([_line(1, "a", 0), _line(2, "a", 0.01), _line(3, "a", 5)])
    assert _keys(feed.take(LATER)) == ["k1", "k2"]
    feed.settle({"k1"})
    assert feed.take(LATER) == []
    feed.settle({"k2"})
    assert _keys(feed.take(LATER)) == ["k3"]


def test_a_copy_that_follows_its_original_goes_with_it() -> None:
    feed = Feed([_line(1, "a", 0), _line(2, "a", 0, key="k1")])
    assert _keys(feed.take(SOON)) == ["k1", "k1"]
    feed.settle({"k1"})
    assert feed.awaited == frozenset()


def test_awaited_are_the_keys_that_were_handed_in_and_have_not_ended() -> None:
    feed = Feed([_line(1, "a", 0), _line(2, "b", 0), _line(3, "c", 0, LATER)])
    feed.take(SOON)
    feed.settle({"k2", "never heard of"})
    assert feed.awaited == {"k1"}


def test_lines_come_in_the_order_of_the_file() -> None:
    feed = Feed([_line(1, "b", 0), _line(2, "a", 1), _line(3, "b", 0.001)])
    assert [line.sample.line for line in feed.take(SOON)] == [1, 2, 3]
