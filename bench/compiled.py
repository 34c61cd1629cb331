"""The bench's programs in C, compiled when they are needed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from bench.errors import Missing


def compiled(source: Path, into: Path) -> Path:
    """The binary, named as its source, made again when that is newer. Raises Missing without a C compiler."""
    binary = into / source.stem
    if binary.exists() and binary.stat().st_mtime > source.stat().st_mtime:
        return binary
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise Missing(f"{source.name} is C: install a compiler (Debian: apt-get install gcc libc6-dev)")
    into.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [compiler, "-O2", "-o", str(binary), str(source)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Missing(f"{source.name} did not compile (Debian: apt-get install libc6-dev): {done.stderr[-500:]}")
    return binary
