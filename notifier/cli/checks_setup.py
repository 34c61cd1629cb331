"""Checks of what an operator writes: templates, shops, secrets, addresses. Secrets are looked for, never shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from notifier.catalog import CatalogError
from notifier.channels import ADAPTERS
from notifier.cli.checkup import Finding, Patient
from notifier.cli.config_reference import SECRETS
from notifier.cli.network import is_private, problem_reaching
from notifier.settings import Settings, SettingsError, secrets_of, unknown_variables
from notifier.shops import shop_rules

# One app has one of each: any sender of the provider may hold it, and the gateway tries them all. Tokens are their own.
_SHARED = frozenset({"app_secret", "verify_token"})

_OTHERS_MAY = 0o077


def templates_are_sound(patient: Patient) -> Iterator[Finding]:
    """Every template passes lint."""
    catalog = patient.catalog
    if isinstance(catalog, CatalogError):
        first = f"; the first: {catalog.faults[0]}"
        yield Finding(
            "fail", f"{_count(len(catalog.faults), 'fault')} in the templates{first}", "run `notifier templates lint`"
        )
    else:
        yield Finding("ok", f"{_count(len(catalog.templates), 'template')} without a fault")


def shops_fit(patient: Patient) -> Iterator[Finding]:
    """Shops name templates that exist, and no rule falls back too early."""
    if isinstance(patient.catalog, CatalogError):
        return
    try:
        rules = shop_rules(patient.settings, patient.catalog)
    except SettingsError as error:
        yield Finding("fail", str(error), "mend config/notifier.toml, or the variables that stand over it")
        return
    if rules:
        yield Finding("ok", f"{_count(len(rules), 'shop')}, {_count(len(patient.settings.senders), 'sender')}")
    else:
        advice = "add [shops.NAME] to config/notifier.toml: every event would go to quarantine"
        yield Finding("warn", "no shop is configured", advice)


def secrets_are_set(patient: Patient) -> Iterator[Finding]:
    """Each sender has the secrets that its provider needs."""
    for name, sender in patient.settings.senders.items():
        if sender.provider not in ADAPTERS:
            yield Finding(
                "fail", f"sender {name}: no provider is called {sender.provider}", f"use {', '.join(ADAPTERS)}"
            )
    for name, variable, purpose in missing_secrets(patient.settings):
        yield Finding("fail", f"sender {name} lacks {variable}", purpose)


def missing_secrets(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Sender, variable and purpose of every secret that is not set."""
    held = {name: secrets_of(name) for name in settings.senders}
    for name, sender in settings.senders.items():
        peers = [other for other, its in settings.senders.items() if its.provider == sender.provider]
        for provider, secret, purpose in SECRETS:
            holders = peers if secret.lower() in _SHARED else [name]
            if provider == sender.provider and not any(held[holder].get(secret.lower()) for holder in holders):
                yield name, _variable(name, secret), purpose


def environment_is_ours(patient: Patient) -> Iterator[Finding]:
    """No variable looks like a setting and is none."""
    unknown = unknown_variables()
    if unknown:
        advice = "unset them, or look for what was meant in docs/configuration.md"
        yield Finding("warn", f"nothing here reads {', '.join(unknown)}", advice)


def data_is_private(patient: Patient) -> Iterator[Finding]:
    """The data directory holds phones, and is its owner's alone."""
    folder = patient.settings.data_dir
    if is_open(folder):
        yield Finding("warn", f"others can read {folder.absolute()}, which holds phones", f"chmod 700 {folder}")


def is_open(folder: Path) -> bool:
    """Whether anybody but its owner may look into it."""
    try:
        return bool(folder.stat().st_mode & _OTHERS_MAY)
    except FileNotFoundError:
        return False


def senders_are_reachable(patient: Patient) -> Iterator[Finding]:
    """Somebody takes a connection at each provider's address."""
    for url in sorted({sender.base_url for sender in patient.settings.senders.values()}):
        names = ", ".join(name for name, sender in patient.settings.senders.items() if sender.base_url == url)
        problem = problem_reaching(url)
        if problem:
            advice = f"check base_url, the firewall and the network: {names} cannot send"
            yield Finding("fail", f"{url} cannot be reached: {problem}", advice)
        else:
            yield Finding("ok", f"{url} takes connections ({names})")


def providers_can_report(patient: Patient) -> Iterator[Finding]:
    """Where real providers are, the gateway's public address must be one that they can reach."""
    public = patient.settings.public_url
    real = sorted(name for name, sender in patient.settings.senders.items() if not is_private(sender.base_url))
    if not real:
        return
    advice = "set public_url to the https address of your gateway: without receipts every message counts as silent"
    if is_private(public):
        yield Finding("fail", f"providers cannot reach public_url {public}", advice)
    elif not public.startswith("https://"):
        yield Finding("fail", f"public_url {public} is not https, which Meta wants", advice)
    else:
        yield Finding("ok", f"public_url {public} looks public")


def _variable(sender: str, secret: str) -> str:
    return f"NOTIFIER_SENDER_{''.join(c if c.isascii() and c.isalnum() else '_' for c in sender).upper()}_{secret}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
