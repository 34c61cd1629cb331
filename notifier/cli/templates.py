"""`notifier templates`: check the catalog, look at it, and bring it to the provider."""

from __future__ import annotations

from collections.abc import Sequence

import click

from notifier.catalog import Catalog, CatalogError, Template, load_catalog
from notifier.catalog.render import shown_text
from notifier.catalog.sms import measure, spell
from notifier.catalog.template import VARIABLE, ButtonSpec
from notifier.channels.contract import Sender
from notifier.cli.approvals import Approval, Management, compare, push, wordings
from notifier.cli.exits import LEFT_OVER
from notifier.cli.printing import say_json, say_table
from notifier.runtime import open_senders
from notifier.settings import Settings, load_settings

_json = click.option("--json", "as_json", is_flag=True, help="One JSON object: approvals.")


@click.group()
def templates() -> None:
    """Check the templates of config/templates, look at them, and bring them to the provider for approval."""


@templates.command()
def lint() -> None:
    """Check every template against the provider's limits. Exit status 1 when there is a fault, each with its line.

    \b
      notifier templates lint
    """
    try:
        catalog = _catalog(load_settings())
    except CatalogError as error:
        for fault in error.faults:
            click.echo(str(fault))
        click.echo("1 fault" if len(error.faults) == 1 else f"{len(error.faults)} faults", err=True)
        raise click.exceptions.Exit(LEFT_OVER) from None
    found = catalog.templates.values()
    click.echo(f"{len(found)} templates, {sum(len(one.locales) for one in found)} wordings, no fault")


@templates.command()
@click.argument("name")
@click.option("--locale", help="Only this locale.")
def show(name: str, locale: str | None) -> None:
    """Show a template as customers would see it on WhatsApp and as an SMS, filled with its example values.

    \b
      notifier templates show order_shipped --locale pt_BR
    """
    template = _catalog(load_settings()).get(name)
    if locale is not None and locale not in template.locales:
        raise click.BadParameter(f"{name} has {', '.join(template.locales)}", param_hint="--locale")
    ttl = f", dropped by the provider after {template.ttl}" if template.ttl else ""
    click.echo(f"{name}: {template.category}{ttl}")
    for one in [locale] if locale else template.locales:
        _say_wording(template, one)


def _say_wording(template: Template, locale: str) -> None:
    wording = template.locales[locale]
    click.echo(click.style(f"\n[{locale} on WhatsApp]", bold=True))
    click.echo(_filled(template, locale, shown_text(wording)))
    for button in wording.buttons:
        click.echo(_target(template, locale, button))
    text = spell(_filled(template, locale, wording.sms))
    size = measure(text)
    segments = "1 segment" if size.segments == 1 else f"{size.segments} segments"
    click.echo(click.style(f"\n[{locale} as an SMS: {segments}, {size.encoding}]", bold=True))
    click.echo(text)


def _filled(template: Template, locale: str, text: str) -> str:
    return VARIABLE.sub(lambda match: template.parameters[match[1]].example_in(locale), text)


def _target(template: Template, locale: str, button: ButtonSpec) -> str:
    verb = "opens" if button.type == "url" else "answers"
    return f"  {button.text} {verb} {_filled(template, locale, button.target)}"


@templates.command(name="push")
@click.argument("sender")
@click.option("--name", "names", multiple=True, help="Only this template; may be given several times.")
@click.option("--dry-run", is_flag=True, help="Compare with the provider, and create nothing.")
@_json
def push_command(sender: str, names: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Ask the provider to approve every wording that it does not have yet, on the account of SENDER.

    What is there is compared and left alone. Exit status 1 when something differs or was refused (or, with --dry-run,
    is missing). The sender needs account.waba_id and its token.

    \b
      notifier templates push qamar-wa --name order_shipped
    """
    settings = load_settings()
    payloads = wordings(_catalog(settings), names)
    with Management(_sender(settings, sender)) as management:
        if dry_run:
            there = management.listed()
            found = [compare(one, there.get((one["name"], one["language"]))) for one in payloads]
        else:
            found = list(push(management, payloads))
    _say(found, as_json)
    if any(one.result not in ("created", "equal") for one in found):
        raise click.exceptions.Exit(LEFT_OVER)


@templates.command()
@click.argument("sender")
@_json
def status(sender: str, as_json: bool) -> None:
    """Show how every wording stands at the provider. Exit status 0 when all are there, equal and approved, else 1.

    \b
      notifier templates status qamar-wa
    """
    settings = load_settings()
    payloads = wordings(_catalog(settings), ())
    with Management(_sender(settings, sender)) as management:
        there = management.listed()
    found = [compare(one, there.get((one["name"], one["language"]))) for one in payloads]
    _say(found, as_json)
    if any((one.result, one.status) != ("equal", "APPROVED") for one in found):
        raise click.exceptions.Exit(LEFT_OVER)


def _say(found: Sequence[Approval], as_json: bool) -> None:
    if as_json:
        say_json({"approvals": found})
        return
    head = ("template", "locale", "result", "status", "category", "note")
    rows = [(one.template, one.locale, one.result, one.status or "-", one.category or "-", one.note) for one in found]
    say_table(head, rows)


def _catalog(settings: Settings) -> Catalog:
    return load_catalog(settings.config_dir / "templates")


def _sender(settings: Settings, name: str) -> Sender:
    senders = open_senders(settings)
    if name not in senders:
        raise click.BadParameter(f"no sender is called {name}; there are {', '.join(senders)}", param_hint="SENDER")
    return senders[name]
