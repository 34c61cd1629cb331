"""The sandbox in the place of the providers: its configuration, made from the senders, and the senders' secrets."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from notifier.settings import SenderSettings, Settings

# What each provider's adapter reads from the environment: NOTIFIER_SENDER_<NAME>_<SECRET>.
_SECRETS: Mapping[str, tuple[str, ...]] = {
    "meta": ("TOKEN", "APP_SECRET", "VERIFY_TOKEN"),
    "twilio": ("AUTH_TOKEN",),
}


@dataclass(frozen=True, slots=True)
class Practice:
    """Secrets for senders that talk to a sandbox: made anew each time, worth nothing anywhere else."""

    settings: Settings
    shared: Mapping[str, str] = field(repr=False)  # secret of an account (WABA, account SID) or an app

    def secret(self, name: str, secret: str) -> str:
        return self.shared[_account(self.settings.senders[name]) + secret]

    def environment(self) -> dict[str, str]:
        """NOTIFIER_SENDER_… for the processes of notifier."""
        return {
            f"NOTIFIER_SENDER_{re.sub(r'[^A-Za-z0-9]', '_', name).upper()}_{secret}": self.secret(name, secret)
            for name, sender in self.settings.senders.items()
            for secret in _SECRETS.get(sender.provider, ())
        }

    def sandbox_config(self, gateway_url: str, templates: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
        """A `SandboxConfig` as plain values: every sender of Meta a number, every account of Twilio an account."""
        return {
            "numbers": [
                self._number(name, sender, f"{gateway_url}/receipts/meta")
                for name, sender in self.settings.senders.items()
                if sender.provider == "meta"
            ],
            "twilio": [self._twilio(sid) for sid in sorted(self._sids())],
            "templates": list(templates),
        }

    def _number(self, name: str, sender: SenderSettings, webhook_url: str) -> dict[str, Any]:
        return {
            "phone_number_id": sender.account["phone_number_id"],
            "waba_id": sender.account["waba_id"],
            "token": self.secret(name, "TOKEN"),
            "app_secret": self.secret(name, "APP_SECRET"),
            "webhook_url": webhook_url,
            "rate": int(sender.rate),
        }

    def _sids(self) -> set[str]:
        return {
            sender.account["account_sid"] for sender in self.settings.senders.values() if sender.provider == "twilio"
        }

    def _twilio(self, sid: str) -> dict[str, Any]:
        own = {
            name: sender for name, sender in self.settings.senders.items() if sender.account.get("account_sid") == sid
        }
        return {
            "account_sid": sid,
            "auth_token": self.secret(next(iter(own)), "AUTH_TOKEN"),
            "senders": {sender.account["from"]: int(sender.rate) for sender in own.values()},
        }


def practise(settings: Settings) -> Practice:
    """New secrets for all senders. Those of one account at a provider share theirs, as they do in life."""
    accounts = {_account(sender): sender.provider for sender in settings.senders.values()}
    return Practice(
        settings,
        {
            account + secret: secrets.token_hex(16)
            for account, provider in accounts.items()
            for secret in _SECRETS.get(provider, ())
        },
    )


def _account(sender: SenderSettings) -> str:
    return f"{sender.provider}:{sender.account.get('waba_id') or sender.account.get('account_sid') or ''}:"
