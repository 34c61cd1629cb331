"""Everything on one machine: embedded Redis, ledger, workers, beat and gateway, as children of one supervisor."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import sys
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

# What a child's log holds once it works; the gateway and the sandbox are asked over HTTP instead.
_WORKER_READY = "worker.started"
_BEAT_READY = "is starting."


class AlreadyRunning(NotifierError):
    """Another `notifier up` has this data directory."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything listens. sandbox_url is empty without a sandbox."""

    redis_url: str = field(repr=False)  # may hold a password
    gateway_url: str
    sandbox_url: str = ""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def only_one(data_dir: Path) -> Iterator[None]:
    """Holds the data directory. Raises AlreadyRunning when somebody else does; the kernel frees it with the process."""
    data_dir.mkdir(parents=True, exist_ok=True)
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


@contextlib.contextmanager
def road_of(settings: Settings) -> Iterator[str]:
    """The URL of Redis: the configured one, or that of an embedded server that lives as long as this block."""
    if settings.redis_url:
        yield settings.redis_url
        return
    with start_server(settings.data_dir / "redis") as server:
        yield _url(server)


def _url(server: RunningServer) -> str:
    return server.url


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
        supervisor.start((*extra, *_specs(addresses, environment(settings, addresses, env), grace)))
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


def _specs(addresses: Addresses, env: Mapping[str, str], grace: timedelta) -> list[Spec]:
    """Stopped from the highest stage down: no new work first, then the work under way, then the ear for receipts."""
    gateway = Spec("gateway", command("gateway"), f"{addresses.gateway_url}/health/live", 1, grace, env)
    workers = [
        Spec(name, command("worker", "--queues", queues, "--name", name), _WORKER_READY, 2, grace, env)
        for name, queues in WORKERS.items()
    ]
    return [gateway, *workers, Spec("beat", command("beat"), _BEAT_READY, 3, grace, env)]


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
