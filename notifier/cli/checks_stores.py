"""Checks of the two stores: is Redis a road that loses nothing, is the ledger there, do the clocks agree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from notifier.cli.checkup import Finding, Patient
from notifier.cli.network import filesystem_of
from notifier.clock import WORTH_A_WORD, clocks
from notifier.ledger import LedgerUnavailable
from notifier.ledger.clock import server_now
from notifier.road import RoadUnavailable, road

OLDEST_REDIS = (6, 2)
WITH_WAITAOF = (7, 2)
HEADROOM = 0.8  # of maxmemory: a rewrite of the append-only file and a slow hour of the ledger need the rest
CLOCK_TOLERANCE = timedelta(seconds=2)  # beyond it due times, leases and what providers report are visibly off
NETWORK_DISKS = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "ceph", "glusterfs", "lustre")
MOUNTS = Path("/proc/mounts")


def redis_answers(patient: Patient) -> Iterator[Finding]:
    """Redis is there, and new enough."""
    info = patient.info
    if isinstance(info, RoadUnavailable):
        yield Finding("fail", str(info), "start it, or set NOTIFIER_REDIS_URL; nothing is sent without it")
        return
    version = str(info["redis_version"])
    name = f"{'Valkey ' + str(info['valkey_version']) if 'valkey_version' in info else 'Redis ' + version}"
    if _numbers(version) < OLDEST_REDIS:
        yield Finding("fail", f"{name} is too old", "use Redis 6.2 or later, or Valkey")
    elif patient.settings.inbox.durable and _numbers(version) < WITH_WAITAOF:
        advice = "use Valkey or Redis 7.2, or set inbox.durable to false: doors do not wait for the disk as it is"
        yield Finding("warn", f"{name} does not know WAITAOF, which inbox.durable wants", advice)
    else:
        yield Finding("ok", f"{name} answers")


def redis_keeps(patient: Patient) -> Iterator[Finding]:
    """It evicts nothing, and writes to its disk."""
    if not isinstance(patient.info, dict):
        return
    policy = patient.info.get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        yield Finding("ok", "Redis evicts nothing (noeviction)")
    else:
        advice = "set maxmemory-policy noeviction (config/redis.conf): another policy throws events away"
        yield Finding("fail", f"Redis may evict keys: maxmemory-policy is {policy}", advice)
    if not patient.info.get("aof_enabled"):
        advice = "set appendonly yes (config/redis.conf): a restart loses what waits in the inbox"
        yield Finding("fail", "Redis keeps no append-only file", advice)
    elif patient.info.get("aof_last_write_status") != "ok":
        yield Finding("fail", "Redis could not write its append-only file", "look at its disk and its log")
    else:
        yield Finding("ok", "Redis keeps an append-only file")


def redis_has_room(patient: Patient) -> Iterator[Finding]:
    """Memory is not about to run out."""
    if not isinstance(patient.info, dict):
        return
    used = int(patient.info.get("used_memory", 0))
    limit = int(patient.info.get("maxmemory", 0)) or int(patient.info.get("total_system_memory", 0))
    if not limit:
        return
    said = f"Redis uses {_megabytes(used)} of {_megabytes(limit)}"
    if used > HEADROOM * limit:
        yield Finding("warn", said, "raise maxmemory, or see why intake is behind: `notifier lanes`")
    else:
        yield Finding("ok", said)


def ledger_answers(patient: Patient) -> Iterator[Finding]:
    """The database is there, with all migrations."""
    missing = patient.missing_migrations
    if isinstance(missing, LedgerUnavailable):
        yield Finding(
            "fail", str(missing), "start it, or set NOTIFIER_DATABASE_URL; events wait in the inbox meanwhile"
        )
    elif missing:
        yield Finding("fail", f"the ledger lacks {', '.join(missing)}", "run `notifier db upgrade`")
    else:
        yield Finding("ok", f"the ledger answers and is up to date ({patient.ledger.dialect})")


def sqlite_is_local(patient: Patient) -> Iterator[Finding]:
    """SQLite's write-ahead log needs shared memory, which network disks do not have."""
    if patient.ledger.dialect != "sqlite" or not MOUNTS.exists():
        return
    kind = filesystem_of(patient.settings.data_dir.resolve(), MOUNTS.read_text(encoding="utf-8", errors="replace"))
    if kind.startswith(NETWORK_DISKS):
        advice = "put data_dir on a local disk, or use PostgreSQL: several machines cannot share this file"
        yield Finding("fail", f"the SQLite ledger lies on a network disk ({kind})", advice)


def clocks_agree(patient: Patient) -> Iterator[Finding]:
    """Ours, Redis's and the ledger's clocks show the same time."""
    for name, theirs in _clocks(patient):
        apart = abs(theirs - patient.clock())
        if apart > CLOCK_TOLERANCE:
            advice = "run NTP on both machines: due times, leases and limits are counted on these clocks"
            yield Finding("warn", f"the clock of {name} is {apart.total_seconds():.0f} s off ours", advice)
        else:
            yield Finding("ok", f"the clock of {name} agrees with ours")


def machines_agree(patient: Patient) -> Iterator[Finding]:
    """The clocks of the machines at work show the house's time, which is the road's."""
    if not patient.road_works:
        return
    now = next((told for name, told in _clocks(patient) if name == "Redis"), patient.clock())
    for host, off in clocks(patient.redis, patient.settings.key_prefix, now).items():
        if abs(off) > WORTH_A_WORD:
            advice = "run NTP there: the house counts in Redis's time, but logs and certificates do not"
            yield Finding("warn", f"the clock of {host} is {off.total_seconds():+.1f} s off the house's time", advice)
        else:
            yield Finding("ok", f"the clock of {host} shows the house's time")


def _clocks(patient: Patient) -> Iterator[tuple[str, datetime]]:
    if patient.road_works:
        with road("asking Redis for the time"):
            told: Any = patient.redis.time()
        yield "Redis", datetime.fromtimestamp(told[0] + told[1] / 1e6, UTC)
    if patient.ledger_works:
        with patient.ledger.read() as conn:
            theirs = server_now(conn)
        if theirs is not None:
            yield "the ledger", theirs


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _megabytes(size: int) -> str:
    return f"{size / 1_048_576:.0f} MB"
