"""The unique recipients of a portfolio, on a driven clock."""

from __future__ import annotations

from tests.unit.road.driven import Driven

HOUR = 3_600


def test_a_tier_counts_recipients_not_messages() -> None:
    limiter = Driven().limiter()
    assert limiter.admit_portfolio("p", ["a", "b", "a", "c", "d", "b"], 3) == [True, True, True, True, False, True]
    assert limiter.portfolio_used("p") == 3


def test_who_was_refused_is_not_counted() -> None:
    limiter = Driven().limiter()
    limiter.admit_portfolio("p", ["a", "b"], 1)
    assert limiter.portfolio_used("p") == 1
    assert limiter.admit_portfolio("p", ["b"], 2) == [True]


def test_a_recipient_leaves_the_count_24_hours_after_its_last_message() -> None:
    driven = Driven()
    limiter = driven.limiter()
    limiter.admit_portfolio("p", ["a", "b"], 2)
    driven.real += 12 * HOUR
    limiter.admit_portfolio("p", ["a"], 2)
    driven.real += 12 * HOUR - 1
    assert limiter.admit_portfolio("p", ["c"], 2) == [False]
    driven.real += 1
    assert limiter.admit_portfolio("p", ["c", "d"], 2) == [True, False]


def test_portfolios_do_not_share_their_tier() -> None:
    limiter = Driven().limiter()
    limiter.admit_portfolio("p", ["a"], 1)
    assert limiter.admit_portfolio("q", ["b"], 1) == [True]


def test_an_unused_portfolio_counts_nobody_and_leaves_no_key() -> None:
    driven = Driven()
    assert driven.limiter().portfolio_used("p") == 0
    assert driven.redis().keys() == []


def test_no_phone_is_in_redis_and_the_set_expires() -> None:
    driven = Driven()
    driven.limiter().admit_portfolio("p", ["+971500000001"], 5)
    (member,) = driven.redis().zrange("n:limit:portfolio:p", 0, -1)
    assert b"971500000001" not in member
    assert driven.redis().ttl("n:limit:portfolio:p") == 24 * HOUR
