"""How a long-lived process of ours uses its memory and its threads."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from datetime import timedelta

# New objects that may be alive before the garbage collector looks for cycles among them; Python's 700 are less than one
# batch, and the collector took a third of the time of a list of events at the door.
GARBAGE = 50_000

# How long a thread may compute while another waits, seconds. With Python's 5 ms a request whose permit is good for 10
# waited that long at every call of libcurl, while the transaction beside it made its rows.
TURNS = 0.0005

# Free pages go back to the system this often: glibc keeps a third of what libcurl and psycopg took for a full lane. It
# takes milliseconds.
TRIMMED_EVERY = timedelta(seconds=10)

# glibc's mallopt: how many heaps threads get in turn, and from how many bytes a block is mapped by itself and goes back
# as it is freed. libcurl holds 16 KB for each request under way; between smaller blocks in many heaps, a busy worker
# held 5 MB more.
HEAPS = (-8, 2)  # M_ARENA_MAX
LARGE = (-3, 1 << 14)  # M_MMAP_THRESHOLD

_trimmed_at = time.monotonic()
_libc = ctypes.CDLL(None)
_trim = getattr(_libc, "malloc_trim", None)  # glibc has it


def share_evenly() -> None:
    """Lets the threads of this process take turns often enough for permits to be used in time."""
    sys.setswitchinterval(TURNS)


def settle_memory() -> None:
    """Lets the garbage collector of this process pass over what is loaded by now, and come less often.

    Call it before threads are at work: they keep the heap that they had.
    """
    if _trim is not None:
        for option, value in (HEAPS, LARGE):
            _libc.mallopt(option, value)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)


def trim_memory() -> None:
    """Gives the system what this process has free, if the last time was long ago. Call it where work pauses."""
    global _trimmed_at
    now = time.monotonic()
    if _trim is not None and now - _trimmed_at >= TRIMMED_EVERY.total_seconds():
        _trimmed_at = now
        _trim(0)
