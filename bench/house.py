"""The house that figures are taken in: stub, PostgreSQL, Redis, configuration, and processes that play a role.

Everything is below bench/.data and listens on 127.0.0.1, on free ports; it ends with the block that opened it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.compiled import compiled
from bench.errors import Broken, Missing
from bench.load import SOURCE as LOAD
from bench.ports import free_port
from bench.postgres import Postgres, running_postgres
from bench.sizes import Sizes
from bench.stub import SOURCE as STUB
from bench.stub import Stub, running_stub
from notifier.cli.supervisor import Spec, Supervisor
from notifier.demo.toml import write_toml
from notifier.embedded import RunningServer, start_server
from notifier.ledger import open_ledger, upgrade

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "bench" / ".data"

# So fast that the limiter never is what is measured; it is asked all the same.
UNLIMITED = 1_000_000

SHOP = "bench"
APP_SECRET, SHOPIFY_SECRET = "bench-app-secret", "bench-shopify-secret"
NUMBER_ID, WABA_ID = "100000000000001", "200000000000001"

_START, _GRACE = timedelta(seconds=60), timedelta(seconds=20)


@dataclass(frozen=True)
class House:
    """What the parts share. load: the binary of the load generator."""

    home: Path
    sizes: Sizes
    redis: RunningServer
    postgres: Postgres
    load: Path
    _stub: Path

    @contextlib.contextmanager
    def stub(self, name: str = "stub") -> Iterator[Stub]:
        with running_stub(self._stub, self.home, name) as stub:
            yield stub

    @contextlib.contextmanager
    def ledger(self, name: str) -> Iterator[str]:
        """The URL of an empty, migrated database. Dropped after the block: else it is vacuumed beside the next part."""
        yield migrated(self.postgres.create(name))
        self.postgres.drop(name)

    def place(self, name: str, database_url: str, lanes: Mapping[str, float], base_url: str) -> Place:
        """A configuration of its own: name also tells its keys in Redis apart. lanes: sender -> messages a second."""
        home = self.home / name
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        place = Place(home, database_url, self.redis.url, f"bench-{name}-{os.urandom(3).hex()}:", free_port())
        place.write(lanes, base_url)
        return place


@dataclass(frozen=True)
class Place:
    """One installation of notifier: configuration, ledger, keys in Redis, and the processes started in it."""

    home: Path
    database_url: str
    redis_url: str
    prefix: str
    gateway_port: int
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def env(self) -> dict[str, str]:
        """What its processes get besides our own environment."""
        return {
            "PYTHONPATH": str(ROOT),
            "NOTIFIER_CONFIG": str(self.home / "notifier.toml"),
            "NOTIFIER_CONFIG_DIR": str(ROOT / "config"),
            "NOTIFIER_DATABASE_URL": self.database_url,
            "NOTIFIER_REDIS_URL": self.redis_url,
            "NOTIFIER_KEY_PREFIX": self.prefix,
            "NOTIFIER_DATA_DIR": str(self.home / "data"),
            "NOTIFIER_GATEWAY_PORT": str(self.gateway_port),
            "NOTIFIER_PUBLIC_URL": self.gateway_url,
            "NOTIFIER_SENDER_LANE_0_TOKEN": "bench-token-of-about-the-length-that-tokens-of-meta-have" * 3,
            "NOTIFIER_SENDER_LANE_0_APP_SECRET": APP_SECRET,
            "NOTIFIER_SOURCE_BENCH_SHOPIFY_SECRET": SHOPIFY_SECRET,
            **self.more,
        }

    def with_env(self, **more: str) -> Place:
        return replace(self, more={**self.more, **more})

    def write(self, lanes: Mapping[str, float], base_url: str) -> None:
        """Writes notifier.toml: one shop, its messages by the first lane, and the templates that ship with notifier."""
        sender = {"channel": "whatsapp", "provider": "meta", "base_url": base_url}
        account = {"phone_number_id": NUMBER_ID, "waba_id": WABA_ID, "api_version": "v25.0"}
        table: dict[str, Any] = {
            "events": {
                "order.shipped": {"template": "order_shipped"},
                "shipment.out_for_delivery": {"template": "out_for_delivery"},
                "order.review_request": {"template": "review_request"},
            },
            "shops": {
                SHOP: {
                    "display_name": "Bench & Sons",
                    "country": "SA",
                    "default_locale": "en",
                    "channels": ["whatsapp"],
                    "routes": [{"whatsapp": next(iter(lanes))}],
                    "sources": {"shopify": {"kind": "shopify"}},
                }
            },
            "senders": {name: {**sender, "account": account, "rate": rate} for name, rate in lanes.items()},
        }
        (self.home / "notifier.toml").write_text(write_toml(table), encoding="utf-8")

    def role(self, name: str, /, within: float = 600, **arguments: Any) -> dict[str, Any]:
        """Plays a role (`roles.drain`: bench/roles/drain.py) in its own process to its end; returns what it reports."""
        with self.playing(name, **arguments) as player:
            return player.report(within)

    @contextlib.contextmanager
    def playing(self, name: str, /, **arguments: Any) -> Iterator[Player]:
        """The same, while the block does other things; killed when the block ends first."""
        log = (self.home / f"{name}.log").open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", f"bench.{name}", json.dumps(arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT,
            env={**os.environ, **self.env},
        )  # fmt: skip
        try:
            yield Player(process, Path(log.name))
        finally:
            process.kill()
            process.wait()
            log.close()

    @contextlib.contextmanager
    def workers(self, queues: Sequence[str], *, gateway: bool = False) -> Iterator[dict[str, int]]:
        """Worker processes, one for each of these lists of queues (`intake,receipts`), and a beat; name -> pid."""
        supervisor = Supervisor(self.home / "logs", restart=False, say=print)
        specs = [
            Spec(f"worker-{number}", command("worker", "--queues", names, "--name", f"worker-{number}"),
                 "worker.started", 2, _GRACE, self.env)
            for number, names in enumerate(queues)
        ]  # fmt: skip
        specs.append(Spec("beat", command("beat"), "worker.started", 3, _GRACE, self.env))
        if gateway:
            specs.append(self._gateway())
        with _running(supervisor, specs) as pids:
            yield pids

    @contextlib.contextmanager
    def gateway(self) -> Iterator[dict[str, int]]:
        """The gateway alone, as `notifier gateway` starts it; name -> pid."""
        with _running(Supervisor(self.home / "logs", restart=False, say=print), [self._gateway()]) as pids:
            yield pids

    def _gateway(self) -> Spec:
        return Spec("gateway", command("gateway"), f"{self.gateway_url}/health/live", 1, _GRACE, self.env)


@contextlib.contextmanager
def _running(supervisor: Supervisor, specs: Sequence[Spec]) -> Iterator[dict[str, int]]:
    supervisor.start(specs)
    try:
        supervisor.wait_ready(_START, lambda: False)
        yield supervisor.pids()
    finally:
        supervisor.stop()


@dataclass(frozen=True, slots=True)
class Player:
    """A process that plays a role."""

    process: subprocess.Popen[str]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, **words: Any) -> None:
        """A line of JSON for the role."""
        if self.process.stdin is None or self.process.poll() is not None:
            raise Broken(f"a role ended too soon: {self._tail()}")
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """The next line of JSON from the role."""
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise Broken(f"a role ended without a report: {self._tail()}")
        return dict(json.loads(line))

    def report(self, within: float) -> dict[str, Any]:
        """Closes the role's ears and returns the last line it says."""
        try:
            said, _ = self.process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            raise Broken(f"a role did not end within {within:g} s: {self._tail()}") from None
        if self.process.returncode or not said.strip():
            raise Broken(f"a role failed: {self._tail()}")
        return dict(json.loads(said.strip().splitlines()[-1]))

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-800:]


def command(*arguments: str) -> tuple[str, ...]:
    """A command of notifier's, run by this very Python."""
    return (sys.executable, "-m", "notifier", *arguments)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Holds bench/.data: two runs at once would take each other's figures. Raises Missing when somebody else does."""
    DATA.mkdir(parents=True, exist_ok=True)
    with (DATA / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Missing("a quiet machine: another bench runs here; wait for its end") from None
        yield


def migrated(url: str) -> str:
    """The same URL, its tables up to date."""
    ledger = open_ledger(url)
    upgrade(ledger)
    ledger.dispose()
    return url


@contextlib.contextmanager
def open_house(sizes: Sizes) -> Iterator[House]:
    """Starts what all parts need. Raises Missing when something is not installed."""
    for name in [name for name in os.environ if name.startswith("NOTIFIER_")]:
        del os.environ[name]  # an operator's own settings are not what is measured
    home = DATA / "house"
    with contextlib.ExitStack() as stack:
        stack.enter_context(_alone())
        load, stub = compiled(LOAD, DATA), compiled(STUB, DATA)
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        postgres = stack.enter_context(running_postgres(home / "postgres"))
        redis = stack.enter_context(start_server(home / "redis"))
        yield House(home, sizes, redis, postgres, load, stub)
