"""notifier's own sandbox as the provider, with our templates approved and the limits of the real one."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from bench.house import APP_SECRET, NUMBER_ID, ROOT, WABA_ID, command
from bench.ports import free_port
from notifier.catalog import creation_payload, load_catalog
from notifier.cli.supervisor import Spec, Supervisor

_START, _GRACE = timedelta(seconds=60), timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox that runs. token: what its number takes."""

    url: str
    token: str


@contextlib.contextmanager
def running_sandbox(home: Path, rate: int) -> Iterator[Sandbox]:
    """A sandbox with one number of this rate, for the block. It reports nothing: there is no gateway."""
    port = free_port()
    sandbox = Sandbox(f"http://127.0.0.1:{port}", "bench-sandbox-token")
    number = {
        "phone_number_id": NUMBER_ID,
        "waba_id": WABA_ID,
        "token": sandbox.token,
        "app_secret": APP_SECRET,
        "rate": rate,
    }
    catalog = load_catalog(ROOT / "config" / "templates")
    templates = [
        {**creation_payload(template, locale), "waba_id": WABA_ID}
        for template in catalog.templates.values()
        for locale in template.locales
    ]
    config = home / "sandbox.json"
    config.write_text(json.dumps({"numbers": [number], "templates": templates}), encoding="utf-8")
    supervisor = Supervisor(home / "logs", restart=False, say=print)
    started = command("sandbox", "--config", str(config), "--port", str(port))
    supervisor.start([Spec("sandbox", started, f"{sandbox.url}/_sandbox/health", 0, _GRACE)])
    try:
        supervisor.wait_ready(_START, lambda: False)
        yield sandbox
    finally:
        supervisor.stop()
