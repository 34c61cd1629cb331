"""What all machines share: Redis, PostgreSQL, the provider, and the processes that are not deliver workers."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from notifier.catalog import creation_payload, load_catalog
from notifier.cli.stack import command, free_ports, sandbox_spec
from notifier.cli.supervisor import Spec, Supervisor
from notifier.demo.toml import write_toml
from notifier.door import open_road
from notifier.embedded import start_server
from notifier.ledger import open_ledger, upgrade
from notifier.sandbox.testing import SandboxClient
from tests.fixtures.postgres import start_postgres
from tests.scaling.machines import Machine, Street

ROOT = Path(__file__).parents[2]
GRACE = timedelta(seconds=20)
START = timedelta(seconds=60)
WABA = "200000000000001"


@dataclass(frozen=True, slots=True)
class Office:
    """The shared part, at work."""

    redis_url: str  # without leaving this machine, as the next two
    database_url: str
    sandbox: SandboxClient
    logs: Path

    def said(self, name: str) -> list[dict[str, Any]]:
        """The log lines of a process."""
        lines = (self.logs / f"{name}.log").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


@contextlib.contextmanager
def running_office(home: Path, street: Street, lanes: int, rate: int) -> Iterator[Office]:
    """Everything up, one deliver worker a machine; so many senders, each allowed `rate` messages a second."""
    with contextlib.ExitStack() as ending:
        redis = ending.enter_context(start_server(home / "redis"))
        postgres = ending.enter_context(start_postgres(home / "postgres", careful=True, also=street.at))
        if street.at:
            with contextlib.closing(open_road(redis.url)) as road:
                road.config_set("protected-mode", "no")
                road.config_set("bind", f"127.0.0.1 {street.at.ip}")
        gateway_port, sandbox_port = free_ports(2)
        sandbox_url = f"http://{street.host}:{sandbox_port}"
        table = _configuration(lanes, rate, sandbox_url)
        (home / "notifier.toml").write_text(write_toml(table), encoding="utf-8")
        shared = _environment(home, street.host, redis.port, postgres.port, gateway_port, lanes)
        ledger = open_ledger(postgres.url)
        upgrade(ledger)
        ledger.dispose()
        supervisor = Supervisor(home / "logs", restart=False, say=lambda word: print(word, file=sys.stderr))
        ending.callback(supervisor.stop)
        sandbox_file = _sandbox_file(home, lanes, rate, f"http://127.0.0.1:{gateway_port}/receipts/meta")
        supervisor.start(
            [
                sandbox_spec(sandbox_file, sandbox_url, GRACE),
                Spec("gateway", command("gateway"), f"http://127.0.0.1:{gateway_port}/health/live", 1, GRACE, shared),
                _worker("office", "intake,receipts,sweeps", shared),
                Spec("beat", command("beat"), "worker.started", 3, GRACE, {**shared, **_place(home / "beat")}),
                *(_deliverer(machine, shared) for machine in street.machines),
            ]
        )
        supervisor.wait_ready(START, lambda: False)
        yield Office(redis.url, postgres.url, SandboxClient(sandbox_url), home / "logs")


def _worker(name: str, queues: str, env: Mapping[str, str]) -> Spec:
    words = command("worker", "--queues", queues, "--name", name)
    return Spec(name, words, "worker.started", 2, GRACE, env)


def _deliverer(machine: Machine, shared: Mapping[str, str]) -> Spec:
    words = command("worker", "--queues", "whatsapp,sms", "--name", machine.name)
    return Spec(machine.name, (*machine.before, *words), "worker.started", 2, GRACE, {**shared, **_place(machine.home)})


def _place(folder: Path) -> dict[str, str]:
    return {"NOTIFIER_DATA_DIR": str(folder)}


def senders(lanes: int) -> list[str]:
    return [f"wa-{place}" for place in range(1, lanes + 1)]


def _configuration(lanes: int, rate: int, sandbox_url: str) -> dict[str, Any]:
    """A shop for each sender. The slice is as short as it goes, so that lanes change hands all the time."""
    account = {"waba_id": WABA, "api_version": "v25.0"}
    sender = {"channel": "whatsapp", "provider": "meta", "base_url": sandbox_url, "rate": rate}
    names = senders(lanes)
    return {
        "drain": {"slice": "1s"},
        "events": {"order.created": {"template": "order_created"}},
        "shops": {
            f"shop-{name}": {
                "display_name": f"Shop of {name}",
                "country": "EG",
                "default_locale": "en",
                "channels": ["whatsapp"],
                "routes": [{"whatsapp": name}],
            }
            for name in names
        },
        "senders": {
            name: {**sender, "account": {**account, "phone_number_id": _number_id(place)}}
            for place, name in enumerate(names)
        },
    }


def _number_id(place: int) -> str:
    return str(100_000_000_000_001 + place)


def _environment(
    home: Path, host: str, redis_port: int, postgres_port: int, gateway_port: int, lanes: int
) -> dict[str, str]:
    secrets: dict[str, str] = {}
    for name in senders(lanes):
        prefix = f"NOTIFIER_SENDER_{name.replace('-', '_').upper()}"
        secrets |= {f"{prefix}_TOKEN": "sandbox-token", f"{prefix}_APP_SECRET": "sandbox-app-secret"}
    return {
        "PYTHONWARNINGS": "ignore",  # Celery warns whoever runs it as root, as namespaces ask for
        "NOTIFIER_CONFIG": str(home / "notifier.toml"),
        "NOTIFIER_CONFIG_DIR": str(ROOT / "config"),
        "NOTIFIER_REDIS_URL": f"redis://{host}:{redis_port}/0",
        "NOTIFIER_DATABASE_URL": f"postgresql+psycopg://notifier@{host}:{postgres_port}/postgres",
        "NOTIFIER_GATEWAY_PORT": str(gateway_port),
        "NOTIFIER_LOG_LEVEL": "INFO",
        **_place(home / "office"),
        **secrets,
    }


def _sandbox_file(home: Path, lanes: int, rate: int, webhook_url: str) -> Path:
    template = load_catalog(ROOT / "config" / "templates").templates["order_created"]
    number = {"waba_id": WABA, "token": "sandbox-token", "app_secret": "sandbox-app-secret", "rate": rate}
    said = {
        "numbers": [
            {**number, "phone_number_id": _number_id(place), "webhook_url": webhook_url} for place in range(lanes)
        ],
        "templates": [{**creation_payload(template, locale), "waba_id": WABA} for locale in template.locales],
    }
    path = home / "sandbox.json"
    path.write_text(json.dumps(said), encoding="utf-8")
    return path
