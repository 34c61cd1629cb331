"""The processes under test: started, broken on purpose, and started again when they died, as an orchestrator would."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from notifier.cli.supervisor import Spec, spawn
from notifier.events import NotifierError

# An orchestrator does not start a process again in the same millisecond.
RESTART_AFTER = 0.5

# A worker imports Celery, both drivers and the templates; two cores may be busy with the faults themselves.
READY_WITHIN = 60.0


class NotReady(NotifierError):
    """A process of the house did not come up; the message names its log."""


@dataclass(slots=True)
class _Child:
    spec: Spec
    process: subprocess.Popen[bytes]
    log_start: int
    died_at: float | None = None
    wanted: bool = True


class Children:
    """Named processes. All of it runs in the one thread that starts them: on Linux they end with that thread."""

    def __init__(self, logs: Path) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        self._children: dict[str, _Child] = {}
        self.ended: list[tuple[str, int]] = []  # (name, return code) of every death that was seen

    def start(self, specs: Iterable[Spec]) -> None:
        """Starts them all, and returns when all of them work. Raises NotReady."""
        named = list(specs)
        for spec in named:
            self._launch(spec)
        self.await_ready(spec.name for spec in named)

    def await_ready(self, names: Iterable[str]) -> None:
        """Returns when these work. Raises NotReady."""
        deadline = time.monotonic() + READY_WITHIN
        for name in names:
            while not self.is_ready(name):
                if time.monotonic() > deadline or self._children[name].process.poll() is not None:
                    raise NotReady(f"{name} did not come up: {self._log(name)}")
                time.sleep(0.05)

    def is_ready(self, name: str) -> bool:
        """Whether it has said, or answers, that it works."""
        child = self._children[name]
        if child.process.poll() is not None:
            return False
        if child.spec.ready.startswith("http://"):
            return _answers(child.spec.ready)
        with self._log(name).open("rb") as log:
            log.seek(child.log_start)
            return child.spec.ready.encode() in log.read()

    def look(self) -> None:
        """Starts again what died, after a moment."""
        for name, child in self._children.items():
            if not child.wanted or child.process.poll() is None:
                continue
            if child.died_at is None:
                child.died_at = time.monotonic()
                self.ended.append((name, child.process.returncode))
            elif time.monotonic() - child.died_at > RESTART_AFTER:
                self._launch(child.spec)

    def names(self, beginning: str) -> list[str]:
        """The processes whose name begins so."""
        return sorted(name for name in self._children if name.startswith(beginning))

    def spec(self, name: str) -> Spec:
        return self._children[name].spec

    def pid(self, name: str) -> int:
        return self._children[name].process.pid

    def alive(self, name: str) -> bool:
        return self._children[name].process.poll() is None

    def signal(self, name: str, number: signal.Signals) -> None:
        """Sends a signal to the process and its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._children[name].process.pid, number)

    def keep_down(self, name: str) -> None:
        """Kills it, and does not start it again until `bring_up`."""
        self._children[name].wanted = False
        self.signal(name, signal.SIGKILL)
        self._children[name].process.wait()

    def bring_up(self, name: str) -> None:
        """Starts what `keep_down` ended."""
        self._launch(self._children[name].spec)

    def relaunch(self, name: str, **environ: str) -> None:
        """Ends the process hard, and starts it with this added to its environment, which stays for later restarts."""
        self.keep_down(name)
        spec = self._children[name].spec
        self._launch(replace(spec, env={**spec.env, **environ}))

    def add(self, spec: Spec) -> None:
        """One more process; not waited for."""
        self._launch(spec)

    def remove(self, name: str) -> None:
        """Ends it hard, for good."""
        self.keep_down(name)
        del self._children[name]

    def stop(self) -> None:
        """Ends everything: politely by stage, then hard."""
        for stage in sorted({child.spec.stage for child in self._children.values()}, reverse=True):
            group = [child for child in self._children.values() if child.spec.stage == stage]
            for child in group:
                _kill(child, signal.SIGCONT)
                _kill(child, signal.SIGTERM)
            for child in group:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.process.wait(child.spec.grace.total_seconds())
                _kill(child, signal.SIGKILL)
                child.process.wait()
        self._children.clear()

    def _launch(self, spec: Spec) -> None:
        log = self._logs / f"{spec.name}.log"
        start = log.stat().st_size if log.exists() else 0
        self._children[spec.name] = _Child(spec, spawn(spec, log), start)

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


def until(condition: Callable[[], bool], seconds: float, look: Callable[[], object] = lambda: None) -> bool:
    """Looks again and again, at most so long; whether it came true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        look()
        if condition():
            return True
        time.sleep(0.05)
    return False


def _kill(child: _Child, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.process.pid, number)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
