"""The look-ups of this process: which source asks whom, with which credentials, and what an answer makes of a body."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import repeat
from typing import Final
from urllib.parse import urlsplit

from redis import Redis

from notifier.events import NotifierError
from notifier.lookups import platform_of
from notifier.lookups.contract import Ask, LookUpFailed, Platform
from notifier.lookups.fetch import Fetcher, Place
from notifier.settings import Settings, SettingsError
from notifier.sources.batches import together
from notifier.sources.contract import Draft, Malformed, OrderFacts, Parsed, SourceShop
from notifier.sources.joining import fill

# Half of inbox.reclaim_after as it comes: a batch must end before it is taken for abandoned.
BATCH_BOX: Final = timedelta(seconds=15)
SIDE_BY_SIDE: Final = 8  # conversations of a batch: a platform answers in 0.1 to 1 s, and allows a few at a time

_KEYS: Final = frozenset({"kind", "base_url"})
_LOCAL: Final = ("127.0.0.1", "localhost", "::1")


Thin = tuple[Parsed, SourceShop, str]
"""A body that needs its order, for whom it was read, and the name of the source."""


@dataclass(frozen=True, slots=True)
class Line:
    """Where one source of one shop asks. missing: variables without which nobody would answer."""

    platform: Platform
    place: Place
    missing: tuple[str, ...] = ()


class LookUps:
    """Asks for orders. Safe to share between threads."""

    def __init__(self, lines: Mapping[tuple[str, str], Line], fetcher: Fetcher) -> None:
        self._lines = lines
        self._fetcher = fetcher

    def line(self, shop: str, source: str) -> Line | None:
        """Where a source asks; None where the configuration has no `look_up` for it."""
        return self._lines.get((shop, source))

    def resolved_all(self, wanted: Sequence[Thin]) -> list[Parsed | Exception]:
        """`resolved` for many bodies of one batch, side by side; what failed, and how, is in its place.

        All of them together end long before another worker would take the batch for abandoned.
        """
        until = self._fetcher.deadline(BATCH_BOX)
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            return list(pool.map(self._tried, wanted, repeat(until)))

    def _tried(self, thin: Thin, until: float) -> Parsed | Exception:
        try:
            return self.resolved(*thin, until)
        except Exception as error:  # the caller tells failures from faults, and neither stops the other bodies
            return error

    def resolved(self, parsed: Parsed, shop: SourceShop, source: str, until: float | None = None) -> Parsed:
        """A body with what its look-ups say: what the orders told, and the body's own events, completed by them.

        until: no later than this, on the fetcher's clock. Raises LookUpFailed; its message says how to mend it.
        """
        if not parsed.needs_order:
            return parsed
        line = self._ready(shop.name, source)
        box = self._fetcher.deadline()
        until = box if until is None else min(box, until)
        wanted = dict.fromkeys(parsed.needs_order)
        try:
            said = together([self._fetcher.hold(line.platform.order(one, shop), line.place, until) for one in wanted])
        except Malformed as error:
            raise LookUpFailed(f"the order that was looked up cannot be read: {error}", again=False) from None
        return _joined(parsed, said)

    def pages(self, shop: SourceShop, source: str, since: datetime) -> Iterator[Parsed]:
        """What every order says that changed since an instant (aware), page by page. Raises LookUpFailed, Malformed."""
        line = self._ready(shop.name, source)
        for ask in line.platform.changed(since):
            following: Ask | None = ask
            while following is not None:
                answer = self._fetcher.ask(following, line.place)
                said, following = line.platform.page(following, answer, shop)
                yield replace(said, needs_order=())

    def _ready(self, shop: str, source: str) -> Line:
        line = self.line(shop, source)
        if line is None:
            remedy = f"write [shops.{shop}.sources.{source}.look_up] with kind and base_url (docs/sources)"
            raise LookUpFailed(f"source {source} has nobody to ask: {remedy}", again=False)
        if line.missing:
            raise LookUpFailed(f"source {source} has no credentials: set {', '.join(line.missing)}", again=False)
        return line


def open_look_ups(settings: Settings, redis: Redis | None, environ: Mapping[str, str] | None = None) -> LookUps:
    """The look-ups as configured; nothing is asked yet. Raises SettingsError with every fault."""
    found = os.environ if environ is None else environ
    lines: dict[tuple[str, str], Line] = {}
    faults: list[str] = []
    for shop, rules in settings.shops.items():
        for source, one in rules.sources.items():
            if not one.look_up:
                continue
            place = f"shops.{shop}.sources.{source}.look_up"
            try:
                lines[shop, source] = _line(shop, source, one.look_up, found)
            except NotifierError as error:
                faults.append(f"{place}: {error}")
    if faults:
        raise SettingsError("the settings cannot be used:\n" + "\n".join(faults))
    return LookUps(lines, Fetcher(redis, settings.key_prefix))


def credential_name(shop: str, source: str, name: str) -> str:
    """The variable of a credential: NOTIFIER_LOOKUP_QAMAR_BOOKS_WEB_TOKEN."""
    return "NOTIFIER_LOOKUP_" + "_".join(re.sub(r"[^A-Za-z0-9]", "_", part).upper() for part in (shop, source, name))


def _line(shop: str, source: str, said: Mapping[str, str], environ: Mapping[str, str]) -> Line:
    if set(said) != _KEYS:
        raise NotifierError("takes kind and base_url, and both are needed")
    platform = platform_of(said["kind"])
    url = urlsplit(said["base_url"])
    if url.scheme != "https" and not (url.scheme == "http" and url.hostname in _LOCAL):
        raise NotifierError("base_url must begin with https://: credentials and orders go there")
    if url.query or url.fragment or "@" in url.netloc or not url.hostname:
        raise NotifierError("base_url is https://host, or https://host/path; credentials go into the environment")
    names = {name: credential_name(shop, source, name) for name in platform.secrets}
    secrets = {name: environ[variable] for name, variable in names.items() if environ.get(variable)}
    missing = tuple(variable for name, variable in names.items() if name not in secrets)
    optional = {
        name: value for name in platform.optional if (value := environ.get(credential_name(shop, source, name)))
    }
    headers = {} if missing else platform.headers({**secrets, **optional})
    return Line(platform, Place(said["base_url"], headers), missing)


def _joined(body: Parsed, said: Parsed) -> Parsed:
    """The body's own events with what their orders told; one that an order tells too is told by the order."""
    facts = {one.order_id: one for one in said.orders}
    told = {one.event.key for one in said.events}
    own = tuple(_filled(one, facts) for one in body.events if one.event.key not in told)
    return replace(
        body,
        events=(*said.events, *own),
        orders=(*body.orders, *said.orders),
        needs_order=(),
        ignored=body.ignored or (said.ignored if not said.events and not own else None),
    )


def _filled(draft: Draft, facts: Mapping[str, OrderFacts]) -> Draft:
    known = facts.get(draft.event.order_id)
    return Draft(fill(draft.event, known)) if known and draft.joins else draft
