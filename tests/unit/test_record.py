"""What an exchange says, before anything is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from notifier.carry import Carried
from notifier.channels.contract import Accepted, Answer, OutcomeClass, Outgoing, Refused, TextMessage
from notifier.events import NotifierError
from notifier.handles import Exchange, NotAllowed
from notifier.ledger.claims import Claimed
from notifier.record import Result, not_started, result_of

OUTGOING = Outgoing("d1", "+201001234567", TextMessage("hello", 1, "gsm7"), timedelta(hours=1))
CARRIED = Carried(cast("Claimed", None), OUTGOING, datetime(2026, 3, 1, tzinfo=UTC))


def exchange(**changes: Any) -> Exchange:
    said: dict[str, Any] = {"token": CARRIED, "status": 200, "body": b"{}", "failure": None, "detail": "", "seconds": 0}
    return Exchange(**(said | changes))


def reader(status: int, body: bytes) -> Answer:
    return Accepted(f"{status}:{body.decode()}")


def test_an_answer_is_read_by_its_adapter() -> None:
    assert result_of(exchange(status=201, body=b"yes"), reader) == Result(CARRIED.claimed, Accepted("201:yes"))


@pytest.mark.parametrize(
    ("failure", "outcome", "code"),
    [
        ("not_sent", OutcomeClass.RETRY, "not_sent"),
        ("unknown", OutcomeClass.UNKNOWN, "no_answer"),
    ],
)
def test_without_an_answer_only_what_never_left_may_go_again(failure: str, outcome: OutcomeClass, code: str) -> None:
    result = result_of(exchange(status=None, failure=failure, detail="Connection reset"), reader)
    assert result == Result(CARRIED.claimed, Refused(outcome, code, "Connection reset"))


def test_a_token_of_somebody_else_is_a_fault_of_ours() -> None:
    with pytest.raises(TypeError):
        result_of(exchange(token="mine"), reader)


def test_what_the_transport_does_not_take_stops_the_sender_and_what_cannot_be_built_is_dead() -> None:
    refused = not_started(CARRIED, NotAllowed("transport: the host is not configured"))
    assert refused.answer == Refused(OutcomeClass.SENDER_STOP, "not_started", "transport: the host is not configured")
    dead = not_started(CARRIED, NotifierError("x" * 900))
    assert dead.answer == Refused(OutcomeClass.DEAD, "not_started", "x" * 300)


def test_what_was_never_started_has_no_answer() -> None:
    assert Result.released(CARRIED.claimed).answer is None
