"""Real `notifier worker` and `notifier beat` processes on a test's own Redis and SQLite, ended by their own pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).parents[3]
WITHIN = 60.0  # seconds for anything that is waited for; a busy machine needs several times what a quiet one does

_CONFIG = """
config_dir = "{root}/config"
data_dir = "{data}"
database_url = "sqlite:///{data}/ledger.db"

[events]
"order.created" = {{ template = "order_created" }}
"order.shipped" = {{ template = "order_shipped" }}

[shops.nile]
display_name = "Nile Books"
country = "EG"

[[shops.nile.routes]]
whatsapp = "nile-wa"

[senders.nile-wa]
channel = "whatsapp"
provider = "meta"
base_url = "{base_url}"
account = {{ phone_number_id = "100000000000001", waba_id = "200000000000001" }}
rate = 80
"""


@dataclass
class House:
    """Where one test's processes live. env: theirs, and nothing of notifier's or Celery's from ours."""

    place: Path
    redis_url: str
    base_url: str
    more: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.file.write_text(_CONFIG.format(root=ROOT, data=self.place, base_url=self.base_url))

    @property
    def file(self) -> Path:
        return self.place / "notifier.toml"

    @property
    def ledger_url(self) -> str:
        return f"sqlite:///{self.place}/ledger.db"

    @property
    def broker_url(self) -> str:
        """Celery's broker: the road's Redis, unless the house was given another."""
        return self.more.get("NOTIFIER_BROKER_URL", self.redis_url)

    @property
    def env(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("NOTIFIER_", "CELERY_"))}
        return ours | {
            "NOTIFIER_CONFIG": str(self.file),
            "NOTIFIER_REDIS_URL": self.redis_url,
            "NOTIFIER_SENDER_NILE_WA_TOKEN": "sandbox-token",
            "PYTHONWARNINGS": "ignore",  # Celery warns whoever runs it as root, as containers of a test machine do
            **self.more,
        }

    @contextmanager
    def running(self, *arguments: str) -> Iterator[Process]:
        """`notifier ARGUMENTS`, once it has said worker.started; killed at the end of the block if it still runs."""
        process = Process(self, *arguments)
        try:
            process.says("worker.started")
            yield process
        finally:
            process.kill()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A process that ends by itself."""
        command = [sys.executable, "-m", "notifier", *arguments]
        return subprocess.run(
            command, env=self.env, cwd=self.place, capture_output=True, text=True, timeout=WITHIN, check=False
        )


class Process:
    """A process with the lines of its log, as it says them."""

    def __init__(self, house: House, *arguments: str) -> None:
        self.lines: list[dict[str, Any]] = []
        self.other: list[str] = []
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "notifier", *arguments],
            env=house.env,
            cwd=house.place,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._popen.stdout or ():
            if line.startswith(b"{"):
                self.lines.append(orjson.loads(line))
            else:
                self.other.append(line.decode().rstrip())

    def says(self, event: str) -> dict[str, Any]:
        """The first line of this event; waits for it."""
        until(lambda: self._ended() or any(line["event"] == event for line in self.lines), f"{event} is logged")
        found = next((line for line in self.lines if line["event"] == event), None)
        assert found is not None, (self._popen.returncode, self.lines, self.other)
        return found

    def _ended(self) -> bool:
        if self._popen.poll() is None:
            return False
        self._reader.join(timeout=WITHIN)
        return True

    def stop(self) -> int:
        """SIGTERM, as an orchestrator does, and its exit status."""
        self._popen.send_signal(signal.SIGTERM)
        status = self._popen.wait(timeout=WITHIN)
        self._reader.join(timeout=WITHIN)
        return status

    def kill(self) -> None:
        """SIGKILL; harmless when it has ended."""
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait(timeout=WITHIN)
        self._reader.join(timeout=WITHIN)
        if self._popen.stdout:
            self._popen.stdout.close()


def until(condition: Callable[[], object], what: str) -> None:
    """Looks again and again until it is so."""
    deadline = time.monotonic() + WITHIN
    while not condition():
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.02)
