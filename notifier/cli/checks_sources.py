"""What `notifier sources check` examines: can a platform reach us, would we believe it, and has anything come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

from notifier.cli.checkup import Finding
from notifier.cli.network import WITHIN, is_private
from notifier.cli.printing import age
from notifier.settings import source_secret_name
from notifier.shop_sources import ShopSource
from notifier.streams import Quarantined

if TYPE_CHECKING:
    from notifier.lookups.orders import Line

SHORT_SECRET = 16  # characters; platforms make longer ones, and a comma inside one cuts it


@dataclass(frozen=True)
class Situation:
    """What is looked at besides the source.

    heard_at: the last webhook of the shop that told of an order. line: whom a source of a shop asks for orders.
    """

    public_url: str
    gateway: str
    heard_at: datetime | None
    quarantine: Sequence[Quarantined]
    now: datetime
    post: Callable[[str], int | str]
    line: Callable[[str, str], Line | None] = lambda shop, source: None


def unsigned_post(url: str) -> int | str:
    """The status of an unsigned call, or why there is no answer."""
    try:
        seconds = WITHIN.total_seconds()
        return requests.post(url, b"{}", timeout=seconds, allow_redirects=False).status_code
    except requests.RequestException as error:
        return type(error).__name__


def findings(source: ShopSource, situation: Situation) -> Iterator[Finding]:
    """Everything about one source, in the order in which it has to work."""
    yield _secret(source)
    yield _address(source, situation)
    yield _gateway(source, situation)
    yield from _look_up(source, situation)
    yield _arrivals(source, situation)
    yield from _set_aside(source, situation)


def _secret(source: ShopSource) -> Finding:
    variable = source_secret_name(source.shop, source.name)
    if not source.secrets:
        return Finding("fail", "no secret: every call is refused", f"set {variable} for the gateway")
    if any(len(secret) < SHORT_SECRET for secret in source.secrets):
        advice = f"choose a long one without commas (openssl rand -hex 32), or look for a comma in {variable}"
        return Finding("warn", "a secret is short", advice)
    return Finding("ok", f"{len(source.secrets)} secret{'s' * (len(source.secrets) > 1)}")


def _address(source: ShopSource, situation: Situation) -> Finding:
    url = situation.public_url.rstrip("/") + source.path
    if is_private(url) or not url.startswith("https://"):
        advice = "set NOTIFIER_PUBLIC_URL to the https address behind which the gateway is; a tunnel will do for a try"
        return Finding("warn", f"platforms cannot reach {url}", advice)
    return Finding("ok", f"paste {url}")


def _gateway(source: ShopSource, situation: Situation) -> Finding:
    status = situation.post(situation.gateway.rstrip("/") + source.path)
    if status == 401:
        return Finding("ok", "the gateway knows the source, and refuses who does not sign")
    if status == 404:
        return Finding("fail", "the gateway does not know the source", "restart it: it reads its configuration once")
    said = f"answers {status}" if isinstance(status, int) else f"does not answer ({status})"
    return Finding("fail", f"the gateway at {situation.gateway} {said}", "run `notifier up` or `notifier gateway`")


def _look_up(source: ShopSource, situation: Situation) -> Iterator[Finding]:
    line = situation.line(source.shop, source.name)
    if line and line.missing:
        yield Finding("fail", "nobody would answer a look-up: no credentials", f"set {', '.join(line.missing)}")
    elif line:
        yield Finding("ok", f"orders are asked of {urlsplit(line.place.base_url).netloc}")


def _arrivals(source: ShopSource, situation: Situation) -> Finding:
    if situation.heard_at is None:
        advice = "place an order in the shop; docs/sources says where the platform shows its deliveries"
        return Finding("warn", f"no webhook of {source.shop} has told of an order yet", advice)
    since = max(situation.now - situation.heard_at, timedelta(0))
    return Finding("ok", f"the last order of {source.shop} was told {age(since)} ago")


def _set_aside(source: ShopSource, situation: Situation) -> Iterator[Finding]:
    ours = (source.shop.encode(), source.name.encode())
    reasons = Counter(
        one.reason for one in situation.quarantine if (one.fields.get(b"shop"), one.fields.get(b"source")) == ours
    )
    for reason, number in sorted(reasons.items()):
        yield Finding("warn", f"{number} set aside: {reason}", "`notifier dead list` shows why")
