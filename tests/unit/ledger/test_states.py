"""The step table against a second list, written by hand, so that the table is not its own judge."""

from __future__ import annotations

import pytest

from notifier.ledger.states import (
    ALIVE,
    CARRIES,
    FINAL,
    LATE,
    RECEIPT_RANK,
    STEPS,
    DeliveryState,
    NotificationState,
    mermaid,
)
from tests.fixtures.legal_moves import LEGAL_MOVES


def test_the_table_allows_exactly_the_moves_of_the_hand_written_list() -> None:
    table = {(name, source, step.target) for name, step in STEPS.items() for source in step.sources}
    assert table == LEGAL_MOVES


def test_alive_and_final_part_the_states() -> None:
    assert {"queued", "claimed", "unknown", "accepted", "sent"} == ALIVE
    assert {"delivered", "read", "failed", "expired", "cancelled"} == FINAL


def test_what_may_be_with_the_customer_is_everything_between_claim_and_read() -> None:
    assert {"claimed", "unknown", "accepted", "sent", "delivered", "read"} == CARRIES


def test_receipts_climb_from_accepted_to_read() -> None:
    assert RECEIPT_RANK == {"accepted": 0, "sent": 1, "delivered": 2, "read": 3}


def test_a_receipt_never_leads_down() -> None:
    for name in ("note_sent", "note_delivered", "note_read"):
        target = RECEIPT_RANK[DeliveryState(STEPS[name].target)]
        assert all(RECEIPT_RANK[DeliveryState(one)] < target for one in STEPS[name].sources if one in RECEIPT_RANK)


def test_a_receipt_that_overwrites_an_end_or_a_retry_is_late() -> None:
    assert {"queued", "failed", "expired", "cancelled"} == LATE


@pytest.mark.parametrize("state", [*DeliveryState, *NotificationState])
def test_every_state_says_what_it_means_in_a_sentence(state: DeliveryState | NotificationState) -> None:
    assert state.meaning.endswith(".")
    assert len(state.meaning.split()) >= 5


def test_every_step_that_takes_something_back_or_ends_it_without_success_needs_a_reason_and_is_told() -> None:
    why = {name for name, step in STEPS.items() if step.why}
    assert why == {name for name, step in STEPS.items() if step.told}
    assert why == {
        "requeue", "resend", "lose_track", "fail", "expire", "cancel", "withdraw", "give_up", "suppress", "reopen",
    }  # fmt: skip


def test_the_diagram_shows_every_legal_move_once() -> None:
    drawn = mermaid().splitlines()
    assert drawn[0] == "stateDiagram-v2"
    arrows = [line.strip() for line in drawn if "-->" in line and "[*]" not in line]
    prefix = {name: step.of[0] for name, step in STEPS.items()}
    assert sorted(arrows) == sorted(
        f"{prefix[name]}_{source} --> {prefix[name]}_{target} : {name}" for name, source, target in LEGAL_MOVES
    )
