"""The load generator (load.c): prepared requests to a gateway over kept connections, and what became of each."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.errors import Broken

SOURCE = Path(__file__).parent / "load.c"

_RECORD = struct.Struct("=QQQ")
_LENGTH = struct.Struct("=I")


@dataclass(frozen=True, slots=True)
class Answered:
    """One request. seconds: from the moment at which it was due to the whole answer."""

    status: int
    due: float
    seconds: float


def post(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """A POST as bytes on the wire."""
    lines = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def prepare(requests: Iterable[bytes], file: Path) -> Path:
    """Writes requests for the generator."""
    with file.open("wb") as out:
        for request in requests:
            out.write(_LENGTH.pack(len(request)) + request)
    return file


def drive(binary: Path, url: str, requests: Path, connections: int, rate: float = 0) -> list[Answered]:
    """Sends them all and returns what became of each, in their order.

    rate: requests a second, sent whether or not the others are answered; 0: a connection sends the next when it has
    its answer. Raises Broken when a connection broke, or an answer was no success.
    """
    log = requests.with_suffix(".log")
    words = [str(binary), str(urlsplit(url).port), str(requests), str(log), str(connections), str(rate)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise Broken(done.stderr.strip()[-400:] or f"the load generator ended with {done.returncode}")
    found = [
        Answered(status, due / 1e9, (ended - due) / 1e9) for due, ended, status in _RECORD.iter_unpack(log.read_bytes())
    ]
    refused = sorted({one.status for one in found if not 200 <= one.status < 300})
    if refused:
        raise Broken(f"{sum(one.status in refused for one in found)} of {len(found)} were answered {refused}")
    return found


def per_second(found: Iterable[Answered], each: int = 1) -> float:
    """Events a second, `each` to a request, from the first request to the last answer."""
    rows = list(found)
    span = max(one.due + one.seconds for one in rows) - min(one.due for one in rows)
    return len(rows) * each / span
