"""`notifier up`: all of notifier on one machine, until it is stopped."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import click

from notifier.catalog import creation_payload, load_catalog
from notifier.cli.misgivings import misgivings
from notifier.cli.stack import Addresses, free_ports, only_one, road_of, running_stack, sandbox_spec
from notifier.cli.supervisor import LOOK, Spec, StopFlag, catching_signals
from notifier.demo.house import write_secretly
from notifier.demo.practice import practise
from notifier.settings import Settings, load_settings

# A warm stop: a drain records what it has sent (its slice and a request), a gateway ends its requests.
GRACE = timedelta(seconds=30)


@click.command()
@click.option(
    "--sandbox", is_flag=True, help="Also run the sandbox, and send everything to it instead of the providers."
)
def up(sandbox: bool) -> None:
    """Run everything on this machine: Redis (unless NOTIFIER_REDIS_URL names one), workers, beat and gateway.

    For a laptop or a small shop. Children that crash are started again; their logs are in DATA_DIR/logs. Ctrl-C or
    SIGTERM ends it warmly. For many machines run `notifier worker`, `beat` and `gateway` there instead.

    \b
    Example:
      notifier up --sandbox
    """
    settings = load_settings()
    with catching_signals() as stopping, only_one(settings.data_dir):
        _run(settings, sandbox, stopping)
    if stopping():
        raise SystemExit(0)  # being stopped is how `up` ends


def _run(settings: Settings, sandbox: bool, stopping: StopFlag) -> None:
    gateway_port, sandbox_port = free_ports(2)
    gateway_url = f"http://{settings.gateway_host}:{settings.gateway_port or gateway_port}"
    with road_of(settings) as road:
        addresses = Addresses(road.url, gateway_url, f"http://127.0.0.1:{sandbox_port}" if sandbox else "")
        extra, env = _practice(settings, addresses) if sandbox else ((), {})
        with running_stack(
            settings, addresses, extra, env, restart=True, grace=GRACE, say=_say, stopping=stopping
        ) as supervisor:
            if not stopping():
                _say(_greeting(settings, addresses))
                for misgiving in misgivings(settings, sandbox=sandbox):
                    _say(f"warning: {misgiving}")
            while not stopping():
                supervisor.look()
                road.look(_say)
                time.sleep(LOOK.total_seconds())
            _say("stopping: finishing what is under way")


def _practice(settings: Settings, addresses: Addresses) -> tuple[tuple[Spec, ...], dict[str, str]]:
    """The sandbox with all our templates approved, and the environment that points every sender at it."""
    practice = practise(settings)
    catalog = load_catalog(settings.config_dir / "templates")
    wabas = sorted({sender.account["waba_id"] for sender in settings.senders.values() if sender.provider == "meta"})
    templates = tuple(
        {**creation_payload(template, locale), "waba_id": waba}
        for waba in wabas
        for template in catalog.templates.values()
        for locale in template.locales
    )
    path = settings.data_dir / "sandbox.json"
    write_secretly(path, practice.sandbox_config(addresses.gateway_url, templates))
    pointed = {name: {"base_url": addresses.sandbox_url} for name in settings.senders}
    env = {
        **practice.environment(),
        "NOTIFIER_SENDERS": json.dumps(pointed),
        "NOTIFIER_PUBLIC_URL": addresses.gateway_url,
    }
    return (sandbox_spec(path, addresses.sandbox_url, GRACE),), env


def _greeting(settings: Settings, addresses: Addresses) -> str:
    lines = [
        f"notifier runs. Gateway: {addresses.gateway_url}   data and logs: {settings.data_dir.absolute()}",
        "Hand in events: `notifier ingest FILE`   ask why: `notifier why ORDER`   stop: Ctrl-C",
    ]
    if not settings.redis_url:  # ours takes a free port at every start; a configured one may hold a password
        lines.append(f"For your backend: export NOTIFIER_REDIS_URL={addresses.redis_url}")
    if addresses.sandbox_url:
        lines.append(f"Sandbox: {addresses.sandbox_url}   (nothing goes to Meta or Twilio)")
    return "\n".join(lines)


def _say(text: str) -> None:
    click.echo(text, err=True)
