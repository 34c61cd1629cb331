"""Webhooks on their way: signing, batches, and retries until the product takes them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any, Protocol
from urllib.parse import urlencode

from notifier.sandbox.clock import Agenda, SandboxClock
from notifier.sandbox.config import SandboxConfig
from notifier.sandbox.record import Receipt, Reply

META_GIVES_UP = 7 * 24 * 3600.0  # seconds (§3.5)


@dataclass(slots=True)
class Post:
    """One webhook request. attempts counts the tries so far; first_at is the sandbox second of the first."""

    url: str
    body: bytes = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    receipts: list[Receipt]
    first_at: float
    pause: Callable[[Post, Reply], float | None] = field(repr=False)  # before the next try; None: no further one
    attempts: int = 0
    true_signature: str | None = field(default=None, repr=False)  # of a forged first try; the retry carries it


class Courier(Protocol):
    """Carries a post and reports the reply, in the thread that owns the sandbox."""

    def carry(self, post: Post, done: Callable[[Post, Reply], None]) -> None: ...


@dataclass(frozen=True, slots=True)
class Update:
    """One thing that Meta reports. kind: `statuses`, `failed` (statuses too, but without contacts), `messages`, or
    `account`, whose `value` is the change's whole value."""

    waba_id: str
    kind: str
    value: dict[str, Any]
    metadata: Mapping[str, str] = field(default_factory=dict)
    contact: dict[str, Any] | None = None
    webhook_field: str = "messages"
    receipt: Receipt | None = None


def meta_bytes(value: Any) -> bytes:
    """JSON as Meta puts it on the wire and signs it: non-ASCII as lower-case `\\uXXXX`, slashes escaped (§4.2)."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).replace("/", "\\/").encode("ascii")


def meta_signature(secret: str, body: bytes) -> str:
    """The value of X-Hub-Signature-256 over the raw bytes."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def twilio_signature(token: str, url: str, form: Mapping[str, str]) -> str:
    """The value of X-Twilio-Signature: HMAC-SHA1 over the URL and the sorted parameters."""
    signed = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def envelope(updates: Sequence[Update], entry_size: int, now: int) -> dict[str, Any]:
    """Many updates in Meta's nesting: entries of at most `entry_size`, a change per number and kind, order kept."""
    entries: list[dict[str, Any]] = []
    for waba_id, of_waba in groupby(updates, key=lambda update: update.waba_id):
        rest = list(of_waba)
        starts = range(0, len(rest), entry_size)
        entries += [_entry(waba_id, rest[start : start + entry_size], now) for start in starts]
    return {"object": "whatsapp_business_account", "entry": entries}


def _entry(waba_id: str, updates: Sequence[Update], now: int) -> dict[str, Any]:
    changes: list[dict[str, Any]] = []
    for kind, group in groupby(updates, key=lambda update: (update.kind, tuple(update.metadata.values()))):
        same = list(group)
        if kind[0] == "account":
            changes.extend({"field": update.webhook_field, "value": update.value} for update in same)
        else:
            changes.append({"field": "messages", "value": _messages_value(same)})
    entry: dict[str, Any] = {"id": waba_id, "changes": changes}
    if any(update.kind == "account" for update in updates):
        entry["time"] = now  # account and template fields only (§4.3)
    return entry


def _messages_value(updates: Sequence[Update]) -> dict[str, Any]:
    value: dict[str, Any] = {"messaging_product": "whatsapp", "metadata": dict(updates[0].metadata)}
    contacts = {update.contact["user_id"]: update.contact for update in updates if update.contact}
    if contacts:
        value["contacts"] = list(contacts.values())
    key = "messages" if updates[0].kind == "messages" else "statuses"
    value[key] = [update.value for update in updates]
    return value


