"""Handing events in as shops do, through four doors at once, and again after every error until a door took them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import requests
from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis

from notifier.door import notify_many, open_road
from notifier.inbox import Inbox, InboxFull, RoadUnavailable
from tests.faults.orders import Door, Given

# A shop that got an error comes again so soon.
AGAIN_AFTER = 0.3

# A file is handed in with what has gathered in this time: a command is a process, and costs one.
FILE_EVERY = 4.0

# Events in one request.
_LIST = 200


@dataclass(slots=True)
class Feeder:
    """Hands in what is due, a thread a door. `accepted`: mark → monotonic second of the first door's yes."""

    given: Sequence[Given]
    url: str
    broker_url: str
    home: Path
    prefix: str
    environ: Mapping[str, str] = field(repr=False)
    gateway_url: str
    keys: Mapping[str, str] = field(repr=False)  # shop → its API key
    accepted: dict[str, float] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    copies: int = 0
    began: float = 0.0
    failed: str = ""
    _threads: list[threading.Thread] = field(default_factory=list)
    _again: dict[Door, list[Given]] = field(default_factory=lambda: defaultdict(list))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begins; the first event is due now."""
        self.began = time.monotonic()
        plans: dict[Door, list[Given]] = defaultdict(list)
        for one in self.given:
            for door in one.doors:
                plans[door].append(one)
            self.copies += len(one.doors) - 1
        doors: Mapping[Door, Callable[[Sequence[Given]], None]] = {
            "python": self._notify,
            "celery": self._publish,
            "file": self._ingest,
            "http": self._post,
        }
        for door, act in doors.items():
            thread = threading.Thread(
                target=self._feed, args=(door, plans[door], act), name=f"door-{door}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    @property
    def done(self) -> bool:
        """Every door has handed in all it had."""
        return not any(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Ends the doors, whatever they still have."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def since(self, moment: float) -> set[str]:
        """The marks of what was accepted since then (a monotonic second)."""
        return {mark for mark, at in self.accepted.items() if at >= moment}

    def hand_in_again(self, marks: Iterable[str]) -> None:
        """What was destroyed on the road comes again from the shop's own books, through the first door."""
        wanted = set(marks)
        with self._lock:
            for one in self.given:
                if one.mark in wanted:
                    self._again["python"].append(one)

    def _feed(self, door: Door, plan: list[Given], act: Callable[[Sequence[Given]], None]) -> None:
        waiting = list(reversed(plan))
        pause = FILE_EVERY if door == "file" else 0.05
        while not self._stop.is_set():
            due = self._due(door, waiting)
            if due:
                self._hand_in(act, due)
            if not waiting and not self._again[door]:
                return
            self._stop.wait(pause)

    def _due(self, door: Door, waiting: list[Given]) -> list[Given]:
        with self._lock:
            due, self._again[door] = self._again[door], []
        elapsed = time.monotonic() - self.began
        while waiting and waiting[-1].at <= elapsed:
            due.append(waiting.pop())
        return due

    def _hand_in(self, act: Callable[[Sequence[Given]], None], due: Sequence[Given]) -> None:
        while not self._stop.is_set():
            try:
                act(due)
            except (InboxFull, RoadUnavailable, OperationalError, OSError, subprocess.CalledProcessError) as error:
                self.errors[type(error).__name__] += 1
                self._stop.wait(AGAIN_AFTER)
                continue
            except Exception as error:  # a door that fails otherwise is a finding of its own
                self.failed = f"{type(error).__name__}: {error}"[:300]
                raise
            now = time.monotonic()
            for one in due:
                self.accepted.setdefault(one.mark, now)
            return

    def _notify(self, due: Sequence[Given]) -> None:
        notify_many([one.body for one in due], inbox=self._inbox())

    def _inbox(self) -> Inbox:
        return Inbox(_client(self.url), prefix=self.prefix)

    def _publish(self, due: Sequence[Given]) -> None:
        publish(self.broker_url, [dict(one.body) for one in due])

    def _post(self, due: Sequence[Given]) -> None:
        """A list for each shop; whatever is not a yes for all of it is an error, and it comes again."""
        by_shop: dict[str, list[Given]] = defaultdict(list)
        for one in due:
            by_shop[one.order[0]].append(one)
        for shop, some in by_shop.items():
            headers = {"Authorization": f"Bearer {self.keys[shop]}"}
            for start in range(0, len(some), _LIST):
                bodies = [dict(one.body) for one in some[start : start + _LIST]]
                answer = requests.post(f"{self.gateway_url}/v1/events", json=bodies, headers=headers, timeout=15)
                answer.raise_for_status()
                refused = [one for one in answer.json()["results"] if one["status"] == "rejected"]
                if refused:
                    raise requests.HTTPError(f"rejected: {refused[0].get('reason')}")

    def _ingest(self, due: Sequence[Given]) -> None:
        path = self.home / f"events-{time.monotonic_ns()}.jsonl"
        path.write_text("".join(json.dumps(dict(one.body)) + "\n" for one in due), encoding="utf-8")
        env = {**os.environ, **self.environ, "NOTIFIER_REDIS_URL": self.url}
        command = (sys.executable, "-m", "notifier", "ingest", str(path))
        subprocess.run(command, env=env, check=True, capture_output=True, timeout=60)


def publish(broker_url: str, messages: Iterable[object]) -> None:
    """Each as a task `notifier.ingest`, by a Celery app as a backend has it. Raises OperationalError.

    RabbitMQ's yes comes only to who asks for it; on Redis the option means nothing.
    """
    with Celery("shop", broker=broker_url, set_as_current=False) as celery:
        celery.conf.broker_transport_options = {"confirm_publish": True}
        for one in messages:
            celery.send_task("notifier.ingest", args=[one], queue="intake", retry=False)


_clients: dict[tuple[str, int], Redis] = {}


def _client(url: str) -> Redis:
    return _clients.setdefault((url, threading.get_ident()), open_road(url))
