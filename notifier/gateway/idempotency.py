"""Repeats of a request: what was answered is kept under the sender's own id, and answered again.

It is a courtesy to senders on top of the business key, which alone makes sure that nobody is told twice. So while Redis
is away requests go on without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from hashlib import blake2b
from typing import Any

import orjson
from redis import Redis

from notifier.road import call, load_script, road

# Shopify repeats for 4 h, Adobe for 24 h, Event Mesh for days (platforms-and-sms §A4.7).
KEPT_FOR = timedelta(hours=72)

# A request that is not done by then has lost its gateway; its repeat may go on.
RUNNING_FOR = timedelta(seconds=60)

_FINGERPRINT_BYTES = 32  # as hex


@dataclass(frozen=True, slots=True)
class Claim:
    """A request, or one event of it, under an id of its sender. place: the key in Redis; fingerprint: of what came."""

    place: str
    fingerprint: str


class Seen(Enum):
    """What stands in the way of a claim."""

    RUNNING = "running"
    OTHER_BODY = "other body"


@dataclass(frozen=True, slots=True)
class Repeat:
    """What was answered the first time, an answer for each event."""

    results: list[dict[str, Any]] = field(repr=False)


Verdict = Repeat | Seen | None
"""None: the claim is the caller's, who ends it with `keep` or `forget`."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a claim ends. results None: nothing was taken, so the id is free again."""

    claim: Claim
    results: list[dict[str, Any]] | None = field(repr=False)


def claim_of(shop: str, scheme: str, given: str, content: bytes) -> Claim:
    """The claim of what a shop sent under this id. scheme: whose id it is, so that two kinds never meet."""
    name = blake2b("\0".join((shop, scheme, given)).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return Claim(name, blake2b(content, digest_size=_FINGERPRINT_BYTES // 2).hexdigest())


class Idempotency:
    """The claims. Keys: `idem:<hash>` behind the prefix."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = f"{prefix}idem:"
        self._script = load_script(redis, "notifier", "claim_idempotency.lua")

    def begin(self, claims: Sequence[Claim]) -> list[Verdict]:
        """Claims each; what stands in its way otherwise. Raises RoadUnavailable."""
        args: list[Any] = [_ms(RUNNING_FOR), *(claim.fingerprint for claim in claims)]
        with road("looking for repeats"):
            answer: Any = call(self._script, keys=[self._prefix + claim.place for claim in claims], args=args)
        return [_verdict(claim, found) for claim, found in zip(claims, answer, strict=True)]

    def end(self, endings: Sequence[Ending]) -> list[None]:
        """Keeps the results of claims, or frees their ids. Raises RoadUnavailable."""
        with road("keeping answers"), self._redis.pipeline(transaction=False) as pipe:
            for one in endings:
                place = self._prefix + one.claim.place
                if one.results is None:
                    pipe.delete(place)
                else:
                    pipe.set(place, one.claim.fingerprint.encode() + orjson.dumps(one.results), px=_ms(KEPT_FOR))
            pipe.execute()
        return [None] * len(endings)


def _verdict(claim: Claim, found: bytes) -> Verdict:
    if not found:
        return None
    if found[:_FINGERPRINT_BYTES] != claim.fingerprint.encode():
        return Seen.OTHER_BODY
    result = found[_FINGERPRINT_BYTES:]
    return Repeat(orjson.loads(result)) if result else Seen.RUNNING


def _ms(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
