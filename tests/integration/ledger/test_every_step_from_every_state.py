"""All states x all steps on real rows: a legal move moves, an illegal one changes no column and writes no history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from notifier.ledger import Ledger, claims, plans, steps
from notifier.ledger.states import STEPS, DeliveryState, NotificationState
from tests.fixtures.ledger import HOUR, LEASE, NOW, a_delivery, history_of, put_in_state, queue, row_of
from tests.fixtures.legal_moves import LEGAL_MOVES

LATER = NOW + timedelta(minutes=5)


def _claim(conn: Connection, found: str) -> set[str]:
    quotas = [claims.Quota(1, "nile", 100)]
    return {one.delivery_id for one in claims.claim(conn, "nile-wa", quotas, "drain-2", LATER, LATER + LEASE)} & {found}


def _receipt(status: Any) -> Callable[[Connection, str], set[str]]:
    return lambda conn, found: set(steps.receive(conn, [steps.ReceiptRow(found, status, LATER)], LATER).moved)


def _step(function: Any, row: Callable[[str], Any]) -> Callable[[Connection, str], frozenset[str]]:
    def run(conn: Connection, found: str) -> frozenset[str]:
        moved: steps.Moved = function(conn, [row(found)], LATER, "tester")
        assert moved.moved | moved.lost == {found}
        assert not moved.moved & moved.lost
        return moved.moved

    return run


STEP: dict[str, Callable[[Connection, str], set[str] | frozenset[str]]] = {
    "claim": _claim,
    "accept": _step(steps.accept, lambda found: steps.Accept(found, "wamid.1", LATER, LATER + HOUR)),
    "requeue": _step(steps.requeue, lambda found: steps.Requeue(found, LATER, "retry", "131000", "again")),
    "resend": _step(steps.resend, lambda found: steps.Resend(found, LATER, "unknown_outcome")),
    "lose_track": _step(steps.lose_track, lambda found: steps.Lose(found, "no_answer", None, LATER + HOUR)),
    "fail": _step(steps.fail, lambda found: steps.Fail(found, "FALLBACK", "131026", "no", "fallback", LATER)),
    "expire": _step(steps.expire, lambda found: steps.Expire(found, "expired")),
    "cancel": _step(steps.cancel, lambda found: steps.Cancel(found, "superseded")),
    "withdraw": _step(steps.withdraw, lambda found: steps.Cancel(found, "opted_out")),
    "note_sent": _receipt("sent"),
    "note_delivered": _receipt("delivered"),
    "note_read": _receipt("read"),
    "tell": _step(steps.tell, lambda found: steps.Tell(found, "whatsapp", LATER)),
    "give_up": _step(steps.give_up, lambda found: steps.GiveUp(found, "all_channels_failed")),
    "suppress": _step(steps.suppress, lambda found: steps.Suppress(found, "stale", "order.shipped")),
    "reopen": _step(steps.reopen, lambda found: steps.Reopen(found, "replayed")),
}
# Receipts and our own answer fill in what a row lacks even when they cannot move it: an instant, an id, a count.
FILLS = {"accept", "note_sent", "note_delivered", "note_read"}
FILLED = {"provider_id", "accepted_at", "sent_at", "delivered_at", "read_at", "fallback_at", "attempts", "updated_at"}


def test_every_step_is_tried() -> None:
    assert set(STEP) == set(STEPS) - {"activate"}  # a delivery that opens activates: tested with open_delivery


@pytest.mark.parametrize("name", STEP)
def test_a_step_leaves_its_legal_sources_and_nothing_else(ledger: Ledger, name: str) -> None:
    step = STEPS[name]
    for state in DeliveryState if step.of == "delivery" else NotificationState:
        with ledger.begin() as conn:
            made = queue(conn)[0]
            found = made.delivery.id if step.of == "delivery" else made.notification.id
            put_in_state(conn, step.of, found, state)
            before = row_of(conn, step.of, found)
            moved = STEP[name](conn, found)
            after = row_of(conn, step.of, found)
            told = [line[:3] for line in history_of(conn, [made.notification.id])]
        if (name, str(state), step.target) in LEGAL_MOVES:
            assert moved == {found}, state
            assert after["state"] == step.target
            late = name.startswith("note_") and state in ("queued", "failed", "expired", "cancelled")
            told_late = name == "tell" and state in ("unreached", "suppressed")
            expected = [(name, str(state), step.target)] if step.told or late or told_late else []
            assert told == expected, state
        else:
            assert moved == set(), state
            assert told == []
            changed = {key for key, value in after.items() if value != before[key]}
            assert changed <= (FILLED if name in FILLS else set()), state


def test_an_unknown_id_is_lost_and_harms_nobody(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        known = queue(conn)[0].delivery.id
        moved = steps.cancel(conn, [steps.Cancel("nobody", "x"), steps.Cancel(known, "x")], NOW, "tester")
    assert moved == steps.Moved(frozenset({known}), frozenset({"nobody"}))


def test_an_empty_batch_is_no_statement_and_no_harm(ledger: Ledger) -> None:
    nobody: steps.Moved = steps.Moved(frozenset(), frozenset())
    with ledger.begin() as conn:
        assert steps.accept(conn, [], NOW, "tester") == nobody
        assert steps.tell(conn, [], NOW) == nobody
        assert steps.open_delivery(conn, [], NOW, "tester", "x") == nobody
        assert steps.receive(conn, [], NOW) == steps.Received([], [])
        assert plans.supersede(conn, [], NOW) == 0


def test_of_two_rows_about_one_delivery_in_a_batch_the_first_counts(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        found = queue(conn)[0].delivery.id
        moved = steps.cancel(conn, [steps.Cancel(found, "first"), steps.Cancel(found, "second")], NOW, "tester")
        assert moved.moved == {found}
        assert row_of(conn, "delivery", found)["reason"] == "first"
        assert history_of(conn) == [("cancel", "queued", "cancelled", "first", "tester")]


def test_opening_the_first_delivery_makes_a_planned_notification_active(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        made = queue(conn)[0]
        put_in_state(conn, "delivery", made.delivery.id, "failed")
        put_in_state(conn, "notification", made.notification.id, "planned")
        following = a_delivery(made.notification, lane="nile-sms", channel="sms", position=1)
        moved = steps.open_delivery(conn, [following], NOW, "drain", "fallback")
        assert moved.moved == {following.id}
        assert row_of(conn, "notification", made.notification.id)["state"] == "active"
        assert history_of(conn) == [("open_delivery", None, "queued", "fallback", "drain")]


@pytest.mark.parametrize("state", ["told", "unreached", "suppressed"])
def test_no_delivery_is_opened_for_a_notification_that_has_ended(ledger: Ledger, state: str) -> None:
    with ledger.begin() as conn:
        made = queue(conn)[0]
        put_in_state(conn, "delivery", made.delivery.id, "failed")
        put_in_state(conn, "notification", made.notification.id, state)
        following = a_delivery(made.notification, position=1)
        assert steps.open_delivery(conn, [following], NOW, "drain", "x").lost == {following.id}
        assert [one.delivery_id for one in steps.siblings(conn, [made.notification.id])] == [made.delivery.id]


@pytest.mark.parametrize("state", ["queued", "claimed", "unknown", "accepted", "sent"])
def test_no_second_delivery_is_opened_while_one_is_alive(ledger: Ledger, state: str) -> None:
    with ledger.begin() as conn:
        made = queue(conn)[0]
        put_in_state(conn, "delivery", made.delivery.id, state)
        following = a_delivery(made.notification, position=1)
        moved = steps.open_delivery(conn, [following], NOW, "drain", "x")
        assert moved == steps.Moved(frozenset(), frozenset({following.id}))
        assert history_of(conn) == []
