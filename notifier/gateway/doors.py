"""The doors for receipts, a row a provider: whose secrets count for a request, and what the provider takes as a yes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from notifier.channels import adapter
from notifier.settings import SenderSettings, Settings

Secrets = Mapping[str, Mapping[str, tuple[str, ...]]]
"""sender name -> secret name -> values, newest first"""


@dataclass(frozen=True)
class Door:
    """Where one provider reports. secrets_for: those that may have signed this body. largest: body, in bytes."""

    provider: str
    success: int
    largest: int
    check: Callable[[bytes, Mapping[str, str], str, Sequence[str]], bool] = field(repr=False)
    secrets_for: Callable[[bytes], Sequence[str]] = field(repr=False)


def open_doors(settings: Settings, secrets: Secrets) -> tuple[Door, ...]:
    """A door for each provider that reports here, whether it is configured or not: without a secret nobody passes."""
    return (
        # Up to 3 MB (here the larger meaning of it), and anything but 200 is sent again: whatsapp-cloud-api §3.5.
        Door("meta", 200, 3 * 1024 * 1024, adapter("meta").check_signature, _meta_secrets(settings, secrets)),
        # One message a form of about 1 kB. Any 2xx will do; 204 says that there are no instructions in the answer.
        Door("twilio", 204, 64 * 1024, adapter("twilio").check_signature, _twilio_secrets(settings, secrets)),
    )


def verify_tokens(settings: Settings, secrets: Secrets) -> tuple[str, ...]:
    """The words that Meta may repeat when its webhook is registered."""
    return _distinct(secrets[name].get("verify_token", ()) for name, _ in _senders(settings, "meta"))


def _meta_secrets(settings: Settings, secrets: Secrets) -> Callable[[bytes], Sequence[str]]:
    """All app secrets: the body says which number it is about, and is not to be believed before it is checked."""
    known = _distinct(secrets[name].get("app_secret", ()) for name, _ in _senders(settings, "meta"))
    return lambda body: known


def _twilio_secrets(settings: Settings, secrets: Secrets) -> Callable[[bytes], Sequence[str]]:
    """The auth tokens of the account that the form names. Naming another one's only makes the signature wrong."""
    accounts: dict[str, list[tuple[str, ...]]] = {}
    for name, sender in _senders(settings, "twilio"):
        accounts.setdefault(sender.account.get("account_sid", ""), []).append(secrets[name].get("auth_token", ()))
    tokens = {account: _distinct(found) for account, found in accounts.items()}

    def secrets_for(body: bytes) -> Sequence[str]:
        named = parse_qs(body.decode("latin-1")).get("AccountSid", [""])
        return tokens.get(named[0], ()) if named[0] else ()

    return secrets_for


def _senders(settings: Settings, provider: str) -> list[tuple[str, SenderSettings]]:
    return [(name, sender) for name, sender in settings.senders.items() if sender.provider == provider]


def _distinct(groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Each secret once: senders of one app share theirs, and each one tried is another hash of up to 3 MB."""
    return tuple(dict.fromkeys(secret for group in groups for secret in group if secret))
