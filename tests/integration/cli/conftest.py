"""The command line in process: real Redis, a real ledger, a clock that stands still, wake-ups that are collected."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from sqlalchemy.engine import Connection

from notifier.cli import main
from notifier.cli.opened import Surroundings
from notifier.ledger import Ledger
from notifier.ledger.schema import metadata
from notifier.loops import intake_once
from notifier.runtime import Runtime, open_runtime
from notifier.settings import load_settings
from tests.fixtures.ledger import NOW

ROOT = Path(__file__).parents[3]

CONFIG = """
[events]
"order.created" = { template = "order_created" }
"order.shipped" = { template = "order_shipped" }
"order.cancelled" = { template = "order_cancelled" }

[shops.nile]
display_name = "Nile Books"
country = "EG"
default_locale = "ar"

[[shops.nile.routes]]
whatsapp = "nile-wa"
sms = "nile-sms"

[senders.nile-wa]
channel = "whatsapp"
provider = "meta"
base_url = "http://127.0.0.1:9"
account = { phone_number_id = "100000000000001", waba_id = "200000000000001", api_version = "v25.0" }
rate = 80

[senders.nile-sms]
channel = "sms"
provider = "twilio"
base_url = "http://127.0.0.1:9"
account = { account_sid = "AC00000000000000000000000000000001", from = "NILE" }
rate = 10
"""


@dataclass
class Terminal:
    """Runs commands as an operator called amira would, at NOW."""

    now: datetime = NOW
    woken: list[tuple[str, str]] = field(default_factory=list)

    def run(self, *args: str, stdin: str | bytes | None = None) -> Result:
        around = Surroundings(clock=lambda: self.now, publish=self._publish, by="amira")
        return CliRunner().invoke(main, list(args), input=stdin, obj=around)

    def json(self, *args: str) -> Any:
        """What a command prints with --json."""
        return json.loads(self.run(*args, "--json").stdout)

    def runtime(self) -> Runtime:
        """The parts that a worker would have, at this terminal's time."""
        return replace(open_runtime(load_settings(), self._publish), clock=lambda: self.now)

    def take_in(self) -> None:
        """What intake does."""
        runtime = self.runtime()
        intake_once(runtime, threading.Event())
        runtime.ledger.dispose()
        runtime.redis.close()

    def _publish(self, lane: str, channel: str) -> bool:
        self.woken.append((lane, channel))
        return True


@pytest.fixture
def house(tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a configuration, and Redis; the ledger's URL is still to be said."""
    config = tmp_path / "notifier.toml"
    config.write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOTIFIER_CONFIG", str(config))
    monkeypatch.setenv("NOTIFIER_CONFIG_DIR", str(ROOT / "config"))
    monkeypatch.setenv("NOTIFIER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("NOTIFIER_REDIS_URL", redis_url)
    return tmp_path


def url_of(ledger: Ledger) -> str:
    """The whole URL, password too, for a command that opens the same ledger."""
    return ledger._engine.url.render_as_string(hide_password=False)


@pytest.fixture
def terminal(house: Path, sqlite_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal whose ledger is `sqlite_ledger`."""
    monkeypatch.setenv("NOTIFIER_DATABASE_URL", url_of(sqlite_ledger))
    return Terminal()


@pytest.fixture
def either(house: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal whose ledger is `ledger`: SQLite and PostgreSQL, one after the other."""
    monkeypatch.setenv("NOTIFIER_DATABASE_URL", url_of(ledger))
    return Terminal()


def everything(conn: Connection) -> dict[str, list[Sequence[Any]]]:
    """Every row of every table: a refused command leaves them as they were."""
    return {
        table.name: sorted((tuple(row) for row in conn.execute(sa.select(table))), key=str)
        for table in metadata.sorted_tables
    }


def an_order_event(**changes: Any) -> dict[str, Any]:
    """An order event as a shop hands it in, with consent."""
    event: dict[str, Any] = {
        "shop": "nile",
        "event": "order.created",
        "order_id": "o-1",
        "order_number": "1001",
        "occurred_at": NOW.isoformat(),
        "customer": {
            "phone": "010 0123 4567",
            "country": "EG",
            "locale": "ar-EG",
            "name": "سارة",
            "consent": {"granted": True, "source": "checkout", "at": "2026-02-01T00:00:00Z"},
        },
        "order": {"total": "125.50", "currency": "EGP"},
    }
    return {**event, **changes}


def as_lines(*events: object) -> str:
    return "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nobody listens for as long as the test runs: bound, and never listened on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
