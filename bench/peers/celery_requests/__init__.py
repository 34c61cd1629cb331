"""One Celery task a message, requests.Session, Redis: the pipeline that most people would write."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from bench.errors import Missing
from notifier.cli.supervisor import Spec, Supervisor

HERE = Path(__file__).parent

# pool and concurrency, prefetch; README.md says why these.
TUNINGS = ("prefork-2-32", "prefork-4-32", "threads-8-32", "threads-16-32", "gevent-100-4")

_GEVENT = HERE / "requirements.txt"
_START, _GRACE = timedelta(seconds=60), timedelta(seconds=10)


class CeleryRequests:
    """The peer. home: for logs, and for gevent, which is installed there when it can be."""

    name = "celery + requests"

    def __init__(self, home: Path, redis_url: str, stub_url: str) -> None:
        self._home = home
        self._env = {
            "PYTHONPATH": os.pathsep.join([str(HERE), str(home / "gevent")]),
            "PEER_REDIS": redis_url,
            "PEER_URL": f"{stub_url}/v25.0/100000000000001/messages",
        }
        self.gevent = _install_gevent(home / "gevent")
        self.tunings = tuple(one for one in TUNINGS if self.gevent == "" or not one.startswith("gevent"))

    def fill(self, count: int) -> None:
        command = [sys.executable, "-c", "import sys, peer_tasks; peer_tasks.fill(int(sys.argv[1]))", str(count)]
        subprocess.run(command, env={**os.environ, **self._env}, cwd=self._home, check=True)

    @contextlib.contextmanager
    def work(self, tuning: str) -> Iterator[object]:
        pool, concurrency, prefetch = tuning.split("-")
        command = (
            sys.executable, "-m", "celery", "-A", "peer_tasks", "worker", f"--pool={pool}",
            f"--concurrency={concurrency}", f"--prefetch-multiplier={prefetch}", "--loglevel=INFO",
            "--without-gossip", "--without-mingle", "--without-heartbeat",
        )  # fmt: skip
        supervisor = Supervisor(self._home / "logs", restart=False, say=lambda text: None)
        supervisor.start([Spec("celery-requests", command, "ready.", 0, _GRACE, self._env)])
        try:
            supervisor.wait_ready(_START, lambda: False)
            yield None
        finally:
            supervisor.stop()


def _install_gevent(target: Path) -> str:
    """Why gevent cannot be tried; empty when it can."""
    if (target / "gevent").exists():
        return ""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run(
        [*pip, "--only-binary=:all:", "--target", str(target), "-r", str(_GEVENT)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else f"gevent could not be installed: {done.stderr.strip()[-200:]}"


def versions() -> dict[str, str]:
    """The versions of what it is made of."""
    import celery
    import requests

    return {"celery": celery.__version__, "requests": requests.__version__, "gevent": _pinned()}


def _pinned() -> str:
    for line in _GEVENT.read_text().splitlines():
        if line.startswith("gevent=="):
            return line.removeprefix("gevent==")
    raise Missing("requirements.txt of the peer names no gevent")
