"""Receipts on their way: lost, doubled, reversed, held, wrongly signed. Through the sandbox's fault plan."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import requests

from tests.faults.incidents import FAULTS, Break, Fault, Mend, Scene, fault, unbroken

_PLANS: Mapping[str, dict[str, Any]] = {
    "doubled": {"receipts": "double"},
    "reversed": {"receipts": "reverse"},
    "held": {"receipts": "hold", "hold": 8.0},
    # Time-to-live and buffer are 35 s here: decided by then, and told after all.
    "days_late": {"receipts": "hold", "hold": 40.0},
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


@fault("receipts", touches=("gateway",))
def receipts_a_thousand_at_once(scene: Scene) -> Mend:
    """Meta's largest webhook: a thousand statuses, all of them true and most of them known."""
    house = scene.house
    known = [
        {
            "id": one["provider_id"],
            "status": each["status"],
            "timestamp": _unix(each["at"]),
            "recipient_id": one["recipient"],
        }
        for one in house.sandbox.arrivals(provider="meta")
        for each in one["receipts"]
        if each["state"] == "taken" and not each["code"]
    ]
    if not known:
        raise RuntimeError("no receipt was taken yet")
    statuses = scene.rng.choices(known, k=1000)
    numbers = {
        one.account["phone_number_id"]: name for name, one in house.settings.senders.items() if one.provider == "meta"
    }
    number, sender = next(iter(numbers.items()))
    value = {"messaging_product": "whatsapp", "metadata": {"phone_number_id": number}, "statuses": statuses}
    change = {"field": "messages", "value": value}
    body = json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "0", "changes": [change]}]}).encode()
    secret = house.environ[f"NOTIFIER_SENDER_{sender.upper().replace('-', '_')}_APP_SECRET"]
    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": signature, "Content-Type": "application/json"}
    requests.post(f"{house.gateway_url}/receipts/meta", data=body, headers=headers, timeout=15).raise_for_status()
    return unbroken


def _unix(at: str) -> str:
    return str(int(datetime.fromisoformat(at).timestamp()))


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
