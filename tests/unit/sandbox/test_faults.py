from __future__ import annotations

from typing import Any

import pytest

from notifier.sandbox.faults import FaultPlan, InvalidFaults, read_rules
from tests.unit.sandbox.bench import Bench, code_of, shipped

PHONE = "+966500000001"


def plan(*rules: dict[str, Any], seed: int = 0) -> FaultPlan:
    made = FaultPlan(seed)
    made.put(read_rules(list(rules)), 100.0)
    return made


def kinds(
    made: FaultPlan, times: int, path: str = "/v25.0/1/messages", phone: str = PHONE, now: float = 100.0
) -> list[Any]:
    return [action and action.kind for action, _ in (made.meet(path, phone, now) for _ in range(times))]


def test_a_rule_meets_by_path_and_recipient() -> None:
    made = plan({"path": "/messages$", "recipient": r"^\+966", "action": "reset_after"})
    assert kinds(made, 1) == ["reset_after"]
    assert kinds(made, 1, path="/v25.0/1/message_templates") == [None]
    assert kinds(made, 1, phone="+15550001111") == [None]


def test_a_rule_meets_so_often_and_the_next_one_takes_over() -> None:
    made = plan({"count": 2, "action": "throttle"}, {"action": "html_502"})
    assert kinds(made, 3) == ["throttle", "throttle", "html_502"]
    assert [rule["used"] for rule in made.as_json()] == [2, 1]


def test_a_rule_meets_in_its_time_window_only() -> None:
    made = plan({"after": 5, "until": 10, "action": "throttle"})
    assert [kinds(made, 1, now=now) for now in (104.9, 105.0, 109.9, 110.0)] == [
        [None],
        ["throttle"],
        ["throttle"],
        [None],
    ]


def test_chance_is_seeded_and_starts_anew_with_each_plan() -> None:
    rule = {"probability": 0.5, "action": "throttle"}
    first, second, other = (kinds(plan(rule, seed=seed), 200) for seed in (1, 1, 2))
    assert first == second != other
    assert 60 < first.count("throttle") < 140


def test_action_and_receipts_are_decided_on_their_own() -> None:
    made = plan({"action": "delay", "seconds": 2}, {"receipts": "hold", "hold": 9}, {"receipts": "lose"})
    action, receipts = made.meet("/x", PHONE, 100.0)
    assert (action and (action.kind, action.seconds), receipts and (receipts.receipts, receipts.hold)) == (
        ("delay", 2.0),
        ("hold", 9.0),
    )
    assert [rule["used"] for rule in made.as_json()] == [1, 1, 0]


@pytest.mark.parametrize(
    "rules, pointer",
    [
        ({"action": "reset"}, "/:"),
        ([{"action": "explode"}], "/0/action"),
        ([{"action": "refuse"}], "refuse needs the provider's code"),
        ([{}], "needs an action"),
        ([{"path": "(", "action": "throttle"}], "/0/path"),
        ([{"probability": 2, "action": "throttle"}], "/0/probability"),
        ([{"action": "throttle"}, {"recipients": "x", "action": "throttle"}], "/1/recipients"),
    ],
    ids=["no list", "action", "refuse", "nothing", "pattern", "probability", "unknown field"],
)
def test_a_wrong_plan_is_refused_and_says_where(rules: Any, pointer: str) -> None:
    with pytest.raises(InvalidFaults, match=pointer.replace("(", r"\(")):
        read_rules(rules)


def statuses_with(rule: dict[str, Any]) -> list[tuple[str, float]]:
    bench = Bench()
    bench.app.world.faults.put(read_rules([rule]), 0.0)
    assert bench.send().status == 200
    bench.advance(100.0)
    assert [message.id for message in bench.app.world.record.phone(PHONE)] == [1]
    return [(receipt.status, (receipt.at - bench.last.at).total_seconds()) for receipt in bench.last.receipts]


@pytest.mark.parametrize(
    "rule, told",
    [
        ({"receipts": "lose"}, []),
        ({"receipts": "double"}, [("sent", 1.0)] * 2 + [("delivered", 2.0)] * 2 + [("read", 4.0)] * 2),
        ({"receipts": "reverse"}, [("read", 1.0), ("delivered", 2.0), ("sent", 4.0)]),
        ({"receipts": "hold", "hold": 10}, [("sent", 11.0), ("delivered", 12.0), ("read", 14.0)]),
        ({"receipts": "wrong_signature"}, [("sent", 1.0), ("delivered", 2.0), ("read", 4.0)]),
    ],
    ids=["lose", "double", "reverse", "hold", "wrong signature"],
)
def test_receipts_are_bent_and_the_phone_shows_the_message_all_the_same(
    rule: dict[str, Any], told: list[tuple[str, float]]
) -> None:
    assert statuses_with(rule) == told


def test_lost_receipts_of_a_failure_do_not_hide_the_failure_from_the_record() -> None:
    bench = Bench()
    bench.app.world.faults.put(read_rules([{"receipts": "lose"}]), 0.0)
    bench.send(shipped("+966500000901"))
    bench.advance(10.0)
    assert (bench.last.fate, bench.last.receipts) == ("failed", [])


def test_a_refusal_can_carry_any_code_with_either_http_status() -> None:
    bench = Bench()
    rules = [{"action": "refuse", "code": 130429, "status": 429, "count": 1}, {"action": "refuse", "code": 131057}]
    bench.app.world.faults.put(read_rules(rules), 0.0)
    assert [code_of(bench.send()), code_of(bench.send())] == [(429, 130429), (500, 131057)]


def test_a_raw_answer_is_given_as_written() -> None:
    bench = Bench()
    bench.app.world.faults.put(read_rules([{"action": "status", "status": 200, "body": "ok"}]), 0.0)
    answer = bench.send()
    assert (answer.status, answer.body, bench.last.outcome, bench.last.manner) == (200, b"ok", "broken", "status")


def test_a_rule_goes_before_a_persons_habit_and_does_not_use_it_up() -> None:
    bench = Bench()
    bench.app.world.faults.put(read_rules([{"action": "throttle", "count": 1}]), 0.0)
    answers = [bench.send(shipped("+966500000905")).status for _ in range(3)]
    assert answers == [400, 500, 200]
