"""What a command asks the network and the operating system: does somebody listen there, is that address public."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from notifier.sentinel import SCHEME, for_celery

WITHIN = timedelta(seconds=3)
_PORTS = {"http": 80, "https": 443}


def problem_reaching(url: str, within: timedelta = WITHIN) -> str | None:
    """Why nobody takes a TCP connection at this URL's host and port; None when somebody does."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 443))
    try:
        with closing(socket.create_connection(address, within.total_seconds())):
            return None
    except socket.gaierror:
        return "its name is not known"
    except TimeoutError:
        return f"no answer within {within.total_seconds():g} s"
    except OSError as error:
        return (error.strerror or type(error).__name__).lower()


def is_private(url: str) -> bool:
    """Whether a URL names a host that nobody outside can reach: loopback, private addresses, names without a dot."""
    host = urlsplit(url).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith((".local", ".localhost", ".internal", ".lan", ".test"))


def problem_with_broker(url: str, within: timedelta = WITHIN) -> str | None:
    """Why Celery's broker does not answer; None when it does. Never repeats the URL, which may hold a password."""
    from kombu import Connection
    from kombu.exceptions import KombuError

    seconds = within.total_seconds()
    limits = {"socket_connect_timeout": seconds, "socket_timeout": seconds}
    options: dict[str, Any] = limits if url.startswith(("redis", SCHEME)) else {}
    if url.startswith(SCHEME):
        url, primary = for_celery(url)
        options |= primary
    try:
        with Connection(url, connect_timeout=seconds, transport_options=options) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=int(seconds))
    except (KombuError, OSError) as error:
        return type(error.__cause__ or error).__name__
    return None


def filesystem_of(path: Path, mounts: str) -> str:
    """The kind of file system that holds a path. mounts: the text of /proc/mounts; "" where it is not known."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        mount = Path(fields[1].replace("\\040", " "))
        if path.is_relative_to(mount) and len(mount.parts) > best:
            best, kind = len(mount.parts), fields[2]
    return kind
