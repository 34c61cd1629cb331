"""The house under test: real Redis, ledger, workers, beat, gateway and sandbox, with what it takes to break them.

Leases, pauses and times-to-live are as short as the settings allow, so that a run comes to rest within a minute.
Workers and gateway reach Redis and PostgreSQL through proxies; doors and judge go directly.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from redis import Redis

from notifier.catalog import creation_payload, load_catalog
from notifier.cli import stack
from notifier.cli.stack import Addresses, free_ports, sandbox_spec
from notifier.cli.supervisor import Spec
from notifier.demo.house import build_house, write_secretly
from notifier.demo.practice import Practice, practise
from notifier.demo.toml import write_toml
from notifier.door import open_road
from notifier.embedded import RunningServer, start_server
from notifier.keys import create_key
from notifier.ledger import Ledger, open_ledger
from notifier.ledger.migrations import upgrade
from notifier.sandbox.testing import SandboxClient
from notifier.settings import Settings, config_file, load_settings
from tests.faults.children import Children
from tests.faults.orders import SHOPS
from tests.faults.proxy import Proxy
from tests.fixtures.postgres import RunningPostgres, start_postgres
from tests.fixtures.rabbitmq import RunningRabbit, running_rabbitmq
from workers.queues import INGEST_LISTS, INGEST_QUEUE, INGEST_TASK

Database = Literal["sqlite", "postgresql"]
Broker = Literal["redis", "rabbitmq"]

# Long enough for a slice, a warm stop and the answers that are still out.
GRACE = timedelta(seconds=15)

_KEY_RATE = 10_000  # events a second: shops that come again after an outage must not wait for their own limit

WORKERS = 2
BEAT = "beat"
GATEWAY = "gateway"
SANDBOX = "sandbox"

# Everything a repair waits for, short; the relations between them are checked when the settings load. The lease is
# longer than the road's and SQLite's own timeouts (10 s), as it is by default, or every partition would end claims.
_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "drain": {"slice": "2s", "request_timeout": "4s", "connect_timeout": "1s", "lease": "15s"},
    "retry": {"base": "200ms", "cap": "3s"},
    "fallback": {"buffer": "5s", "unknown_wait": "30s"},
    "breaker": {"cool_down": "1s", "cool_down_max": "4s"},
    "sweep": {"ask_after": "5s"},
    "inbox": {"reclaim_after": "5s"},
}
_SMS_SILENCE = "25s"  # Twilio keeps trying for ten hours; the sandbox's carriers take a fifth of a second

_SANDBOX: Mapping[str, Any] = {
    "ladder": {"spread": 0.0},  # what was accepted first is shown first: a stale message is our doing alone
    "hold_real_seconds": 8.0,
    "retry_cap": 3.0,  # Meta pauses up to six hours between tries of a webhook
}


@dataclass(slots=True)
class House:
    """What faults have in their hands. Everything is called from the one thread that built it."""

    home: Path
    database: Database
    settings: Settings
    children: Children
    redis_dir: Path
    redis: RunningServer
    redis_proxy: Proxy  # between our processes and Redis
    door_proxy: Proxy  # between the shops and Redis: never broken, and follows a failover
    postgres: RunningPostgres | None
    postgres_proxy: Proxy | None
    rabbitmq: RunningRabbit | None  # None: Redis is Celery's broker as well
    rabbitmq_proxy: Proxy | None
    sandbox: SandboxClient
    environ: Mapping[str, str] = field(repr=False)  # of every child
    provider_proxy: Proxy  # between our drains and the sandbox
    keys: Mapping[str, str] = field(repr=False)  # of the HTTP door, by shop
    rules: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    road_losses: list[tuple[float, float]] = field(default_factory=list)  # epoch seconds in which receipts may be gone

    @property
    def broker(self) -> Broker:
        """What Celery's messages go through."""
        return "rabbitmq" if self.rabbitmq else "redis"

    @property
    def workers(self) -> list[str]:
        return self.children.names("worker-")

    @property
    def gateway_url(self) -> str:
        """Where shops hand in over HTTP, and providers report to."""
        return f"http://127.0.0.1:{self.environ['NOTIFIER_GATEWAY_PORT']}"

    @property
    def road_url(self) -> str:
        """Redis without the proxy in between."""
        return f"redis://127.0.0.1:{self.redis.port}/0"

    def road(self) -> Redis:
        return open_road(self.road_url)

    def on_the_road(self) -> int:
        """How many events, receipts and messages that are events are on our streams, and in Celery's hands.

        What RabbitMQ holds is looked at when nothing else is left: it costs a process.
        """
        prefix = self.settings.key_prefix
        with contextlib.closing(self.road()) as road:
            pipe = road.pipeline(transaction=True)
            for stream in ("inbox", "webhooks", "receipts", "ingest"):
                pipe.xlen(f"{prefix}{stream}")
            for one in INGEST_LISTS:
                pipe.llen(one)
            pipe.hvals("unacked")
            *lengths, held = pipe.execute()
        here = sum(map(int, lengths)) + sum(INGEST_TASK.encode() in one for one in held)
        return here or (self.rabbitmq.messages(INGEST_QUEUE) if self.rabbitmq else 0)

    @contextlib.contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The ledger without the proxy in between."""
        ledger = open_ledger(self.postgres.url if self.postgres else self.settings.ledger_url)
        try:
            yield ledger
        finally:
            ledger.dispose()

    def look(self) -> None:
        """Starts again what died."""
        self.children.look()

    def hush(self) -> None:
        """Ends the workers, so that record and ledger are of one moment."""
        for name in (BEAT, *self.workers):
            self.children.keep_down(name)
        time.sleep(1.0)

    def wait(self, seconds: float) -> None:
        """Lets time pass."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.look()
            time.sleep(0.05)

    def set_rules(self, name: str, rules: list[dict[str, Any]]) -> None:
        """Adds rules to the sandbox's fault plan, under a name; an empty list takes them away again."""
        self.rules[name] = rules
        self.sandbox.faults([rule for some in self.rules.values() for rule in some])

    @property
    def shop_url(self) -> str:
        """Redis as shops know it, whichever server that is now."""
        return f"redis://127.0.0.1:{self.door_proxy.port}/0"

    @property
    def broker_url(self) -> str:
        """Celery's broker as shops know it."""
        return self.rabbitmq.url if self.rabbitmq else self.shop_url

    def fail_over(self, spare: RunningServer, spare_dir: Path) -> None:
        """The primary dies, and the spare takes its place under the old addresses."""
        self.redis.kill()
        self.redis, self.redis_dir = spare, spare_dir
        for proxy in (self.redis_proxy, self.door_proxy):
            proxy.target = spare.port
            proxy.cut()

    def road_lost(self, before: float, after: float = 0.5) -> None:
        """What Redis held is gone: also receipts that were taken so many seconds before and after now."""
        now = time.time()
        self.road_losses.append((now - before, now + after))

    def start_redis(self) -> None:
        """Redis again, on its port and its files."""
        self.redis = start_server(self.redis_dir, port=self.redis.port)

    def restart_postgres(self) -> None:
        """A fast shutdown and a start, as at an upgrade."""
        if self.postgres is None:
            raise RuntimeError("this house has no PostgreSQL")
        self.postgres.stop()
        self.postgres = start_postgres(self.home / "postgres", port=self.postgres.port, careful=True)

    def worker_spec(self, name: str, **environ: str) -> Spec:
        """A worker of all queues, started through the harness's own entry point."""
        command = (sys.executable, "-m", "tests.faults.worker_entry", "worker", "--threads", "12", "--name", name)
        ready = _specs(self.settings, self.environ)["worker-channels"].ready
        own = {"CHAOS_CLOCK": str(self.clock_file(name)), **environ}
        return Spec(name, command, ready, 2, GRACE, {**self.environ, **own})

    def clock_file(self, name: str) -> Path:
        """By how many seconds this worker's clock is wrong, when the file is there."""
        return self.home / f"clock-{name}"


