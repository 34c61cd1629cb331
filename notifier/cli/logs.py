"""The logs of `notifier up`: two files a child, so that a year of them does not fill the disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

# Some days of a small shop at INFO. Twice that is kept.
LARGEST = 10 * 1024 * 1024


def keep_bounded(log: Path, largest: int = LARGEST) -> bool:
    """Moves what is in the log to `<name>.log.1`, over what was there, once it is larger; returns whether it was.

    The child goes on writing to the same file, which it has open for appending: it is copied and emptied, as
    logrotate's copytruncate does, and with its fault: a line that comes between the two is lost.
    """
    try:
        if log.stat().st_size <= largest:
            return False
    except FileNotFoundError:
        return False
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    os.truncate(log, 0)
    return True
