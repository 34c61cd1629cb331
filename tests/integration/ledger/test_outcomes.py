"""What became of events, by business key."""

from __future__ import annotations

from dataclasses import replace

from notifier.ledger import Ledger, plans
from notifier.ledger.outcomes import Outcome, outcomes
from tests.fixtures.ledger import NOW, a_delivery, an_event, put_in_state, queue


def test_an_event_under_way_has_its_state_and_its_deliveries(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        (one,) = queue(conn)
        found = outcomes(conn, [one.event.key])
    assert found == {one.event.key: Outcome(one.event.key, "active", None, None, frozenset({one.delivery.id}))}


def test_an_event_that_was_told_names_the_channel_and_one_that_was_not_the_reason(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        told, silent = queue(conn, 2)
        put_in_state(conn, "notification", told.notification.id, "told")
        put_in_state(conn, "notification", silent.notification.id, "suppressed")
        found = outcomes(conn, [told.event.key, silent.event.key])
    assert [(found[one.event.key].state, found[one.event.key].told_by) for one in (told, silent)] == [
        ("told", "whatsapp"),
        ("suppressed", None),
    ]
    assert found[silent.event.key].reason == "superseded"


def test_an_event_of_two_channels_has_the_references_of_both(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        (one,) = queue(conn)
        put_in_state(conn, "delivery", one.delivery.id, "failed")
        second = replace(a_delivery(one.notification, lane="nile-sms", channel="sms"), position=1)
        plans.insert_deliveries(conn, [second], NOW)
        found = outcomes(conn, [one.event.key])
    assert found[one.event.key].refs == {one.delivery.id, second.id}


def test_an_event_that_nobody_is_told_of_has_no_state(ledger: Ledger) -> None:
    event = an_event(event="order.gift_wrapped")
    with ledger.begin() as conn:
        plans.insert_events(conn, [event], NOW)
        assert outcomes(conn, [event.key]) == {event.key: Outcome(event.key, None, None, None, frozenset())}


def test_a_key_that_never_came_is_absent_and_others_are_not_told(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        queue(conn, 2)
        assert outcomes(conn, ["never came"]) == {}
        assert outcomes(conn, []) == {}
