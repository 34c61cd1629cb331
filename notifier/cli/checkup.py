"""What `notifier doctor` examines, and what a finding is. The checks are in the `checks_*` modules beside this one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from redis import Redis

from notifier.catalog import Catalog, CatalogError, load_catalog
from notifier.ledger import Ledger, LedgerUnavailable, pending
from notifier.road import RoadUnavailable, road
from notifier.settings import Settings

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing seen. advice: what to do about it; empty when there is nothing to do."""

    level: Level
    what: str
    advice: str = ""


@dataclass(frozen=True)
class Patient:
    """What is examined. clock: ours, aware UTC. Each store is asked once, and what it said is remembered."""

    settings: Settings
    redis: Redis
    ledger: Ledger
    clock: Callable[[], datetime]

    @cached_property
    def info(self) -> dict[str, Any] | RoadUnavailable:
        """What Redis says about itself, or why it does not."""
        try:
            with road("asking Redis about itself"):
                found: Any = self.redis.info("everything")
        except RoadUnavailable as error:
            return error
        return dict(found)

    @cached_property
    def missing_migrations(self) -> list[str] | LedgerUnavailable:
        """What `notifier db upgrade` would apply, or why nobody knows."""
        try:
            return pending(self.ledger)
        except LedgerUnavailable as error:
            return error

    @cached_property
    def catalog(self) -> Catalog | CatalogError:
        """The templates, or their faults."""
        try:
            return load_catalog(self.settings.config_dir / "templates")
        except CatalogError as error:
            return error

    @property
    def road_works(self) -> bool:
        """Whether checks that need Redis have a point; that it is away is one finding and not ten."""
        return isinstance(self.info, dict)

    @property
    def ledger_works(self) -> bool:
        """Whether checks that read the ledger's tables have a point."""
        return self.missing_migrations == []


Check = Callable[[Patient], Iterable[Finding]]
