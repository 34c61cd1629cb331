from __future__ import annotations

from notifier.sandbox.limits import DAY, PairBuckets, ServiceWindows, SlidingWindow, UniqueRecipients


def test_eighty_messages_fit_into_any_second_and_the_eighty_first_does_not() -> None:
    window = SlidingWindow(1.0)
    taken = [window.take("n", 80, 10.0 + index / 100) for index in range(81)]
    assert (taken.count(True), taken[80]) == (80, False)


def test_a_place_is_free_again_exactly_one_second_after_it_was_taken() -> None:
    window = SlidingWindow(1.0)
    assert window.take("n", 1, 10.0)
    assert not window.take("n", 1, 10.999)
    assert window.take("n", 1, 11.0)


def test_what_is_refused_does_not_use_a_place_and_keys_do_not_share_one() -> None:
    window = SlidingWindow(1.0)
    assert [window.take("n", 1, now) for now in (0.0, 0.5, 0.9, 1.0)] == [True, False, False, True]
    assert window.take("other", 1, 1.0)


def test_what_is_only_counted_uses_a_place() -> None:
    window = SlidingWindow(1.0)
    window.count("n", 0.0)
    assert not window.take("n", 1, 0.5)


def test_a_pair_has_a_burst_of_forty_five_and_then_one_every_six_seconds() -> None:
    pairs = PairBuckets(45, 6.0)
    assert [pairs.take("n", "p", 0.0) for _ in range(46)] == [True] * 45 + [False]
    assert not pairs.take("n", "p", 5.999)
    assert pairs.take("n", "p", 6.0)
    assert not pairs.take("n", "p", 6.0)
    assert [pairs.take("n", "p", 18.0) for _ in range(3)] == [True, True, False]


def test_a_rested_pair_is_full_and_no_fuller() -> None:
    pairs = PairBuckets(2, 6.0)
    assert pairs.take("n", "p", 0.0)
    assert [pairs.take("n", "p", 1000.0) for _ in range(3)] == [True, True, False]


def test_pairs_do_not_share_a_bucket() -> None:
    pairs = PairBuckets(1, 6.0)
    assert [pairs.take("n", "p", 0.0), pairs.take("n", "q", 0.0), pairs.take("m", "p", 0.0)] == [True] * 3


def test_a_portfolio_reaches_so_many_phones_in_a_moving_day_and_the_same_phone_again() -> None:
    recipients = UniqueRecipients()
    assert [recipients.take("b", phone, index, 2, 0.0) for index, phone in enumerate("pqrp")] == [
        True,
        True,
        False,
        True,
    ]
    assert not recipients.take("b", "r", 9, 2, DAY - 0.001)
    assert recipients.take("b", "r", 9, 2, DAY)


def test_a_message_that_failed_gives_its_place_back_unless_another_reached_the_phone() -> None:
    recipients = UniqueRecipients()
    for message in (1, 2):
        recipients.take("b", "p", message, 1, 0.0)
    recipients.give_back("b", "p", 1)
    assert not recipients.take("b", "q", 3, 1, 1.0)
    recipients.give_back("b", "p", 2)
    assert recipients.take("b", "q", 3, 1, 1.0)


def test_a_phone_whose_newest_message_failed_leaves_a_day_after_the_one_that_reached_it() -> None:
    recipients = UniqueRecipients()
    for phone, message, now in (("p", 1, 0.0), ("q", 2, 10.0), ("p", 3, 20.0)):
        assert recipients.take("b", phone, message, 2, now)
    recipients.give_back("b", "p", 3)
    assert not recipients.take("b", "r", 4, 2, DAY - 0.001)
    assert recipients.take("b", "r", 4, 2, DAY)


def test_without_a_limit_nobody_is_counted() -> None:
    assert all(UniqueRecipients().take("b", str(index), index, None, 0.0) for index in range(1000))


def test_a_service_window_is_open_for_less_than_a_day_after_the_last_word() -> None:
    windows = ServiceWindows()
    assert not windows.is_open("n", "p", 0.0)
    windows.open("n", "p", 10.0)
    assert windows.is_open("n", "p", DAY + 9.999)
    assert not windows.is_open("n", "p", DAY + 10.0)
    assert not windows.is_open("m", "p", 11.0)
