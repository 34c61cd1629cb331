"""What the figures were taken on."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import pycurl
from redis import Redis

from bench.house import House
from bench.peers import bullmq, celery_requests
from bench.postgres import SETTINGS


def describe(house: House) -> dict[str, str]:
    """The machine and the versions of everything that has a part in the figures, as text."""
    peers = {**celery_requests.versions(), **bullmq.versions()}
    return {
        "taken": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpus": f"{os.cpu_count()} × {_first('/proc/cpuinfo', 'model name')}",
        "memory_mb": str(int(_first("/proc/meminfo", "MemTotal").split()[0]) // 1000),
        "system": f"{platform.system()} {platform.release()}",
        "load_before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "python": platform.python_version(),
        "libcurl": pycurl.version,
        "postgresql": house.postgres.version + ", " + ", ".join(f"{name}={value}" for name, value in SETTINGS.items()),
        "redis": f"{_server(house)}, appendonly yes, appendfsync everysec",
        "peers": ", ".join(f"{name} {version}" for name, version in peers.items()),
    }


def _first(place: str, name: str) -> str:
    for line in Path(place).read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return "unknown 0"


def _server(house: House) -> str:
    with Redis.from_url(house.redis.url) as redis:
        info = redis.info("server")
    return f"{info.get('server_name', 'redis')} {info.get('valkey_version', info['redis_version'])}"