@contextlib.contextmanager
def running_house(database: Database, seed: int, keep: Path | None, broker: Broker, **environ: str) -> Iterator[House]:
    """The house, with everything in it at work; nothing of it is left afterwards, unless it is kept."""
    with contextlib.ExitStack() as ending:
        home = _home(ending, keep)
        for name in [name for name in os.environ if name.startswith("NOTIFIER_")]:
            del os.environ[name]
        house = _build(ending, home, database, broker, seed, environ)
        yield house


def _home(ending: contextlib.ExitStack, keep: Path | None) -> Path:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        return keep.absolute()
    made = ending.enter_context(tempfile.TemporaryDirectory(prefix="notifier-chaos-", ignore_cleanup_errors=True))
    home = Path(made)
    home.chmod(0o755)  # PostgreSQL may run as somebody else
    return home


def _build(
    ending: contextlib.ExitStack,
    home: Path,
    database: Database,
    broker: Broker,
    seed: int,
    environ: Mapping[str, str],
) -> House:
    gateway, sandbox = (f"http://127.0.0.1:{port}" for port in free_ports(2))
    provider_proxy = ending.enter_context(contextlib.closing(Proxy(int(sandbox.rpartition(":")[2]))))
    settings = _configure(home, f"http://127.0.0.1:{provider_proxy.port}", gateway)
    redis = start_server(home / "redis")
    redis_proxy = ending.enter_context(contextlib.closing(Proxy(redis.port)))
    door_proxy = ending.enter_context(contextlib.closing(Proxy(redis.port)))
    postgres = start_postgres(home / "postgres", careful=True) if database == "postgresql" else None
    postgres_proxy = ending.enter_context(contextlib.closing(Proxy(postgres.port))) if postgres else None
    rabbitmq = ending.enter_context(running_rabbitmq()) if broker == "rabbitmq" else None
    rabbitmq_proxy = ending.enter_context(contextlib.closing(Proxy(rabbitmq.port))) if rabbitmq else None
    practice = practise(settings)
    addresses = Addresses(f"redis://127.0.0.1:{redis_proxy.port}/0", gateway, sandbox)
    all_of_it = {
        **practice.environment(),
        **environ,
        "NOTIFIER_CONFIG": os.environ["NOTIFIER_CONFIG"],
        "NOTIFIER_LOG_LEVEL": "INFO",
    }
    if postgres_proxy:
        all_of_it["NOTIFIER_DATABASE_URL"] = f"postgresql+psycopg://notifier@127.0.0.1:{postgres_proxy.port}/postgres"
    if rabbitmq_proxy:
        all_of_it["NOTIFIER_BROKER_URL"] = f"amqp://guest:guest@127.0.0.1:{rabbitmq_proxy.port}//"
    child_environ = stack.environment(settings, addresses, all_of_it)
    house = House(
        home,
        database,
        settings,
        Children(settings.data_dir / "logs"),
        home / "redis",
        redis,
        redis_proxy,
        door_proxy,
        postgres,
        postgres_proxy,
        rabbitmq,
        rabbitmq_proxy,
        SandboxClient(sandbox),
        child_environ,
        provider_proxy,
        {},
    )
    ending.callback(_stop_stores, house)
    ending.callback(house.children.stop)
    _start(house, addresses, _sandbox_file(home, settings, practice, gateway, seed))
    return house


