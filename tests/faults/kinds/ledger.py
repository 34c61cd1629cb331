"""The ledger breaks: PostgreSQL restarts and drops sessions, SQLite is held by somebody else."""

from __future__ import annotations

import contextlib
import random
import resource
import sqlite3
import threading
import time
from collections.abc import Iterable

import psycopg

from tests.faults.incidents import Mend, Scene, fault, unbroken


@fault("ledger", touches=("ledger",), database="postgresql", weight=2)
def postgres_restarted(scene: Scene) -> Mend:
    """A fast shutdown, and a start."""
    scene.house.restart_postgres()
    return unbroken


@fault("ledger", touches=("ledger",), lasts=(1.0, 4.0), database="postgresql")
def postgres_killed(scene: Scene) -> Mend:
    """SIGKILL of every process of the server, and a recovery from its log."""
    house = scene.house
    assert house.postgres
    house.postgres.kill()
    return house.restart_postgres


@fault("ledger", touches=("ledger",), database="postgresql", weight=2)
def postgres_sessions_ended(scene: Scene) -> Mend:
    """pg_terminate_backend of everybody else."""
    with _session(scene) as conn:
        conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    return unbroken


@fault("ledger", touches=("ledger",), lasts=(1.0, 3.0), database="postgresql")
def postgres_partitioned(scene: Scene) -> Mend:
    """Nothing passes, and nobody is told; then every connection is reset."""
    proxy = scene.house.postgres_proxy
    assert proxy
    proxy.freeze()

    def mend() -> None:
        proxy.cut()
        proxy.thaw()

    return mend


@fault("ledger", touches=("ledger",), database="postgresql")
def postgres_reply_lost(scene: Scene) -> Mend:
    """A statement, perhaps a commit, is done, and who asked for it never hears so."""
    assert scene.house.postgres_proxy
    for _ in range(4):
        scene.house.postgres_proxy.swallow_a_reply()
        time.sleep(0.1)
    return unbroken


@fault("ledger", touches=("ledger",), lasts=(2.0, 5.0), database="postgresql")
def postgres_slow(scene: Scene) -> Mend:
    """A slow network: some milliseconds each way."""
    proxy = scene.house.postgres_proxy
    assert proxy
    proxy.latency = scene.rng.uniform(0.002, 0.02)

    def mend() -> None:
        proxy.latency = 0.0

    return mend


@fault("ledger", touches=("ledger",), lasts=(2.0, 4.0), database="postgresql")
def postgres_out_of_connections(scene: Scene) -> Mend:
    """Others hold every free connection; our sessions are ended, and find no place."""
    held: list[psycopg.Connection[tuple[object, ...]]] = []
    with _session(scene) as conn:
        conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    with contextlib.suppress(psycopg.OperationalError):
        while len(held) < 200:
            held.append(psycopg.connect(_dsn(scene)))

    def mend() -> None:
        for one in held:
            one.close()

    return mend


@fault("ledger", touches=("ledger",), lasts=(1.0, 2.0), database="postgresql")
def postgres_rows_locked(scene: Scene) -> Mend:
    """Somebody's long transaction holds every delivery that is alive: statements wait, deadlocks are near."""
    conn = psycopg.connect(_dsn(scene))
    conn.execute("SELECT id FROM delivery WHERE state IN ('queued', 'claimed', 'accepted') FOR UPDATE SKIP LOCKED")

    def mend() -> None:
        conn.rollback()
        conn.close()

    return mend


@fault("ledger", touches=("ledger",), lasts=(3.0, 6.0), database="postgresql")
def postgres_deadlocked(scene: Scene) -> Mend:
    """Somebody locks what is alive, one by one and in an order of their own: one side of every circle is the victim."""
    stop, dsn, seed = threading.Event(), _dsn(scene), scene.rng.random()
    thread = threading.Thread(target=_lock_across, args=(dsn, seed, stop), daemon=True)
    thread.start()

    def mend() -> None:
        stop.set()
        thread.join()

    return mend


def _lock_across(dsn: str, seed: float, stop: threading.Event) -> None:
    rng = random.Random(seed)
    while not stop.is_set():
        with contextlib.suppress(psycopg.Error), psycopg.connect(dsn) as conn:
            conn.execute("SET lock_timeout = '2s'")
            found = conn.execute(
                "SELECT id FROM delivery WHERE state IN ('queued', 'claimed', 'accepted', 'sent') LIMIT 200"
            ).fetchall()
            rng.shuffle(found)
            for (one,) in found:
                if stop.is_set():
                    return
                conn.execute("UPDATE delivery SET updated_at = updated_at WHERE id = %s", (one,))
        stop.wait(0.2)


@fault("ledger", touches=("ledger",), lasts=(2.0, 6.0), database="sqlite", weight=3)
def sqlite_busy(scene: Scene) -> Mend:
    """Somebody holds the write lock for seconds."""
    return _hold(scene)


@fault("ledger", touches=("ledger",), lasts=(11.0, 13.0), database="sqlite", weight=0.5)
def sqlite_locked_out(scene: Scene) -> Mend:
    """Somebody holds the write lock for longer than any writer waits (10 s)."""
    return _hold(scene)


@fault("ledger", touches=("ledger", "worker"), lasts=(2.0, 4.0), database="sqlite")
def disk_full(scene: Scene) -> Mend:
    """No worker can write to any file any more: neither ledger nor log."""
    pids = [scene.house.children.pid(name) for name in scene.house.workers]
    _limit_files(pids, 1024)
    return lambda: _limit_files(pids, resource.RLIM_INFINITY)


def _limit_files(pids: Iterable[int], size: int) -> None:
    """The longest file that these processes may write, in bytes; the soft limit only, so that it can be lifted."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _hold(scene: Scene) -> Mend:
    """Held by a thread of its own: sqlite3 connections belong to the thread that made them."""
    release = threading.Event()
    path = scene.house.settings.data_dir / "ledger.db"
    held = threading.Event()

    def hold() -> None:
        with contextlib.closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as conn:
            conn.execute("BEGIN IMMEDIATE")
            held.set()
            release.wait()
            conn.execute("ROLLBACK")

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    held.wait(30)

    def mend() -> None:
        release.set()
        thread.join()

    return mend


def _session(scene: Scene) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(_dsn(scene), autocommit=True)


def _dsn(scene: Scene) -> str:
    postgres = scene.house.postgres
    assert postgres
    return f"host=127.0.0.1 port={postgres.port} user=notifier dbname=postgres connect_timeout=5"
