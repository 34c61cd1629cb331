"""BullMQ and undici on Node: a fast queue of another house, without a ledger."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from bench.errors import Missing
from notifier.cli.supervisor import Spec, Supervisor

HERE = Path(__file__).parent

# processes, jobs at a time in each; README.md says why these.
TUNINGS = ("1-50", "1-200", "2-50", "2-200")

_START, _GRACE = timedelta(seconds=30), timedelta(seconds=10)


class BullMQ:
    """The peer. Raises Missing when there is no Node, or its packages cannot be had."""

    name = "bullmq + undici"
    tunings = TUNINGS

    def __init__(self, home: Path, redis_port: int, redis_db: int, stub_url: str) -> None:
        self._home = home
        self._code = _installed(home / "bullmq")
        self._env = {
            "PEER_REDIS_PORT": str(redis_port),
            "PEER_REDIS_DB": str(redis_db),
            "PEER_URL": f"{stub_url}/v25.0/100000000000001/messages",
            "NODE_ENV": "production",
        }

    def fill(self, count: int) -> None:
        command = ["node", "fill.js", str(count)]
        subprocess.run(command, env={**os.environ, **self._env}, cwd=self._code, check=True)

    @contextlib.contextmanager
    def work(self, tuning: str) -> Iterator[object]:
        processes, concurrency = tuning.split("-")
        env = {**self._env, "PEER_CONCURRENCY": concurrency}
        supervisor = Supervisor(self._home / "logs", restart=False, say=lambda text: None)
        command = ("node", str(self._code / "worker.js"))
        specs = [Spec(f"bullmq-{n}", command, "worker is ready", 0, _GRACE, env) for n in range(int(processes))]
        supervisor.start(specs)
        try:
            supervisor.wait_ready(_START, lambda: False)
            yield None
        finally:
            supervisor.stop()


def _installed(target: Path) -> Path:
    """The peer's code with its packages beside it: those of package-lock.json, checked against their hashes."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Missing("node and npm are not here: install Node 20 or later to compare with BullMQ")
    target.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "fill.js", "worker.js"):
        shutil.copy(HERE / name, target / name)
    if (target / "node_modules" / "bullmq").exists():
        return target
    # Not `npm ci`: it wants the lock to list what other platforms would install as well.
    command = ["npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    command += ["--fetch-retries=1", "--fetch-timeout=30000"]  # without a registry it is absent soon
    done = subprocess.run(command, cwd=target, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"the packages of the BullMQ peer could not be installed: {done.stderr.strip()[-300:]}")
    return target


def versions() -> dict[str, str]:
    """The versions of what it is made of."""
    packages = json.loads((HERE / "package.json").read_text())["dependencies"]
    node = shutil.which("node")
    said = (
        subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip() if node else ""
    )
    return {"node": said or "absent", **packages}
