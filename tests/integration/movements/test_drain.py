"""What one drain does with each kind of answer, by `turn()`, on a real ledger and a real Redis."""

from __future__ import annotations

from tests.fixtures.drains import Scripted, delivery_row, drain_of, due, run, states
from tests.fixtures.runtime import World


def test_what_is_due_is_sent_once_and_recorded(world: World) -> None:
    made = due(world, 3)
    transport = Scripted()
    work = run(drain_of(world, transport))
    assert sorted(transport.refs) == sorted(one.delivery.id for one in made)
    assert states(world) == {"accepted": 3}
    assert work.report.claimed == 3
    assert work.report.outcomes["accepted"] == 3
    row = delivery_row(world, made[0].delivery.id)
    assert (row["attempts"], row["throttles"], row["lease_until"]) == (1, 0, None)
