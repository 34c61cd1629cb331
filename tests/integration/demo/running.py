"""Running our commands as people do, and looking for what they leave behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def environment(tmp_path: Path, **ours: str) -> dict[str, str]:
    """This environment without anybody's notifier settings; temporary files go below `tmp_path`."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("NOTIFIER_")}
    return {**plain, "TMPDIR": str(tmp_path), **ours}


def start(env: Mapping[str, str], *arguments: str) -> subprocess.Popen[str]:
    """A `notifier` command in the repository's root."""
    return subprocess.Popen(
        (sys.executable, "-m", "notifier", *arguments),
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """What the command has said on stderr, up to the line with these words."""
    said = ""
    assert process.stderr is not None
    for line in process.stderr:
        said += line
        if words in line:
            return said
    raise AssertionError(f"it ended without {words!r}:\n{said}")


def descendants(tmp_path: Path) -> dict[int, str]:
    """Process ids and command lines of what a command under test has started: it carries our TMPDIR, or works below it.

    The second is Redis, which writes its title over its environment. Linux only.
    """
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            carries = f"TMPDIR={tmp_path}\0".encode() in (folder / "environ").read_bytes()
            if carries or (folder / "cwd").readlink().is_relative_to(tmp_path):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it ended, or is not ours
    return found
