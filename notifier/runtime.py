"""What the movements run on, put together once a process: ledger, road, catalog, senders and the rules of the shops.

A plain value. The movements take it as an argument; nothing is global, and tests build their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from redis import Redis

from notifier import telemetry, wake
from notifier.catalog import Catalog, load_catalog
from notifier.channels.contract import Sender
from notifier.clock import HouseClock, utc_now
from notifier.door import open_road
from notifier.handles import Handles
from notifier.inbox import Inbox, RoadUnavailable
from notifier.ledger import Ledger, open_ledger
from notifier.limits import Limiter
from notifier.policy.fallback import silence_deadline
from notifier.policy.shop import ShopRules
from notifier.settings import Settings, secrets_of
from notifier.shop_sources import ShopSource, SourceKey, shop_sources
from notifier.shops import shop_rules
from notifier.streams import Quarantine
from notifier.transport import Transport

if TYPE_CHECKING:
    from notifier.lookups.orders import LookUps

# How long a provider keeps trying: Twilio's longest ValidityPeriod (platforms-and-sms B1.1), and what Meta does with a
# template that declares no time-to-live (whatsapp-cloud-api §1.5).
SMS_LIFE = timedelta(seconds=36_000)
NO_TTL = timedelta(days=30)

# Publishes one wake-up: (lane, channel) -> whether it could. Celery does it in workers; tests collect them.
Publish = Callable[[str, str], bool]


@dataclass(frozen=True)
class Runtime:
    """The parts that a movement needs. `clock` gives aware UTC, the road's time; `publish` wakes a drain somewhere."""

    settings: Settings
    ledger: Ledger
    redis: Redis
    inbox: Inbox
    quarantine: Quarantine
    limiter: Limiter
    catalog: Catalog
    senders: Mapping[str, Sender]
    rules: Mapping[str, ShopRules]
    publish: Publish
    clock: Callable[[], datetime] = utc_now

    @cached_property
    def sources(self) -> Mapping[SourceKey, ShopSource]:
        """The platforms that tell the shops' orders. Raises SettingsError, MappingError at the first look."""
        return shop_sources(self.settings)

    @cached_property
    def look_ups(self) -> LookUps:
        """Whom the sources ask for orders. Raises SettingsError at the first look."""
        from notifier.lookups.orders import open_look_ups  # requests: a quarter of a second, and few commands ask

        return open_look_ups(self.settings, self.redis)

    def wake(self, lanes: Iterable[str]) -> int:
        """Asks for a drain of each lane, once while an earlier asking is unanswered; returns how many it published.

        Call it after the commit that made the work visible. A wake-up that cannot be published is left to the tick:
        what the ledger holds does not depend on it.
        """
        wanted = [lane for lane in lanes if lane in self.senders]
        if not wanted:
            return 0
        prefix = self.settings.key_prefix
        published: set[str] = set()
        try:
            asked = wake.ask_many(self.redis, prefix, wanted)
            try:
                for lane in asked:
                    if self.publish(lane, self.senders[lane].channel):
                        published.add(lane)
            finally:
                wake.unasked(self.redis, prefix, [lane for lane in asked if lane not in published])
        except RoadUnavailable as error:
            telemetry.note("road.away", where="wake", wait=0.0, error=error)
        return len(published)

    @cached_property
    def allowed_hosts(self) -> frozenset[str]:
        """Where requests may go. Kept: a thousand senders were gone through once a drain, a twentieth of its time."""
        return self.settings.allowed_hosts

    def transport(self) -> Transport:
        """A new engine for the requests of one drain at a time, of whichever lane."""
        return Transport(self.allowed_hosts, self.handles, max_connections=self.settings.drain.in_flight)

    @cached_property
    def handles(self) -> Handles:
        """Those that all engines of this process share."""
        drain = self.settings.drain
        return Handles(connect_timeout=drain.connect_timeout, timeout=drain.request_timeout)

    def in_flight(self, lane: str) -> int:
        """Most requests of one drain of this lane that wait for an answer."""
        most = self.settings.drain.in_flight
        return min(self.settings.senders[lane].in_flight or most, most)

    def silence_at(self, lane: str, template: str, accepted_at: datetime) -> datetime:
        """When an accepted message without a word of arrival counts as silent, on this lane.

        A sender or template that has left the configuration counts as the one that waits longest.
        """
        sender, fallback = self.settings.senders.get(lane), self.settings.fallback
        own = fallback.silence_after if sender is None or sender.silence_after is None else sender.silence_after
        lives = SMS_LIFE if sender and sender.channel != "whatsapp" else self._ttl(template)
        return silence_deadline(accepted_at, lives, fallback.buffer, own)

    def _ttl(self, template: str) -> timedelta:
        known = self.catalog.templates.get(template)
        return known.ttl if known and known.ttl else NO_TTL

    def unknown_until(self, lane: str, template: str, now: datetime) -> datetime:
        """How long a lost answer waits for its receipt: never less than the message may still be under way."""
        return max(self.silence_at(lane, template, now), now + self.settings.fallback.unknown_wait)


def open_runtime(settings: Settings, publish: Publish) -> Runtime:
    """The parts of this process, as configured. Connections open when first used.

    Raises CatalogError, SettingsError: a process with a faulty catalog or configuration does not start.
    """
    catalog = load_catalog(settings.config_dir / "templates")
    rules = shop_rules(settings, catalog)
    runtime = replace(open_stores(settings, publish), catalog=catalog, rules=rules)
    _ = runtime.sources  # a faulty mapping is found now, not at the first webhook
    if any(source.look_up for shop in settings.shops.values() for source in shop.sources.values()):
        _ = runtime.look_ups
    _ = runtime.handles  # before two threads ask for it at once: each would be given its own
    return runtime


def open_stores(settings: Settings, publish: Publish) -> Runtime:
    """The parts without templates and shops: for operators, who must see and stop lanes while those are broken."""
    redis = open_road(settings.road_url)
    clock = HouseClock(redis, settings.key_prefix)
    return Runtime(
        settings=settings,
        ledger=open_ledger(settings.ledger_url),
        redis=redis,
        inbox=Inbox(
            redis,
            prefix=settings.key_prefix,
            max_length=settings.inbox.max_length,
            max_age=settings.inbox.max_age,
            remember=settings.inbox.remember,
            durable=settings.inbox.durable,
            clock=clock,
        ),
        quarantine=Quarantine(redis, settings.key_prefix),
        limiter=Limiter(redis, settings.key_prefix, {name: one.rate for name, one in settings.senders.items()}),
        catalog=Catalog({}),
        senders=open_senders(settings),
        rules={},
        publish=publish,
        clock=clock,
    )


def open_senders(settings: Settings) -> dict[str, Sender]:
    """The configured senders with their secrets from the environment."""
    return {
        name: Sender(
            name=name,
            channel=sender.channel,
            provider=sender.provider,
            base_url=sender.base_url.rstrip("/"),
            account=sender.account,
            secrets=secrets_of(name),
            callback_url=f"{settings.public_url.rstrip('/')}/receipts/{sender.provider}",
        )
        for name, sender in settings.senders.items()
    }