def _start(house: House, addresses: Addresses, sandbox_file: Path) -> None:
    with house.ledger() as ledger:
        upgrade(ledger)
        house.keys = {shop: _make_key(ledger, shop) for shop, *_ in SHOPS}
    specs = _specs(house.settings, house.environ)
    house.children.start(
        [
            sandbox_spec(sandbox_file, addresses.sandbox_url, timedelta(seconds=3)),
            specs[GATEWAY],
            replace(specs[BEAT], env=house.environ),
            *(house.worker_spec(f"worker-{number}") for number in range(1, WORKERS + 1)),
        ]
    )


def _make_key(ledger: Ledger, shop: str) -> str:
    with ledger.begin() as conn:
        return create_key(conn, shop, "chaos", ("events:write",), _KEY_RATE, datetime.now(UTC), "chaos").secret


def _specs(settings: Settings, environ: Mapping[str, str]) -> dict[str, Spec]:
    """The processes of `notifier up`, by name."""
    gateway_url = f"http://127.0.0.1:{environ['NOTIFIER_GATEWAY_PORT']}"
    addresses = Addresses(environ["NOTIFIER_REDIS_URL"], gateway_url)
    return {spec.name: spec for spec in stack._specs(settings, addresses, dict(environ), GRACE)}


def _configure(home: Path, sandbox_url: str, gateway_url: str) -> Settings:
    written = build_house(home, config_file(), sandbox_url, gateway_url)
    table = tomllib.loads(written.read_text(encoding="utf-8"))
    for section, values in _SETTINGS.items():
        table[section] = {**table.get(section, {}), **values}
    for sender in table["senders"].values():
        if sender["channel"] == "sms":
            sender["silence_after"] = _SMS_SILENCE
    written.write_text(write_toml(table), encoding="utf-8")
    os.environ["NOTIFIER_CONFIG"] = str(written)
    return load_settings()


def _sandbox_file(home: Path, settings: Settings, practice: Practice, gateway_url: str, seed: int) -> Path:
    catalog = load_catalog(settings.config_dir / "templates")
    wabas = sorted({one.account["waba_id"] for one in settings.senders.values() if one.provider == "meta"})
    templates = tuple(
        {**creation_payload(template, locale), "waba_id": waba}
        for waba in wabas
        for template in catalog.templates.values()
        for locale in template.locales
    )
    path = home / "sandbox.json"
    write_secretly(path, {**practice.sandbox_config(gateway_url, templates), **_SANDBOX, "seed": seed})
    return path


def _stop_stores(house: House) -> None:
    house.redis.stop()
    if house.postgres:
        house.postgres.stop()
