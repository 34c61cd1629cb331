"""For your own tests: a sandbox on a free port, and the questions a test wants to ask it.

with running_sandbox() as sandbox:
    sandbox.webhook_url("http://127.0.0.1:8000/receipts/meta")
    ...
    assert sandbox.phone("+966501234567")[0]["template"] == "order_shipped"
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import requests
import uvicorn

from notifier.events import NotifierError
from notifier.sandbox.app import SandboxApp, create_app
from notifier.sandbox.clock import SandboxClock
from notifier.sandbox.config import SandboxConfig, practice_config

_START_WITHIN = 10.0  # real seconds; a start takes milliseconds, a slow machine a few hundred


class SandboxNotRunning(NotifierError):
    """The sandbox did not start, or refused a control request; the message says why."""


@dataclass(frozen=True, slots=True)
class SandboxClient:
    """Asks a running sandbox. `base_url` is what senders are given as the provider's address."""

    base_url: str

    def arrivals(self, **wanted: str) -> list[dict[str, Any]]:
        """Every request that came in, oldest first; wanted: recipient, ref, provider, sender, outcome, provider_id."""
        return list(self._call("GET", "arrivals", params=wanted)["arrivals"])

    def phone(self, e164: str) -> list[dict[str, Any]]:
        """What this phone shows, oldest first: channel, text, template, language, ref, shown_at…"""
        return list(self._call("GET", f"phones/{e164}")["messages"])

    def summary(self) -> dict[str, Any]:
        """The counts; every key is always there."""
        return self._call("GET", "summary")

    def faults(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """Put this fault plan in the place of the old one. Raises SandboxNotRunning if a rule is refused."""
        self._call("PUT", "faults", json=list(rules))

    def webhook_url(self, url: str, phone_number_id: str | None = None) -> None:
        """Where Meta's receipts go from now on."""
        self._call("PUT", "config/webhook_url", json={"url": url, "phone_number_id": phone_number_id})

    def advance(self, seconds: float) -> None:
        """Let sandbox time pass: everything due in it happens now."""
        self._call("PUT", "clock", json={"advance": seconds})

    def clock_rate(self, rate: float) -> None:
        """So many sandbox seconds to a real one."""
        self._call("PUT", "clock", json={"rate": rate})

    def template(self, name: str, **changes: str) -> None:
        """Change a template's `status` or `category` (narrowed by `language`, `waba_id`), as Meta's review would."""
        self._call("PUT", "templates", json={"name": name, **changes})

    def writes(self, phone: str, text: str, **more: str) -> str:
        """The customer writes to the number; the wamid. Opens the 24 hour window."""
        return str(self._call("POST", "inbound", json={"from": phone, "text": text, **more})["id"])

    def reset(self) -> None:
        """As freshly started, but for templates, subscriptions and webhook addresses."""
        self._call("POST", "reset")

    def _call(self, method: Literal["GET", "PUT", "POST"], path: str, **more: Any) -> dict[str, Any]:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(method, f"{self.base_url}/_sandbox/{path}", timeout=10, **more)
        if answer.status_code != 200:
            raise SandboxNotRunning(f"{method} /_sandbox/{path} answered {answer.status_code}: {answer.text[:300]}")
        value: dict[str, Any] = answer.json()
        return value


@contextmanager
def running_sandbox(config: SandboxConfig | None = None, clock: SandboxClock | None = None) -> Iterator[SandboxClient]:
    """A sandbox on a free port of 127.0.0.1, in a thread of its own, for as long as the block runs.

    config: `practice_config()` when absent. Raises SandboxConfigError, or SandboxNotRunning when it does not come up.
    """
    app = create_app(config or practice_config(), clock)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="critical", access_log=False, lifespan="on", timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, args=([listener],), name="sandbox", daemon=True)
        thread.start()
        try:
            _await_start(server, thread)
            yield SandboxClient(f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            _stop(app, server, thread)


def _await_start(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _START_WITHIN
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise SandboxNotRunning("the sandbox did not start; serve the app with uvicorn by hand to see why")
        time.sleep(0.002)


def _stop(app: SandboxApp, server: uvicorn.Server, thread: threading.Thread) -> None:
    """Let go of held requests first: the server waits for its connections."""
    app.let_go()
    server.should_exit = True
    thread.join(_START_WITHIN)
