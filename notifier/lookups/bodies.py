"""Reading an answer's body: neither its size nor its pace is the other side's to choose."""

from __future__ import annotations

import time
from collections.abc import Callable

import requests
from urllib3.exceptions import HTTPError

from notifier.lookups.contract import LookUpFailed

PLAIN = {"Accept-Encoding": "identity"}
"""No compression: a small body could become a large one."""


def read_within(
    response: requests.Response, largest: int, until: float, clock: Callable[[], float] = time.monotonic
) -> bytes:
    """The whole body, of at most `largest` bytes, before `until` on the clock.

    requests' own timeout is between two bytes. Raises requests.RequestException where the connection fails or time is
    up, LookUpFailed above `largest`.
    """
    pieces: list[bytes] = []
    size = 0
    while True:
        try:
            piece = response.raw.read1(64 * 1024)
        except (HTTPError, OSError) as error:
            raise requests.ConnectionError(type(error).__name__) from error
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        size += len(piece)
        if size > largest:
            raise LookUpFailed(f"an answer of more than {largest} bytes", again=False)
        if clock() > until:
            raise requests.ReadTimeout("the body took too long")
