"""Machines for deliver workers: network namespaces with an address of their own, where the kernel lets us make them.

A machine has its own network (nothing but the way to the stores), host name and folder. Where namespaces may not be
made, a machine is a folder and a process; the report says which it was.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path

# RFC 2544 keeps these addresses for trials between machines: nothing real answers there.
_TRIALS = "198.18"

_NAMED = 'hostname "$1" && shift && exec "$@"'


@dataclass(frozen=True, slots=True)
class Machine:
    """Where one worker runs. before: what goes before its command."""

    name: str
    home: Path
    before: tuple[str, ...] = ()
    namespace: str | None = None

    def network(self, *, up: bool) -> None:
        """Pulls the machine's cable, or puts it back. Only where it has one."""
        if self.namespace is None:
            raise RuntimeError("this machine has no network of its own")
        _ip("-n", self.namespace, "link", "set", "eth0", "up" if up else "down")


@dataclass(frozen=True, slots=True)
class Street:
    """The machines, and the address at which they find the stores. at: None where all share this one's loopback."""

    machines: tuple[Machine, ...]
    at: IPv4Interface | None

    @property
    def host(self) -> str:
        return "127.0.0.1" if self.at is None else str(self.at.ip)


@contextlib.contextmanager
def street(number: int, home: Path, *, apart: bool) -> Iterator[Street]:
    """So many machines for the block. apart: in namespaces of their own; see `can_be_apart`."""
    names = [f"machine-{place}" for place in range(1, number + 1)]
    homes = [home / name for name in names]
    for folder in homes:
        folder.mkdir(parents=True)
    if not apart:
        yield Street(tuple(map(Machine, names, homes)), None)
        return
    mark, net = secrets.token_hex(2), secrets.randbelow(254) + 1
    with contextlib.ExitStack() as ending:
        bridge = f"ntf{mark}"
        _ip("link", "add", bridge, "type", "bridge")
        ending.callback(_ip, "link", "delete", bridge)
        _ip("address", "add", f"{_TRIALS}.{net}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        spaces = [
            _space(ending, bridge, mark, place, f"{_TRIALS}.{net}.{place + 1}/24") for place in range(1, number + 1)
        ]
        machines = tuple(
            Machine(
                name, folder, ("ip", "netns", "exec", space, "unshare", "--uts", "sh", "-c", _NAMED, "sh", name), space
            )
            for name, folder, space in zip(names, homes, spaces, strict=True)
        )
        yield Street(machines, IPv4Interface(f"{_TRIALS}.{net}.1/24"))


def _space(ending: contextlib.ExitStack, bridge: str, mark: str, place: int, address: str) -> str:
    space, cable = f"ntf{mark}-{place}", f"ntf{mark}v{place}"
    _ip("netns", "add", space)
    ending.callback(_ip, "netns", "delete", space)  # and its end of the cable with it
    _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
    _ip("link", "set", cable, "master", bridge, "up")
    _ip("-n", space, "address", "add", address, "dev", "eth0")
    _ip("-n", space, "link", "set", "lo", "up")
    _ip("-n", space, "link", "set", "eth0", "up")
    return space


def can_be_apart() -> str | None:
    """None where namespaces can be made; else why not."""
    if os.geteuid() != 0:
        return "not root"
    if not (shutil.which("ip") and shutil.which("unshare")):
        return "iproute2 or util-linux is missing"
    try:
        with contextlib.ExitStack() as ending:
            bridge = f"ntf{secrets.token_hex(2)}"
            _ip("link", "add", bridge, "type", "bridge")
            ending.callback(_ip, "link", "delete", bridge)
            _space(ending, bridge, bridge[3:], 1, f"{_TRIALS}.255.2/24")
    except subprocess.CalledProcessError as error:
        return f"the kernel says no: {error.stderr.strip()}"
    return None


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
