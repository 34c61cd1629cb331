"""The command line: `notifier COMMAND`. Each command is a module of this package, loaded when it is asked for."""

from __future__ import annotations

import importlib
from typing import NamedTuple

import click

from notifier.events import NotifierError


class Entry(NamedTuple):
    """Where a command lives (`module:function`), and its line in `notifier --help`."""

    where: str
    summary: str


# Listing commands must not import them: Celery, the web framework and the databases cost a second together.
COMMANDS: dict[str, Entry] = {
    "demo": Entry("notifier.cli.demo:demo", "Run everything once with sample shops, and judge the result."),
    "up": Entry("notifier.cli.up:up", "Run everything on this machine until it is stopped."),
    "ingest": Entry("notifier.cli.ingest:ingest", "Hand in order events from a file of JSON lines."),
    "why": Entry("notifier.cli.why:why", "Tell the whole story of an order: every decision, reason and time."),
    "explain": Entry("notifier.cli.explain:explain", "Dry run of one event: what would be sent, or why not."),
    "lanes": Entry("notifier.cli.lanes:lanes", "Show each sender's queue, age, rate and breakers."),
    "pause": Entry("notifier.cli.lanes:pause", "Stop a lane by hand; its messages wait."),
    "resume": Entry("notifier.cli.lanes:resume", "Start a paused or broken lane again."),
    "dead": Entry("notifier.cli.dead:dead", "List notifications that reached nobody, and try them again."),
    "consent": Entry("notifier.cli.consent:consent", "Show, grant, stop or import consents."),
    "keys": Entry("notifier.cli.keys:keys", "Create, list, revoke and rotate the API keys of a shop."),
    "sources": Entry("notifier.cli.sources:sources", "List, check and try the platforms that tell the shops' orders."),
    "reconcile": Entry("notifier.cli.reconcile:reconcile", "Ask a shop's platform what changed, for lost webhooks."),
    "templates": Entry("notifier.cli.templates:templates", "Check the templates, and bring them to the provider."),
    "sweep": Entry("notifier.cli.sweep:sweep", "Run one periodic repair, or all of them, once."),
    "doctor": Entry("notifier.cli.doctor:doctor", "Check stores, templates, secrets and clocks, with advice."),
    "db": Entry("notifier.cli.db:db", "Bring the ledger's tables up to date."),
    "worker": Entry("notifier.cli.worker:worker", "Run a worker for some or all queues."),
    "beat": Entry("notifier.cli.beat:beat", "Run the schedule of the periodic repairs."),
    "gateway": Entry("notifier.cli.gateway:gateway", "Run the HTTP side: receipts, health, metrics."),
    "sandbox": Entry("notifier.cli.sandbox:sandbox", "Run providers to practise on."),
}


class Commands(click.Group):
    """A group that knows its commands by name and loads one when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, function = COMMANDS[cmd_name].where.split(":")
        found = getattr(importlib.import_module(module), function)
        if not isinstance(found, click.Command):
            raise TypeError(f"{module}:{function} is not a click command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Runs the command; what notifier raises on purpose becomes one line: what, where, how to mend."""
        try:
            return super().invoke(ctx)
        except NotifierError as error:
            from notifier.cli.exits import failed

            raise failed(error) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="notifier")
def main() -> None:
    """Order events in, exactly one message to the customer out: WhatsApp first, SMS when WhatsApp cannot reach them."""
