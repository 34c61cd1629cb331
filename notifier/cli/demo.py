"""`notifier demo`: everything at once, with sample shops and people who exist only in the sandbox."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import click
from celery import Celery
from rich.console import Console

from notifier.catalog import load_catalog
from notifier.cli.stack import (
    Addresses,
    command,
    environment,
    free_ports,
    only_one,
    road_of,
    running_stack,
    sandbox_spec,
)
from notifier.cli.supervisor import ChildFailed, Spec, StopFlag, Supervisor, catching_signals, spawn
from notifier.demo.doors import Doors
from notifier.demo.house import build_house, write_secretly
from notifier.demo.judge import Summary
from notifier.demo.play import Play
from notifier.demo.practice import Practice, practise
from notifier.demo.registration import register
from notifier.demo.routing import platform_of
from notifier.demo.samples import load_samples
from notifier.demo.shop_secrets import ShopSecrets, make_secrets
from notifier.demo.view import Screen, last_word
from notifier.door import open_road
from notifier.inbox import Inbox
from notifier.ledger import Ledger, open_ledger
from notifier.sandbox.testing import SandboxClient
from notifier.settings import Settings, config_file, load_settings
from notifier.shop_sources import shop_sources

# At the end nothing is under way; when interrupted nobody wants to wait.
GRACE = timedelta(seconds=5)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object on the last line.")
@click.option(
    "--keep", type=click.Path(path_type=Path), help="Keep ledger, logs and configuration in this new directory."
)
def demo(as_json: bool, keep: Path | None) -> None:
    """Run everything once with a week of three sample shops, and judge the result.

    Nothing leaves this machine and nothing stays on it. Ends with 0 only if every event ended as
    config/samples/expected.jsonl says, by the record of the sandbox that stands in for Meta and Twilio.

    \b
    Examples:
      notifier demo
      notifier demo --json --keep /tmp/demo
    """
    began = time.monotonic()
    with catching_signals() as stopping, _home(keep) as home:
        summary = _perform(home, Screen(Console(stderr=True)), stopping, began)
    if summary is None:
        raise SystemExit(stopping.exit_code)
    click.echo(last_word(summary))
    if as_json:
        click.echo(json.dumps(summary.as_json(), ensure_ascii=False))
    raise SystemExit(0 if summary.ok else 1)


@contextlib.contextmanager
def _home(keep: Path | None) -> Iterator[Path]:
    """The demo's directory: a temporary one that goes, or a new one that stays."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="notifier-demo-", ignore_cleanup_errors=True) as made:
            yield Path(made)
        return
    if keep.exists() and any(keep.iterdir()):
        raise click.UsageError(f"{keep} is not empty: --keep wants a new directory")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep.absolute()


def _perform(home: Path, screen: Screen, stopping: StopFlag, began: float) -> Summary | None:
    """Sets up, plays and judges; None when somebody ended it."""
    samples_dir = config_file().parent / "samples"
    samples = load_samples(samples_dir)
    settings, urls = _settings(home)
    practice = practise(settings)
    sandbox_file = home / "sandbox.json"
    write_secretly(sandbox_file, practice.sandbox_config(urls.gateway_url))
    screen.say("Starting Redis, the ledger, workers, beat, the gateway, and a sandbox for Meta and Twilio ...")
    with only_one(settings.data_dir), road_of(settings) as road, contextlib.ExitStack() as stack:
        addresses = replace(urls, redis_url=road.url)
        extra = (sandbox_spec(sandbox_file, urls.sandbox_url, GRACE),)
        shops = make_secrets(settings)
        secrets = {**practice.environment(), **shops.environment}
        supervisor = stack.enter_context(
            running_stack(
                settings, addresses, extra, secrets, restart=False, grace=GRACE, say=screen.say, stopping=stopping
            )
        )
        if stopping():
            return None
        _register(settings, practice, urls.sandbox_url, screen)
        doors = stack.enter_context(
            contextlib.closing(_doors(settings, home, environment(settings, addresses, secrets), shops, addresses))
        )
        ledger = stack.enter_context(_ledger(settings))
        play = Play(
            samples, doors, ledger, SandboxClient(urls.sandbox_url), screen, stopping, lambda: _check(supervisor), began
        )
        with screen:
            play.run(samples_dir / "rejected.jsonl")
        return None if stopping() else play.verdict()


def _settings(home: Path) -> tuple[Settings, Addresses]:
    """The demo's own settings and free addresses. Whatever else this environment says about notifier is forgotten."""
    urls = Addresses("", *(f"http://127.0.0.1:{port}" for port in free_ports(2)))
    written = build_house(home, config_file(), urls.sandbox_url, urls.gateway_url)
    for name in [name for name in os.environ if name.startswith("NOTIFIER_")]:
        del os.environ[name]
    os.environ["NOTIFIER_CONFIG"] = str(written)
    return load_settings(), urls


def _register(settings: Settings, practice: Practice, base_url: str, screen: Screen) -> None:
    catalog = load_catalog(settings.config_dir / "templates")
    meta = {name: sender.account for name, sender in settings.senders.items() if sender.provider == "meta"}
    accounts = {account["waba_id"]: practice.secret(name, "TOKEN") for name, account in meta.items()}
    version = next(iter(meta.values()))["api_version"]
    approved = register(catalog, base_url, version, accounts.items())
    screen.say(
        f"{approved} wordings of {len(catalog.templates)} templates registered and approved. Handing events in ..."
    )


def _doors(settings: Settings, home: Path, env: Mapping[str, str], shops: ShopSecrets, addresses: Addresses) -> Doors:
    inbox = Inbox(open_road(env["NOTIFIER_REDIS_URL"]), prefix=settings.key_prefix)
    # All that a backend with Celery has to know is the broker.
    celery = Celery("shop", broker=env["NOTIFIER_REDIS_URL"], set_as_current=False)

    def run(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        return spawn(Spec("ingest", command(*arguments), "", 0, GRACE, env), settings.data_dir / "logs" / "ingest.log")

    platforms = platform_of(shop_sources(settings, shops.environment).values())
    return Doors(inbox, celery, addresses.gateway_url, platforms, shops.signing, home, run)


@contextlib.contextmanager
def _ledger(settings: Settings) -> Iterator[Ledger]:
    ledger = open_ledger(settings.ledger_url)
    try:
        yield ledger
    finally:
        ledger.dispose()


def _check(supervisor: Supervisor) -> None:
    """Raises ChildFailed when something ended that should run: a demo with a crash in it has failed."""
    down = supervisor.look()
    if down:
        raise ChildFailed(f"{', '.join(down)} ended in the middle of the demo; keep the logs with --keep")
