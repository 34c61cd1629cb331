"""Running several processes as one: start, wait until they work, start again what crashed, stop in order.

Children get their own process group, so that a Ctrl-C in the terminal reaches the supervisor alone, which then stops
them in the right order. Should the supervisor itself be killed, the kernel ends them (PDEATHSIG, Linux).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import FrameType

from notifier.cli.logs import keep_bounded
from notifier.events import NotifierError

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded before any fork: a child must not import

# A child that lived this long had started well: its next crash is a new one, and is answered at once.
_SETTLED = timedelta(minutes=1)
_BACKOFF = (
    timedelta(seconds=1),
    timedelta(seconds=2),
    timedelta(seconds=5),
    timedelta(seconds=15),
    timedelta(seconds=30),
)

# How often the supervisor looks after its children: soon enough for a person, rare enough to cost nothing.
LOOK = timedelta(milliseconds=100)


class ChildFailed(NotifierError):
    """A child process did not get ready. The message names it, and where its log is."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One child. ready: a URL that answers 200, or a word that its log holds once it works; empty: as soon as it runs.

    stage: children of a higher stage are stopped first. grace: between SIGTERM and SIGKILL.
    """

    name: str
    command: tuple[str, ...]
    ready: str
    stage: int
    grace: timedelta
    env: Mapping[str, str] = field(default_factory=dict, repr=False)  # over our own; holds secrets


@dataclass(slots=True)
class _Child:
    spec: Spec
    log: Path
    process: subprocess.Popen[bytes]
    started: float
    log_start: int  # where this life of the child begins in its log
    crashes: int = 0
    restart_at: float | None = None


class Supervisor:
    """Keeps children alive. Call `look()` again and again; `stop()` ends them all and is safe to call twice."""

    def __init__(self, logs: Path, *, restart: bool, say: Callable[[str], None]) -> None:
        self._logs, self._restart, self._say = logs, restart, say
        self._children: dict[str, _Child] = {}

    def start(self, specs: Sequence[Spec]) -> None:
        """Starts the children, all at once; `wait_ready` tells when they work. Must run in the main thread.

        PDEATHSIG follows the thread that forked, and not the process.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        for spec in specs:
            log = self._logs / f"{spec.name}.log"
            log_start = log.stat().st_size if log.exists() else 0
            self._children[spec.name] = _Child(spec, log, spawn(spec, log), time.monotonic(), log_start)

    def wait_ready(self, within: timedelta, stopping: Callable[[], bool]) -> None:
        """Returns when every child works, or when we are to stop. Raises ChildFailed for one that ended or is late."""
        waiting = dict(self._children)
        deadline = time.monotonic() + within.total_seconds()
        while waiting and not stopping():
            for name, child in list(waiting.items()):
                if child.process.poll() is not None:
                    raise ChildFailed(f"{name} ended while starting:\n{_tail(child)}\nThe whole log: {child.log}")
                if _is_ready(child):
                    del waiting[name]
            if waiting and time.monotonic() > deadline:
                late = ", ".join(f"{name} ({child.log})" for name, child in waiting.items())
                raise ChildFailed(f"not ready after {within.total_seconds():g} s: {late}")
            time.sleep(LOOK.total_seconds() / 2)

    def look(self) -> list[str]:
        """Starts crashed children again when their pause is over; returns the names of those that are down.

        Logs that have grown too large are set aside.
        """
        down = []
        for child in self._children.values():
            if keep_bounded(child.log):
                child.log_start = 0
            if child.process.poll() is None:
                continue
            down.append(child.spec.name)
            if self._restart:
                self._mend(child, time.monotonic())
        return down

    def stop(self) -> None:
        """SIGTERM by stage, the highest first; what outlives its grace is killed with all of its group."""
        for stage in sorted({child.spec.stage for child in self._children.values()}, reverse=True):
            group = [child for child in self._children.values() if child.spec.stage == stage]
            for child in group:
                _signal(child, signal.SIGTERM)
            for child in group:
                self._await(child)
        self._children.clear()

    def pids(self) -> dict[str, int]:
        """Name → process id of every child that runs."""
        return {name: child.process.pid for name, child in self._children.items() if child.process.poll() is None}

    def log_of(self, name: str) -> Path:
        """Where a child's words are."""
        return self._children[name].log

    def _mend(self, child: _Child, now: float) -> None:
        if child.restart_at is None:
            lived = now - child.started
            child.crashes = 1 if lived > _SETTLED.total_seconds() else child.crashes + 1
            pause = _BACKOFF[min(child.crashes, len(_BACKOFF)) - 1].total_seconds()
            child.restart_at = now + pause
            self._say(f"{child.spec.name} ended with {child.process.returncode}; again in {pause:g} s ({child.log})")
        elif now >= child.restart_at:
            child.log_start = child.log.stat().st_size
            child.process = spawn(child.spec, child.log)
            child.started, child.restart_at = now, None

    def _await(self, child: _Child) -> None:
        try:
            child.process.wait(child.spec.grace.total_seconds())
        except subprocess.TimeoutExpired:
            self._say(f"{child.spec.name} did not end within {child.spec.grace.total_seconds():g} s and was killed")
        _signal(child, signal.SIGKILL)  # the group: children of the child, too
        child.process.wait()


def spawn(spec: Spec, log: Path) -> subprocess.Popen[bytes]:
    """Starts a child that dies with this thread; all it says goes to the end of `log`."""
    with log.open("ab") as out:
        return subprocess.Popen(  # noqa: S603  our own commands
            spec.command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **spec.env, "PYTHONUNBUFFERED": "1"},
            process_group=0,
            preexec_fn=_die_with_parent if _LIBC else None,  # one system call, nothing imported
        )


def _die_with_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _is_ready(child: _Child) -> bool:
    if not child.spec.ready.startswith("http://"):
        with child.log.open("rb") as log:
            log.seek(child.log_start)
            return child.spec.ready.encode() in log.read()
    try:
        with urllib.request.urlopen(child.spec.ready, timeout=1) as answer:  # noqa: S310  a loopback URL of ours
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _tail(child: _Child, lines: int = 12) -> str:
    with child.log.open("rb") as log:
        log.seek(child.log_start)
        return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])


def _signal(child: _Child, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # already gone
        os.killpg(child.process.pid, number)


_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopFlag:
    """Whether we were asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """128 + signal, as shells report it; 0 when nobody asked."""
        return 0 if self.signal is None else 128 + self.signal


@contextlib.contextmanager
def catching_signals() -> Iterator[StopFlag]:
    """SIGINT, SIGTERM and a closed terminal raise the flag instead of ending the process, until the end of the block.

    What whoever started us chose to ignore (nohup) stays ignored.
    """
    flag = StopFlag()

    def catch(number: int, _frame: FrameType | None) -> None:
        flag.signal = flag.signal or number

    asked = [number for number in _STOPS if signal.getsignal(number) != signal.SIG_IGN]
    old = {number: signal.signal(number, catch) for number in asked}
    try:
        yield flag
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
