"""What intake reads and writes: keys are unique, copies counted, older messages taken back, consent appended."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from notifier.ledger import Ledger, consents, plans, steps
from notifier.ledger.plans import ConsentRecord, NewConsent, Prior, Supersede
from tests.fixtures.ledger import (
    HOUR,
    NOW,
    a_delivery,
    a_notification,
    an_event,
    history_of,
    put_in_state,
    queue,
    row_of,
)


def test_a_key_that_is_known_is_not_kept_again(ledger: Ledger) -> None:
    first, other = an_event(key="k-1"), an_event(key="k-2")
    with ledger.begin() as conn:
        assert plans.insert_events(conn, [first, other], NOW) == {first.id, other.id}
        new = an_event(key="k-3")
        assert plans.insert_events(conn, [an_event(key="k-1"), new], NOW) == {new.id}
        assert plans.insert_events(conn, [], NOW) == set()
        assert plans.known_events(conn, ["k-1", "k-3", "k-4"]) == {"k-1": first.id, "k-3": new.id}


def test_a_key_that_is_twice_in_a_batch_is_kept_once(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        assert len(plans.insert_events(conn, [an_event(key="k-1"), an_event(key="k-1")], NOW)) == 1


def test_the_same_keys_inserted_at_once_give_one_each(ledger: Ledger) -> None:
    keys = [f"k-{number}" for number in range(40)]
    start = threading.Barrier(4)
    new: list[set[str]] = []

    def insert(order: list[str]) -> None:
        events = [an_event(key=key) for key in order]
        start.wait()
        with ledger.begin() as conn:
            new.append(plans.insert_events(conn, events, NOW))

    threads = [threading.Thread(target=insert, args=(order,)) for order in (keys, keys[::-1]) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(map(len, new)) == len(keys)
    with ledger.read() as conn:
        kept = plans.known_events(conn, keys)
    assert set(kept.values()) == set().union(*new)


def test_copies_are_counted_as_often_as_they_came(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        plans.insert_events(conn, [an_event(key="k-1"), an_event(key="k-2")], NOW)
        plans.count_copies(conn, ["k-1", "k-1", "nobody"], NOW + HOUR)
        rows = conn.execute(sa.text("SELECT key, copies, last_copy_at IS NULL FROM order_event ORDER BY key")).all()
    assert [(key, copies, bool(never)) for key, copies, never in rows] == [("k-1", 3, False), ("k-2", 1, True)]


@pytest.mark.parametrize(
    ("label", "notification", "deliveries", "unsent"),
    [
        ("planned, without a delivery", "planned", [], True),
        ("queued", "active", ["queued"], True),
        ("queued after a definite failure", "active", ["failed", "queued"], True),
        ("claimed: it may be on the wire", "active", ["claimed"], False),
        ("lost track of", "active", ["unknown"], False),
        ("accepted", "active", ["accepted"], False),
        ("queued beside a delivered one", "active", ["delivered", "queued"], False),
        ("told", "told", ["delivered"], False),
        ("suppressed", "suppressed", ["cancelled"], False),
    ],
)
def test_a_prior_says_whether_anything_may_be_with_the_customer(
    ledger: Ledger, label: str, notification: str, deliveries: list[str], unsent: bool
) -> None:
    event = an_event(order_id="o-1", event="order.shipped", shipment_id="s-1")
    row = a_notification(event, rank=70)
    with ledger.begin() as conn:
        plans.insert_events(conn, [event], NOW)
        plans.insert_notifications(conn, [row], NOW)
        for position, state in enumerate(deliveries):
            made = a_delivery(row, position=position)
            plans.insert_deliveries(conn, [made], NOW)
            put_in_state(conn, "delivery", made.id, state)
        put_in_state(conn, "notification", row.id, notification)
        queue(conn)
        found = plans.priors(conn, [("nile", "o-1"), ("nile", "o-1"), ("nile", "nobody")])
    assert found == [Prior(row.id, "nile", "o-1", "order.shipped", 70, False, "s-1", notification, unsent)], label


def test_a_notification_that_is_suppressed_at_plan_time_is_finished(ledger: Ledger) -> None:
    event = an_event()
    row = a_notification(event, state="suppressed", reason="no_recipient", phone=None, channels=("whatsapp",))
    with ledger.begin() as conn:
        plans.insert_events(conn, [event], NOW)
        plans.insert_notifications(conn, [row], NOW)
        kept = row_of(conn, "notification", row.id)
    assert (kept["state"], kept["reason"], kept["phone"], kept["channels"]) == (
        "suppressed", "no_recipient", None, "whatsapp",
    )  # fmt: skip
    assert kept["finished_at"] == kept["created_at"]


def test_a_nul_character_does_not_take_its_batch_down(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        assert len(plans.insert_events(conn, [an_event(order_number="1\x00", order_id="o-1"), an_event()], NOW)) == 2
        assert (
            conn.execute(sa.text("SELECT order_number FROM order_event WHERE order_id = 'o-1'")).scalar() == "1\ufffd"
        )


# Supersede.


def test_a_newer_event_cancels_what_waits_and_suppresses_the_older_message(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        made = queue(conn)[0]
        rows = [Supersede(made.notification.id, "order.shipped")] * 2
        assert plans.supersede(conn, rows, NOW) == 1
        assert plans.supersede(conn, rows, NOW) == 0
        kept = row_of(conn, "notification", made.notification.id)
        assert row_of(conn, "delivery", made.delivery.id)["state"] == "cancelled"
        assert history_of(conn) == [
            ("cancel", "queued", "cancelled", "superseded", "intake"),
            ("suppress", "active", "suppressed", "superseded", "intake"),
        ]
    assert (kept["state"], kept["reason"], kept["detail"]) == ("suppressed", "superseded", "order.shipped")


@pytest.mark.parametrize("state", ["claimed", "unknown", "accepted", "sent", "delivered", "read"])
def test_a_message_that_may_be_with_the_customer_is_not_taken_back(ledger: Ledger, state: str) -> None:
    with ledger.begin() as conn:
        made = queue(conn)[0]
        put_in_state(conn, "delivery", made.delivery.id, state)
        before = row_of(conn, "delivery", made.delivery.id), row_of(conn, "notification", made.notification.id)
        assert plans.supersede(conn, [Supersede(made.notification.id, "order.shipped")], NOW) == 0
        assert before == (
            row_of(conn, "delivery", made.delivery.id),
            row_of(conn, "notification", made.notification.id),
        )
        assert history_of(conn) == []


def test_a_fallback_that_waits_after_a_failure_is_taken_back(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        made = queue(conn)[0]
        put_in_state(conn, "delivery", made.delivery.id, "failed")
        following = a_delivery(made.notification, lane="nile-sms", channel="sms", position=1)
        steps.open_delivery(conn, [following], NOW, "drain", "fallback")
        assert plans.supersede(conn, [Supersede(made.notification.id, "order.shipped")], NOW) == 1
        assert [one.state for one in steps.siblings(conn, [made.notification.id])] == ["failed", "cancelled"]


def test_a_claim_that_comes_first_keeps_its_message(ledger: Ledger) -> None:
    if ledger.dialect == "sqlite":
        pytest.skip("SQLite has one writer: a claim is over, or has not begun")
    with ledger.begin() as conn:
        made = queue(conn)[0]
    with ledger.begin() as claiming, ledger.begin() as intake:
        claiming.exec_driver_sql("UPDATE delivery SET state = 'claimed', lease_until = 1")
        assert plans.supersede(intake, [Supersede(made.notification.id, "order.shipped")], NOW) == 0
    with ledger.read() as conn:
        assert row_of(conn, "notification", made.notification.id)["state"] == "active"


# Consent.


def test_consent_is_appended_and_read_oldest_first(ledger: Ledger) -> None:
    granted = NewConsent("nile", "+201", None, "order_updates", True, "checkout", NOW, "e-1")
    stopped = NewConsent("nile", "+201", "whatsapp", None, False, "whatsapp:stop_word", NOW + HOUR)
    elsewhere = replace(granted, shop="ganges")
    with ledger.begin() as conn:
        plans.insert_consents(conn, [stopped, granted, elsewhere], NOW + HOUR)
        plans.insert_consents(conn, [], NOW)
        found = plans.consents(conn, [("nile", "+201"), ("nile", "+202")])
        history = consents.consent_history(conn, "nile", "+201")
        everywhere = consents.consent_history(conn, None, "+201")
    assert found == [
        ConsentRecord("nile", "+201", None, "order_updates", True, "checkout", NOW),
        ConsentRecord("nile", "+201", "whatsapp", None, False, "whatsapp:stop_word", NOW + HOUR),
    ]
    assert [(one.granted, one.event_id, one.recorded_at) for one in history] == [
        (True, "e-1", NOW + HOUR),
        (False, None, NOW + HOUR),
    ]
    assert sorted(one.shop for one in everywhere) == ["ganges", "nile", "nile"]
    assert "+201" not in repr(history)


def test_of_two_records_of_one_instant_the_later_recorded_one_speaks_last(ledger: Ledger) -> None:
    granted = NewConsent("nile", "+201", None, None, True, "import", NOW)
    with ledger.begin() as conn:
        plans.insert_consents(conn, [granted], NOW + timedelta(seconds=1))
        plans.insert_consents(conn, [replace(granted, granted=False)], NOW + timedelta(seconds=2))
        assert [one.granted for one in plans.consents(conn, [("nile", "+201")])] == [True, False]
