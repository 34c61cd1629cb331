"""What sweeps select: a row on each side of the edge and one on it, oldest first, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from notifier.ledger import Ledger, steps, sweeps
from notifier.ledger.instants import to_us
from tests.fixtures.ledger import HOUR, NOW, put_in_state, queue, row_of

TICK = timedelta(microseconds=1)
Select = Callable[[Connection, datetime, int], Sequence[str]]


def _row(conn: Connection, state: str, **instants: datetime) -> str:
    found = queue(conn)[0].delivery.id
    put_in_state(conn, "delivery", found, state)
    for name, at in instants.items():
        conn.execute(sa.text(f"UPDATE delivery SET {name} = :at WHERE id = :id"), {"at": to_us(at), "id": found})
    return found


CASES: list[tuple[Select, str, str]] = [
    (sweeps.overdue, "queued", "expires_at"),
    (sweeps.lapsed_leases, "claimed", "lease_until"),
    (sweeps.unheard, "accepted", "fallback_at"),
    (sweeps.silent, "sent", "fallback_at"),
    (sweeps.undecided, "unknown", "fallback_at"),
]


@pytest.mark.parametrize(("select", "state", "instant"), CASES)
def test_a_sweep_takes_what_is_over_and_on_the_edge_and_leaves_what_is_not(
    ledger: Ledger, select: Select, state: str, instant: str
) -> None:
    with ledger.begin() as conn:
        on = _row(conn, state, **{instant: NOW})
        _row(conn, state, **{instant: NOW + TICK})
        over = _row(conn, state, **{instant: NOW - TICK})
        assert select(conn, NOW, 10) == [over, on]
        assert select(conn, NOW, 1) == [over]


def test_silence_and_a_lost_answer_are_kept_apart(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        sent = _row(conn, "sent", fallback_at=NOW)
        lost = _row(conn, "unknown", fallback_at=NOW)
        unheard = _row(conn, "accepted", fallback_at=NOW)
        assert sweeps.silent(conn, NOW, 10) == [sent]
        assert sweeps.undecided(conn, NOW, 10) == [lost]
        assert sweeps.unheard(conn, NOW, 10) == [unheard]


def test_what_was_heard_of_lately_is_not_silent_yet(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        on = _row(conn, "sent", fallback_at=NOW, updated_at=NOW - HOUR)
        _row(conn, "sent", fallback_at=NOW, updated_at=NOW - HOUR + TICK)
        assert sweeps.silent(conn, NOW, 10, HOUR) == [on]


def test_an_accepted_delivery_without_a_time_for_silence_is_left_alone(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        _row(conn, "accepted")
        assert sweeps.unheard(conn, NOW + 1000 * HOUR, 10) == []


def test_what_nears_its_expiry_in_a_stopped_lane_is_told_and_what_is_over_is_not(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        on = _row(conn, "queued", expires_at=NOW + HOUR)
        near = _row(conn, "queued", expires_at=NOW + TICK)
        _row(conn, "queued", expires_at=NOW + HOUR + TICK)
        _row(conn, "queued", expires_at=NOW)
        assert sweeps.nearing_expiry(conn, ["nile-wa", "x"], NOW, NOW + HOUR, 10) == [near, on]
        assert sweeps.nearing_expiry(conn, ["nile-sms"], NOW, NOW + HOUR, 10) == []
        assert sweeps.nearing_expiry(conn, [], NOW, NOW + HOUR, 10) == []


def test_two_sweeps_at_once_share_the_rows(ledger: Ledger) -> None:
    if ledger.dialect == "sqlite":
        pytest.skip("SQLite has one writer: the second sweep begins when the first is over")
    with ledger.begin() as conn:
        made = {_row(conn, "queued", expires_at=NOW) for _ in range(4)}
    with ledger.begin() as one, ledger.begin() as other:
        first, second = set(sweeps.overdue(one, NOW, 2)), set(sweeps.overdue(other, NOW, 4))
        assert first | second == made
        assert not first & second


# Retention.


def _bodies(conn: Connection) -> dict[str, tuple[str, str | None]]:
    query = "SELECT e.id, e.body, n.phone FROM order_event e JOIN notification n ON n.event_id = e.id"
    rows = conn.execute(sa.text(query))
    return {found: (body, phone) for found, body, phone in rows}


def test_bodies_and_phones_of_what_has_ended_are_forgotten_and_the_rest_stays(ledger: Ledger) -> None:
    old: dict[str, Any] = {"received_at": NOW - TICK}
    with ledger.begin() as conn:
        made = {
            name: queue(conn, event=event)[0]
            for name, event in (("told", old), ("active", old), ("young", {}), ("unreached", old))
        }
        for name in ("told", "unreached"):
            put_in_state(conn, "notification", made[name].notification.id, name)
        put_in_state(conn, "notification", made["young"].notification.id, "told")
        assert sweeps.forget_bodies(conn, NOW, 1) == 1
        assert sweeps.forget_bodies(conn, NOW, 10) == 1
        assert sweeps.forget_bodies(conn, NOW, 10) == 0
        kept = _bodies(conn)
        told = row_of(conn, "notification", made["told"].notification.id)
    body, phone = '{"event":"order.created"}', "+201001234567"
    assert {name: kept[one.event.id] for name, one in made.items()} == {
        "told": ("{}", None),
        "unreached": ("{}", None),
        "active": (body, phone),
        "young": (body, phone),
    }
    assert (told["state"], told["country"], told["told_at"]) == ("told", "EG", to_us(NOW))


# Leases are fenced.


@pytest.mark.parametrize("owner", ["drain-1", None])
def test_the_drain_that_holds_the_claim_or_nobody_by_name_gives_it_back(ledger: Ledger, owner: str | None) -> None:
    with ledger.begin() as conn:
        found = _row(conn, "claimed")
        row = steps.Requeue(found, NOW + HOUR, "retry", "131000", "try again")
        assert steps.requeue(conn, [row], NOW, "drain", owner=owner).moved == {found}


def test_a_drain_that_lost_its_claim_cannot_give_back_the_next_ones(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        found = _row(conn, "claimed")
        before = row_of(conn, "delivery", found)
        for moved in (
            steps.requeue(conn, [steps.Requeue(found, NOW, "released", attempt=False)], NOW, "drain", owner="late"),
            steps.lose_track(conn, [steps.Lose(found, "x", None, NOW)], NOW, "drain", owner="late"),
            steps.withdraw(conn, [steps.Cancel(found, "x")], NOW, "drain", owner="late"),
        ):
            assert moved.lost == {found}
        assert row_of(conn, "delivery", found) == before


@pytest.mark.parametrize(
    ("label", "reason", "attempt", "attempts", "throttles"),
    [
        ("a retry is a try", "retry", True, 1, 0),
        ("a throttle is none, and is counted as one", "throttle_sender", False, 0, 1),
        ("a release is neither", "released", False, 0, 0),
    ],
)
def test_tries_and_throttles_are_counted_apart(
    ledger: Ledger, label: str, reason: str, attempt: bool, attempts: int, throttles: int
) -> None:
    with ledger.begin() as conn:
        found = _row(conn, "claimed")
        steps.requeue(conn, [steps.Requeue(found, NOW + HOUR, reason, "1", "d", attempt)], NOW, "drain")
        row = row_of(conn, "delivery", found)
    assert (row["attempts"], row["throttles"]) == (attempts, throttles), label
    assert (row["due_at"], row["first_due_at"]) == (to_us(NOW + HOUR), to_us(NOW))
    assert (row["reason"], row["code"], row["detail"]) == (reason, "1", "d")
