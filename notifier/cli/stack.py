"""Everything on one machine: embedded Redis, ledger, workers, beat and gateway, as children of one supervisor."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from notifier.cli.supervisor import Spec, Supervisor
from notifier.embedded import RunningServer, start_server
from notifier.events import NotifierError
from notifier.ledger import open_ledger
from notifier.ledger.migrations import upgrade
from notifier.settings import Settings, runtime_file

# Celery, both databases' drivers and the templates: 2 s on a laptop, several times that on a busy two-core machine.
START_WITHIN = timedelta(seconds=60)

# Two workers, so that a long turn of a lane never keeps receipts waiting.
WORKERS: Mapping[str, str] = {
    "worker-intake": "intake,receipts,sweeps",
    "worker-channels": "whatsapp,sms,email",
}

# What the log of a worker, and of beat, holds once it works; the gateway and the sandbox are asked over HTTP instead.
_STARTED = "worker.started"

# How often the embedded Redis is asked whether it is there: doors retry for longer than that.
_LOOK = timedelta(seconds=1)


class AlreadyRunning(NotifierError):
    """Another `notifier up` has this data directory."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything listens. sandbox_url is empty without a sandbox."""

    redis_url: str = field(repr=False)  # may hold a password
    gateway_url: str
    sandbox_url: str = ""


def free_ports(number: int) -> list[int]:
    """So many different ports of 127.0.0.1 that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(contextlib.closing(socket.socket())) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


@contextlib.contextmanager
def only_one(data_dir: Path) -> Iterator[None]:
    """Holds the data directory, made for its owner alone: it holds phones.

    Raises AlreadyRunning when somebody else does; the kernel frees it with the process.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (data_dir / "up.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"notifier already runs in {data_dir.absolute()} (process {_pid(data_dir)}): stop that one, or set"
                " NOTIFIER_DATA_DIR to another directory"
            ) from None
        yield


def _pid(data_dir: Path) -> str:
    try:
        return str(json.loads(runtime_file(data_dir).read_text())["pid"])
    except (OSError, ValueError, KeyError):
        return "unknown"


class Road:
    """Redis: the configured one, or an embedded server that `look()` starts again, on its port, when it has crashed."""

    def __init__(self, url: str, server: RunningServer | None, data_dir: Path) -> None:
        self.url = url
        self._server = server
        self._data_dir = data_dir
        self._looked = 0.0

    def look(self, say: Callable[[str], None]) -> None:
        """Looks after the embedded server. Its append-only file brings back what it held."""
        if self._server is None or time.monotonic() - self._looked < _LOOK.total_seconds():
            return
        self._looked = time.monotonic()
        if _listens(self._server.port):
            return
        say(f"Redis ended and is started again ({self._data_dir / 'server.log'})")
        port = self._server.port
        self.close()
        self._server = start_server(self._data_dir, port=port)

    def close(self) -> None:
        """Stops the embedded server."""
        if self._server is not None:
            self._server.stop()


@contextlib.contextmanager
def road_of(settings: Settings) -> Iterator[Road]:
    """Redis for as long as this block: the configured one, or an embedded server of our own."""
    data_dir = settings.data_dir / "redis"
    server = None if settings.redis_url else start_server(data_dir)
    with contextlib.closing(Road(server.url if server else settings.redis_url, server, data_dir)) as road:
        yield road


def _listens(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def running_stack(
    settings: Settings,
    addresses: Addresses,
    extra: tuple[Spec, ...],
    env: Mapping[str, str],
    *,
    restart: bool,
    grace: timedelta,
    say: Callable[[str], None],
    stopping: Callable[[], bool],
) -> Iterator[Supervisor]:
    """Migrates, starts all children, and returns when they work, or when `stopping` says so; ends them afterwards.

    extra: children beside ours. env: what every child gets besides our own environment. grace: for a warm stop.
    Writes the addresses to the runtime file, so that other commands find them, and removes it.
    Raises ChildFailed; LedgerUnavailable.
    """
    ledger = open_ledger(settings.ledger_url)
    try:
        upgrade(ledger)
    finally:
        ledger.dispose()
    supervisor = Supervisor(settings.data_dir / "logs", restart=restart, say=say)
    runtime = runtime_file(settings.data_dir)
    try:
        supervisor.start((*extra, *_specs(settings, addresses, environment(settings, addresses, env), grace)))
        supervisor.wait_ready(START_WITHIN, stopping)
        _write_runtime(runtime, addresses)
        yield supervisor
    finally:
        runtime.unlink(missing_ok=True)
        supervisor.stop()


def environment(settings: Settings, addresses: Addresses, env: Mapping[str, str]) -> dict[str, str]:
    """What our children get besides our own environment: the addresses that were chosen, and `env`."""
    return {
        **env,
        "NOTIFIER_REDIS_URL": addresses.redis_url,
        "NOTIFIER_DATA_DIR": str(settings.data_dir.absolute()),
        "NOTIFIER_GATEWAY_PORT": addresses.gateway_url.rpartition(":")[2],
    }


def _specs(settings: Settings, addresses: Addresses, env: Mapping[str, str], grace: timedelta) -> list[Spec]:
    """Stopped from the highest stage down: no new work first, then the work under way, then the ear for receipts."""
    started = _STARTED if settings.log_level in ("DEBUG", "INFO") else ""  # a quiet log cannot say it
    gateway = Spec("gateway", command("gateway"), f"{addresses.gateway_url}/health/live", 1, grace, env)
    ports = metrics_ports(settings.metrics_port)
    workers = [
        Spec(name, command("worker", "--queues", queues, "--name", name), started, 2, grace, {**env, **ports[name]})
        for name, queues in WORKERS.items()
    ]
    return [gateway, *workers, Spec("beat", command("beat"), started, 3, grace, {**env, **ports["beat"]})]


def metrics_ports(first: int) -> dict[str, dict[str, str]]:
    """Child -> the variable with its port for /metrics: counted up from the configured one, for no two can share it."""
    children = (*WORKERS, "beat")
    return {
        name: {"NOTIFIER_METRICS_PORT": str(first + number)} if first else {} for number, name in enumerate(children)
    }


def command(*arguments: str) -> tuple[str, ...]:
    """One of our own commands, run by this very Python."""
    return (sys.executable, "-m", "notifier", *arguments)


def sandbox_spec(config: Path, sandbox_url: str, grace: timedelta) -> Spec:
    """The sandbox as a child; it is stopped last, for receipts may still be on their way."""
    host, _, port = sandbox_url.removeprefix("http://").partition(":")
    arguments = ("sandbox", "--config", str(config), "--host", host, "--port", port)
    return Spec("sandbox", command(*arguments), f"{sandbox_url}/_sandbox/health", 0, grace)


def _write_runtime(path: Path, addresses: Addresses) -> None:
    path.touch(mode=0o600)  # the URL of Redis may hold a password
    path.write_text(
        json.dumps(
            {
                "redis_url": addresses.redis_url,
                "gateway_url": addresses.gateway_url,
                "sandbox_url": addresses.sandbox_url,
                "pid": os.getpid(),
            }
        )
    )
