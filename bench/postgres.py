"""A PostgreSQL of the bench's own, with the durability that it has by default: fsync and synchronous_commit are on."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.errors import Broken, Missing
from bench.ports import free_port

# All that differs from PostgreSQL's defaults, and what docs/performance.md repeats. Memory as a small machine has it;
# max_wal_size so that a run of a minute is not mostly checkpoints.
SETTINGS = {"shared_buffers": "256MB", "max_wal_size": "2GB", "max_connections": "200"}


@dataclass(frozen=True, slots=True)
class Postgres:
    """A server that runs. pid: of its first process, the parent of all backends."""

    port: int
    pid: int
    version: str

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://notifier@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """A connection in autocommit mode."""
        return psycopg.connect(f"host=127.0.0.1 port={self.port} user=notifier dbname={database}", autocommit=True)

    def create(self, database: str) -> str:
        """A new, empty database; an old one of that name is dropped. Returns its URL."""
        self.drop(database)
        with self.connect() as conn:
            conn.execute(f'CREATE DATABASE "{database}"'.encode())
        return self.url(database)

    def drop(self, database: str) -> None:
        with self.connect() as conn:
            conn.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)'.encode())


@contextmanager
def running_postgres(data_dir: Path) -> Iterator[Postgres]:
    """Makes a cluster in `data_dir` if there is none, and runs it for the block. Raises Missing without binaries."""
    binaries, user = _binaries(), _user()
    data_dir.mkdir(parents=True, exist_ok=True)
    if user is not None:
        shutil.chown(data_dir, user)
    cluster, log_file = data_dir / "cluster", data_dir / "server.log"
    if not cluster.exists():
        command = [str(binaries / "initdb"), "-D", str(cluster), "-U", "notifier", "-A", "trust", "-E", "UTF8"]
        _run([*command, "--locale=C"], user)
    port = free_port()
    given = {**SETTINGS, "listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": ""}
    options = [part for name, value in given.items() for part in ("-c", f"{name}={value}")]
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [str(binaries / "postgres"), "-D", str(cluster), *options], stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, user=user, cwd="/", process_group=0,
        )  # fmt: skip
    try:
        yield Postgres(port, process.pid, _version_when_up(process, port, log_file))
    finally:
        process.send_signal(signal.SIGINT)  # fast shutdown: sessions are ended
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _version_when_up(process: subprocess.Popen[bytes], port: int, log_file: Path) -> str:
    for _ in range(3000):  # of 20 ms: it may have to replay its log first
        if process.poll() is not None:
            break
        try:
            with psycopg.connect(f"host=127.0.0.1 port={port} user=notifier dbname=postgres") as conn:
                return str(conn.execute("SHOW server_version").fetchall()[0][0])
        except psycopg.OperationalError:
            time.sleep(0.02)
    raise Broken(f"PostgreSQL did not start: {log_file.read_text()[-500:]}")


def _binaries() -> Path:
    """The directory that holds both initdb and postgres: on PATH, else Debian's newest version."""
    on_path = shutil.which("initdb")
    places = [Path(on_path).resolve().parent] if on_path else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: int(place.parent.name), reverse=True)
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    raise Missing("PostgreSQL is not here: install it (Debian: apt-get install postgresql)")


def _user() -> str | None:
    """PostgreSQL refuses to run as root: the user to become, or None to stay who we are."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise Missing("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _run(command: list[str], user: str | None) -> None:
    done = subprocess.run(command, user=user, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise Broken(f"{Path(command[0]).name} failed: {done.stderr[-500:]}")
