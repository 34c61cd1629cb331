"""Handing events in as shops do: in Python, as a Celery task by name, and as a file (the export of an older system)."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celery import Celery

from notifier.demo.retime import Timed
from notifier.door import notify_many
from notifier.inbox import Inbox

# The fashion shop's backend knows Celery only, and of notifier nothing but the task's name.
CELERY_SHOP = "atelie-lume"


@dataclass(slots=True)
class Doors:
    """All doors of the demo. `handed` counts the events by door.

    run: starts a `notifier` command with these arguments (the demo's children die with it).
    """

    inbox: Inbox
    celery: Celery
    home: Path
    run: Callable[[Sequence[str]], subprocess.Popen[bytes]]
    handed: Counter[str] = field(default_factory=Counter)
    _ingests: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def hand_in(self, lines: Sequence[Timed]) -> None:
        """Hands these events in, in their order: old ones as a file, the others by their shop's door."""
        by_door: dict[str, list[dict[str, Any]]] = {}
        for line in lines:
            door = "file" if line.old else "celery" if line.body["shop"] == CELERY_SHOP else "python"
            by_door.setdefault(door, []).append(line.body)
        for door, bodies in by_door.items():
            self._by_door[door](bodies)
            self.handed[door] += len(bodies)

    def hand_in_rejects(self, path: Path) -> None:
        """A file whose every line must be refused; a copy of it, for the refusals are written beside it."""
        copy = self.home / path.name
        copy.write_bytes(path.read_bytes())
        self._ingest(copy)

    def rejected(self) -> int:
        """How many lines `notifier ingest` has refused so far."""
        refused = (path.read_text(encoding="utf-8") for path in self.home.glob("*.rejected.jsonl"))
        return sum(len(text.splitlines()) for text in refused)

    def at_rest(self) -> bool:
        """Whether every file has been read to its end."""
        return all(process.poll() is not None for process in self._ingests)

    def close(self) -> None:
        """Ends what still runs."""
        for process in self._ingests:
            process.kill()
            process.wait()
        self.celery.close()

    @property
    def _by_door(self) -> Mapping[str, Callable[[Sequence[Mapping[str, Any]]], object]]:
        return {
            "file": self._export,
            "celery": self._publish,
            "python": lambda bodies: notify_many(bodies, inbox=self.inbox),
        }

    def _publish(self, bodies: Sequence[Mapping[str, Any]]) -> None:
        self.celery.send_task("notifier.ingest", args=[list(bodies)], queue="intake", retry=False, ignore_result=True)

    def _export(self, bodies: Sequence[Mapping[str, Any]]) -> None:
        path = self.home / "export.jsonl"
        path.write_text("".join(json.dumps(body, ensure_ascii=False) + "\n" for body in bodies), encoding="utf-8")
        self._ingest(path)

    def _ingest(self, path: Path) -> None:
        self._ingests.append(self.run(("ingest", str(path))))
