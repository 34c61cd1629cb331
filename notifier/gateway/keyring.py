"""The live API keys, in memory: a request is known without a question to the ledger, and while it is away."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from datetime import datetime, timedelta

from starlette.concurrency import run_in_threadpool

from notifier import telemetry
from notifier.clock import utc_now
from notifier.keys import digest_of
from notifier.ledger import Ledger, LedgerUnavailable
from notifier.ledger.keys import KeyRow, live_keys

# A revoked key is refused after this at the latest, on every gateway.
FRESH_FOR = timedelta(seconds=5)

# A key that is not known may have been made just now. Strangers who try keys cost no more than five readings a second.
LOOK_AGAIN_AFTER = timedelta(milliseconds=200)

# How long a request waits for a ledger that is slow, before the keys that are known must do.
PATIENCE = timedelta(seconds=1)


class KeysUnknown(Exception):
    """The ledger has not answered since this process began, so nobody is known."""


class KeyRing:
    """All live keys, read again when they are older than FRESH_FOR. Belongs to one event loop."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._keys: Mapping[str, KeyRow] | None = None
        self._looked = float("-inf")  # when the ledger was last asked, whether or not it answered
        self._reading: asyncio.Task[None] | None = None

    async def find(self, secret: str) -> KeyRow | None:
        """The key that this is; None when it opens nothing. Raises KeysUnknown."""
        digest = digest_of(secret)
        if self._age() > FRESH_FOR.total_seconds():
            await self._look()
        found = self._get(digest)
        if found is None and self._age() > LOOK_AGAIN_AFTER.total_seconds():
            await self._look()
            found = self._get(digest)
        return found if found and (found.ends_at is None or found.ends_at > utc_now()) else None

    def _get(self, digest: str) -> KeyRow | None:
        if self._keys is None:
            raise KeysUnknown
        return self._keys.get(digest)

    def _age(self) -> float:
        return time.monotonic() - self._looked

    async def _look(self) -> None:
        """One reading for all who wait; a slow one goes on without them."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._reading), PATIENCE.total_seconds())

    async def _read(self) -> None:
        try:
            rows = await run_in_threadpool(self._rows, utc_now())
            self._keys = {row.digest: row for row in rows}
        except LedgerUnavailable as error:  # those that are known go on: a door must not close with the ledger
            telemetry.note("ledger.away", where="keys", wait=FRESH_FOR.total_seconds(), error=error)
        finally:
            self._looked = time.monotonic()
            self._reading = None

    def _rows(self, now: datetime) -> list[KeyRow]:
        with self._ledger.read() as conn:
            return live_keys(conn, now)
