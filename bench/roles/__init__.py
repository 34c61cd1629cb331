"""The processes of a measurement, a file each: started by house.py with JSON arguments, they say JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any


def play(role: Callable[..., dict[str, Any]]) -> None:
    """Runs a role with the arguments of its command line and says what it returns."""
    say(role(**json.loads(sys.argv[1])))


def say(words: dict[str, Any]) -> None:
    """A line of JSON for whoever started us."""
    print(json.dumps(words), flush=True)
