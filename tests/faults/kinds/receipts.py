"""Receipts on their way: lost, doubled, reversed, held, wrongly signed. Through the sandbox's fault plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.faults.incidents import FAULTS, Break, Fault, Mend, Scene

_PLANS: Mapping[str, dict[str, Any]] = {
    "doubled": {"receipts": "double"},
    "reversed": {"receipts": "reverse"},
    "held": {"receipts": "hold", "hold": 8.0},
    "wrongly_signed": {"receipts": "wrong_signature"},
}


def _plan(rule: dict[str, Any], name: str) -> Break:
    def act(scene: Scene) -> Mend:
        scene.house.set_rules(name, [rule])
        return lambda: scene.house.set_rules(name, [])

    return act


for _name, _rule in _PLANS.items():
    FAULTS[f"receipts_{_name}"] = Fault(
        f"receipts_{_name}", "receipts", _plan(_rule, f"receipts_{_name}"), (3.0, 8.0), frozenset({"receipts"})
    )

# Lost for good: then silence means nothing, and what is right is the operator's choice (docs/faults.md).
FAULTS["receipts_lost"] = Fault(
    "receipts_lost", "receipts", _plan({"receipts": "lose"}, "receipts_lost"), (3.0, 8.0), frozenset({"receipts"}),
    mixed=False,
)  # fmt: skip
FAULTS["receipts_and_answers_lost"] = Fault(
    "receipts_and_answers_lost",
    "receipts",
    _plan({"receipts": "lose", "action": "reset_after"}, "receipts_and_answers_lost"),
    (3.0, 6.0),
    frozenset({"receipts", "provider"}),
    mixed=False,
)
