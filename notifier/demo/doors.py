"""Handing events in as shops do: platforms' webhooks, signed CloudEvents, Python, a Celery task by name, and a file."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from celery import Celery

from notifier.demo.retime import Timed
from notifier.door import notify_many
from notifier.events import NotifierError
from notifier.inbox import Inbox
from notifier.shop_sources import ShopSource
from notifier.sources.standard_webhooks import sign

# A busy machine may take a second; more is a fault of the gateway.
_PATIENCE = 20.0


class DoorRefused(NotifierError):
    """The gateway did not take what a shop handed in: the demo's shops do nothing wrong."""


@dataclass(slots=True)
class Doors:
    """All doors of the demo. `handed` counts the events by door.

    platforms: each shop's. signing: the secret of each shop's backend. run: starts a `notifier` command with these
    arguments (the demo's children die with it).
    """

    inbox: Inbox
    celery: Celery
    gateway_url: str
    platforms: Mapping[str, ShopSource]
    signing: Mapping[str, str] = field(repr=False)
    home: Path
    run: Callable[[Sequence[str]], subprocess.Popen[bytes]]
    handed: Counter[str] = field(default_factory=Counter)
    _ingests: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def hand_in(self, lines: Sequence[Timed]) -> None:
        """Hands these events in by their doors, in their order. Raises DoorRefused."""
        by_door: dict[str, list[Timed]] = {}
        for line in lines:
            by_door.setdefault(line.door, []).append(line)
        for door, given in by_door.items():
            self._by_door.get(door, self._call)(given)
            self.handed[door] += len(given)

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
    def _by_door(self) -> Mapping[str, Callable[[Sequence[Timed]], object]]:
        return {
            "file": self._export,
            "celery": self._publish,
            "python": lambda lines: notify_many([line.body for line in lines], inbox=self.inbox),
            "cloudevents": self._tell,
        }

    def _call(self, lines: Sequence[Timed]) -> None:
        """The shop's platform calls, webhook by webhook."""
        with closing(self._connection()) as gateway:
            for line in lines:
                for call in line.calls:
                    _post(gateway, self.platforms[line.body["shop"]].path, call.body, call.headers)

    def _tell(self, lines: Sequence[Timed]) -> None:
        """A batch of CloudEvents for each shop, which its backend signs."""
        by_shop: dict[str, list[dict[str, Any]]] = {}
        for line in lines:
            by_shop.setdefault(line.body["shop"], []).append(cloud_event(line))
        with closing(self._connection()) as gateway:
            for shop, events in by_shop.items():
                body = json.dumps(events, ensure_ascii=False).encode()
                headers = sign(f"{events[0]['id']}-{len(events)}", datetime.now(UTC), body, self.signing[shop])
                headers["Content-Type"] = "application/cloudevents-batch+json"
                _post(gateway, f"/v1/events?shop={shop}", body, headers)

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.gateway_url).netloc, timeout=_PATIENCE)

    def _publish(self, lines: Sequence[Timed]) -> None:
        bodies = [line.body for line in lines]
        self.celery.send_task("notifier.ingest", args=[bodies], queue="intake", retry=False, ignore_result=True)

    def _export(self, lines: Sequence[Timed]) -> None:
        path = self.home / "export.jsonl"
        text = "".join(json.dumps(line.body, ensure_ascii=False) + "\n" for line in lines)
        path.write_text(text, encoding="utf-8")
        self._ingest(path)

    def _ingest(self, path: Path) -> None:
        self._ingests.append(self.run(("ingest", str(path))))


def cloud_event(line: Timed) -> dict[str, Any]:
    """The line as a CloudEvent. Every line has an id of its own: that two say the same is for the gateway to see."""
    body = line.body
    return {
        "specversion": "1.0",
        "id": f"line-{line.sample.line}",
        "source": f"/shops/{body['shop']}",
        "type": body["event"],
        "subject": body["order_id"],
        "time": body["occurred_at"],
        "datacontenttype": "application/json",
        "data": {name: value for name, value in body.items() if name not in ("event", "order_id", "occurred_at")},
    }


def _post(gateway: http.client.HTTPConnection, path: str, body: bytes, headers: Mapping[str, str]) -> None:
    gateway.request("POST", path, body, dict(headers))
    answer = gateway.getresponse()
    said = answer.read()
    if not 200 <= answer.status < 300 or (b'"rejected"' in said and b'"rejected":0' not in said):
        raise DoorRefused(f"POST {path} was answered {answer.status}: {said[:300].decode(errors='replace')}")
