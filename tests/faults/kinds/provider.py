"""The provider misbehaves, through the sandbox's fault plan."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

from tests.faults.house import SANDBOX
from tests.faults.incidents import FAULTS, Break, Fault, Mend, Scene, fault

_META = r"/messages$"
_TWILIO = r"/Messages\.json$"

# name → rules while it lasts. What is not accepted and answered unreadably, or not at all, is unknown to us.
_PLANS: Mapping[str, tuple[list[dict[str, Any]], str]] = {
    "resets_before_reading": (
        [{"probability": 0.3, "action": "reset_before"}],
        "reset, nothing done",
    ),
    "resets_after_accepting": ([{"probability": 0.5, "action": "reset_after"}], "accepted, and the answer is lost"),
    "never_answers": ([{"probability": 0.3, "action": "never_answer"}], "accepted, and never answered"),
    "answers_too_late": ([{"probability": 0.4, "action": "delay", "seconds": 6.0}], "accepted, answered after we left"),
    "answers_slowly": ([{"action": "delay", "seconds": 1.5}], "accepted, answered slowly"),
    "fails_with_500": (
        [
            {"path": _META, "action": "refuse", "code": 131016, "status": 500},
            {"path": _TWILIO, "action": "refuse", "code": 30008, "status": 500},
        ],
        "every request answered 5xx with the provider's own JSON",
    ),
    "html_502": ([{"probability": 0.3, "action": "html_502"}], "a gateway's page instead of an answer"),
    "half_json": ([{"probability": 0.5, "action": "half_json"}], "accepted, half of the answer arrives"),
    "wrong_content": (
        [{"probability": 0.3, "action": "status", "status": 200, "body": "OK"}],
        "200 and no JSON: nothing was accepted",
    ),
    "throttles": ([{"probability": 0.5, "action": "throttle"}], "every second request is too fast"),
    "throttles_all": ([{"action": "throttle"}], "every request is too fast"),
    "overloaded": (
        [{"action": "status", "status": 503, "body": '{"error":{"code":2,"message":"down"}}'}],
        "503 with the provider's JSON",
    ),
}


def _plan(name: str, rules: list[dict[str, Any]]) -> Break:
    def act(scene: Scene) -> Mend:
        scene.house.set_rules(name, rules)
        return lambda: scene.house.set_rules(name, [])

    return act


for _name, (_rules, _words) in _PLANS.items():
    FAULTS[f"provider_{_name}"] = Fault(
        f"provider_{_name}", "provider", _plan(_name, _rules), (2.0, 6.0), frozenset({"provider"})
    )


@fault("provider", touches=("provider",), lasts=(2.0, 5.0))
def provider_hangs(scene: Scene) -> Mend:
    """The kernel takes connections and requests, and nobody reads them until later."""
    scene.house.children.signal(SANDBOX, signal.SIGSTOP)
    return lambda: scene.house.children.signal(SANDBOX, signal.SIGCONT)


@fault("provider", touches=("provider",), lasts=(2.0, 5.0))
def provider_refuses_connections(scene: Scene) -> Mend:
    """Nobody listens, and what was connected is reset: some of it after its request had left."""
    proxy = scene.house.provider_proxy
    proxy.refuse()
    proxy.cut()
    return proxy.listen
