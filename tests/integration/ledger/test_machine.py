"""Any order of claims, results, receipts and sweeps, against a model of thirty lines."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from notifier.ledger import Ledger, claims, open_ledger, steps, sweeps, upgrade
from notifier.ledger.claims import Quota
from notifier.ledger.states import ALIVE
from tests.fixtures.ledger import HOUR, LEASE, NOW, a_delivery, postgres_ledger, queue
from tests.fixtures.legal_moves import LEGAL_MOVES

PICK = st.integers(min_value=0, max_value=30)
RANK = {"sent": 1, "delivered": 2, "read": 3}


class Model:
    """What the rows must be: states by the hand-written list of legal moves, nothing else."""

    def __init__(self) -> None:
        self.state: dict[str, str] = {}
        self.order: dict[str, str] = {}
        self.moves = {(name, source): target for name, source, target in LEGAL_MOVES}

    def step(self, name: str, found: str) -> bool:
        target = self.moves.get((name, self.state[found]))
        if target is not None:
            self.state[found] = target
        return target is not None

    def claimable(self) -> list[str]:
        """In the order of creation, which is the order of due times: one of each order, none of a busy one."""
        busy = {self.order[one] for one, state in self.state.items() if state == "claimed"}
        chosen: dict[str, str] = {}
        for one, state in self.state.items():
            if state == "queued" and self.order[one] not in busy:
                chosen.setdefault(self.order[one], one)
        return list(chosen.values())

    def alive(self, notification: dict[str, str], of: str) -> bool:
        return any(state in ALIVE for one, state in self.state.items() if notification[one] == of)


class Machine(RuleBasedStateMachine):
    """One ledger for a whole run; `new` empties it."""

    ledger: Ledger

    @initialize()
    def new(self) -> None:
        self.model = Model()
        self.rows: dict[str, Any] = {}
        self.notification: dict[str, str] = {}
        self.due: dict[str, datetime] = {}
        with self.ledger.begin() as conn:
            for table in ("history", "delivery", "notification", "order_event"):
                conn.exec_driver_sql(f"DELETE FROM {table}")

    def _pick(self, number: int) -> str | None:
        known = list(self.model.state)
        return known[number % len(known)] if known else None

    def _next_due(self) -> datetime:
        """Later than all others: two that are due at once go by their ids, of which the model knows nothing."""
        return NOW - HOUR + timedelta(seconds=len(self.due) + 1)

    def _know(self, delivery_id: str, row: Any, order: str) -> None:
        self.model.state[delivery_id] = "queued"
        self.model.order[delivery_id] = order
        self.notification[delivery_id] = row.id
        self.rows[delivery_id] = row

    @rule(order=st.sampled_from(["o-1", "o-2", "o-3"]))
    def event(self, order: str) -> None:
        due = self._next_due()
        with self.ledger.begin() as conn:
            made = queue(conn, event={"order_id": order}, due_at=due, lane="lane")[0]
        self.due[made.delivery.id] = due
        self._know(made.delivery.id, made.notification, order)

    @rule(count=st.integers(min_value=1, max_value=4))
    def claim(self, count: int) -> None:
        expected = self.model.claimable()[:count]
        with self.ledger.begin() as conn:
            claimed = claims.claim(conn, "lane", [Quota(1, "nile", count)], "drain-1", NOW, NOW + LEASE)
        assert [one.delivery_id for one in claimed] == expected
        for one in expected:
            assert self.model.step("claim", one)

    @rule(
        name=st.sampled_from(["accept", "requeue", "resend", "lose_track", "fail", "expire", "cancel", "withdraw"]),
        number=PICK,
    )
    def step(self, name: str, number: int) -> None:
        if (found := self._pick(number)) is None:
            return
        due = self.due[found]  # a row that goes back keeps its place: the model's order is that of the due times
        row: Any = {
            "accept": steps.Accept(found, f"p-{found}", NOW, NOW + HOUR),
            "requeue": steps.Requeue(found, due, "retry"),
            "resend": steps.Resend(found, due, "unknown_outcome"),
            "lose_track": steps.Lose(found, "no_answer", None, NOW + HOUR),
            "fail": steps.Fail(found, "FALLBACK", "1", "", "fallback", NOW),
            "expire": steps.Expire(found, "expired"),
            "cancel": steps.Cancel(found, "superseded"),
            "withdraw": steps.Cancel(found, "stale"),
        }[name]
        with self.ledger.begin() as conn:
            moved = getattr(steps, name)(conn, [row], NOW, "tester").moved
        assert (found in moved) is self.model.step(name, found)

    @rule(statuses=st.lists(st.sampled_from(["sent", "delivered", "read"]), min_size=1, max_size=3), number=PICK)
    def receipts(self, statuses: list[Any], number: int) -> None:
        if (found := self._pick(number)) is None:
            return
        with self.ledger.begin() as conn:
            received = steps.receive(conn, [steps.ReceiptRow(found, one, NOW) for one in statuses], NOW)
        before = self.model.state[found]
        moved = self.model.step(f"note_{max(statuses, key=RANK.__getitem__)}", found)
        assert received.moved == ([found] if moved else [])
        assert received.upgraded == ([found] if moved and before in ("failed", "expired", "cancelled") else [])

    @rule(number=PICK)
    def fall_back(self, number: int) -> None:
        if (found := self._pick(number)) is None:
            return
        row = self.rows[found]
        due = self._next_due()
        following = a_delivery(row, lane="lane", position=1, due_at=due)
        alive = self.model.alive(self.notification, row.id)
        with self.ledger.begin() as conn:
            opened = steps.open_delivery(conn, [following], NOW, "tester", "fallback").moved
        assert (following.id in opened) is (not alive)
        if opened:
            self.due[following.id] = due
            self._know(following.id, row, self.model.order[found])

    @rule(limit=st.integers(min_value=1, max_value=3))
    def leases_end(self, limit: int) -> None:
        with self.ledger.begin() as conn:
            lapsed = sweeps.lapsed_leases(conn, NOW + LEASE, limit)
            rows = [steps.Lose(one, "lease_ended", None, NOW + HOUR) for one in lapsed]
            assert steps.lose_track(conn, rows, NOW, "sweep").moved == set(lapsed)
        claimed = [one for one, state in self.model.state.items() if state == "claimed"]
        assert len(lapsed) == min(limit, len(claimed))
        assert all(self.model.step("lose_track", one) for one in lapsed)

    @invariant()
    def the_rows_are_the_model(self) -> None:
        with self.ledger.read() as conn:
            rows = conn.execute(sa.text("SELECT id, state FROM delivery")).all()
        assert {row[0]: row[1] for row in rows} == self.model.state


@contextmanager
def _sqlite() -> Iterator[Ledger]:
    with tempfile.TemporaryDirectory() as folder:
        ledger = open_ledger(f"sqlite:///{Path(folder) / 'ledger.db'}")
        upgrade(ledger)
        yield ledger
        ledger.dispose()


def _run(ledger: Ledger, examples: int) -> None:
    run_state_machine_as_test(
        type("OnThisLedger", (Machine,), {"ledger": ledger}),
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )


@pytest.mark.timeout(300)
def test_sqlite_does_what_the_model_does() -> None:
    with _sqlite() as ledger:
        _run(ledger, 40)


@pytest.mark.timeout(300)
def test_postgresql_does_what_the_model_does(postgres_url: str) -> None:
    for ledger in postgres_ledger(postgres_url):
        upgrade(ledger)
        _run(ledger, 15)