class Outbox:
    """Collects Meta's updates into batches, signs them, and repeats every POST until it is answered with 200."""

    def __init__(self, clock: SandboxClock, agenda: Agenda, config: SandboxConfig) -> None:
        self._clock, self._agenda, self._config = clock, agenda, config
        self._batches: dict[tuple[str, str, bool], list[Update]] = {}
        self._round = 0  # counts resets: a reply to a post from before one is of no interest
        self.courier: Courier | None = None

    def report(self, url: str, secret: str, update: Update, *, forged: bool = False) -> None:
        """One update for the app behind `url`. forged: the first try of its POST is signed with another secret."""
        key = (url, secret, forged)
        batch = self._batches.setdefault(key, [])
        batch.append(update)
        if len(batch) >= self._config.batch_size:
            self._flush(key)
        elif len(batch) == 1:
            self._agenda.after(self._config.batch_window, partial(self._flush_if, key, batch))

    def post_form(self, url: str, token: str, form: Mapping[str, str], receipt: Receipt, *, forged: bool) -> None:
        """One Twilio status callback, signed. Connection overrides in the URL's fragment are obeyed."""
        bare, _, fragment = url.partition("#")
        signature = twilio_signature(token, bare, form)
        shown = twilio_signature(token + "?", bare, form) if forged else signature
        headers = {
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
            "X-Twilio-Signature": shown,
            "I-Twilio-Idempotency-Token": str(uuid.uuid4()),
            "User-Agent": "TwilioProxy/1.1",
        }
        pause = partial(_twilio_pause, fragment)
        post = Post(bare, urlencode(form).encode(), headers, [receipt], self._clock.monotonic(), pause)
        post.true_signature = signature if forged else None
        self._carry(post)

    def clear(self) -> None:
        """Forget what waits for its batch; replies to what is under way change nothing any more."""
        self._batches.clear()
        self._round += 1

    def _flush_if(self, key: tuple[str, str, bool], batch: list[Update]) -> None:
        if self._batches.get(key) is batch:
            self._flush(key)

    def _flush(self, key: tuple[str, str, bool]) -> None:
        url, secret, forged = key
        updates = self._batches.pop(key)
        body = meta_bytes(envelope(updates, self._config.entry_size, int(self._clock.now().timestamp())))
        signature = meta_signature(secret, body)
        headers = {
            "Content-Type": "application/json",
            "X-Hub-Signature-256": meta_signature(secret + "?", body) if forged else signature,
            "User-Agent": "facebookexternalua",
        }
        receipts = [update.receipt for update in updates if update.receipt]
        post = Post(url, body, headers, receipts, self._clock.monotonic(), self._meta_pause)
        post.true_signature = signature if forged else None
        self._carry(post)

    def _carry(self, post: Post) -> None:
        if self.courier is None:
            raise RuntimeError("the sandbox is not running: its ASGI lifespan has not started")
        post.attempts += 1
        self.courier.carry(post, partial(self._replied, self._round))

    def _replied(self, started_in: int, post: Post, reply: Reply) -> None:
        if started_in != self._round:
            return
        pause = post.pause(post, reply)
        for receipt in post.receipts:
            receipt.replies.append(reply)
            if pause is None:
                receipt.state = "taken" if isinstance(reply, int) and 200 <= reply < 300 else "given_up"
        if pause is None:
            return
        if post.true_signature:
            name = "X-Hub-Signature-256" if "X-Hub-Signature-256" in post.headers else "X-Twilio-Signature"
            post.headers[name], post.true_signature = post.true_signature, None
        self._agenda.after(pause, lambda: self._carry(post))

    def _meta_pause(self, post: Post, reply: Reply) -> float | None:
        """Anything but exactly 200 is repeated: at once, then with growing pauses, for seven days (§3.5).

        A post that was forged once is repeated even after a 200: the true receipts still have to arrive.
        """
        if reply == 200 and post.true_signature is None:
            return None
        if post.attempts == 1:
            return 0.0
        pause = min(self._config.retry_cap, self._config.retry_pause * 2.0 ** min(post.attempts - 2, 40))
        return pause if self._clock.monotonic() + pause - post.first_at <= META_GIVES_UP else None


def _twilio_pause(fragment: str, post: Post, reply: Reply) -> float | None:
    """Retried at once, `rc` times (default 1), for the faults in `rp` (default `ct`: connecting failed) (B1.1)."""
    if post.true_signature:
        return 0.0
    overrides = dict(part.split("=", 1) for part in fragment.split("&") if "=" in part)
    count = int(overrides["rc"]) if overrides.get("rc", "").isdigit() else 1
    policies = set(overrides.get("rp", "ct").split(","))
    return 0.0 if post.attempts <= min(count, 5) and policies & _twilio_fault(reply) else None


def _twilio_fault(reply: Reply) -> set[str]:
    if reply == "connect":
        return {"ct", "all"}
    if reply == "read":
        return {"rt", "all"}
    return {f"{reply // 100}xx", "all"} if reply >= 400 else set()
