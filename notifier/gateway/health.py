"""Health for balancers, metrics for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Literal, TypeVar

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from redis import Redis
from starlette.concurrency import run_in_threadpool

from notifier import telemetry
from notifier.clock import clocks
from notifier.events import NotifierError
from notifier.gateway.problems import Refusal, problem
from notifier.hearing import hear, newest_receipts
from notifier.inbox import measure
from notifier.ledger import Ledger
from notifier.ledger.breakers import breakers
from notifier.ledger.counts import LaneDepth, lane_depths
from notifier.road import road
from notifier.settings import FallbackSettings, SenderSettings
from notifier.telemetry import Sample

# Shorter than what balancers wait for (usually 5 s): a store that takes longer is as good as away.
WITHIN = timedelta(seconds=3)

STREAMS = ("inbox", "webhooks", "receipts", "quarantine")

State = Literal["up", "away"]
T = TypeVar("T")


class Live(BaseModel):
    status: Literal["live"] = "live"


class Ready(BaseModel):
    status: Literal["ready", "degraded"] = Field(description="degraded: one store is away, the other takes what comes.")
    redis: State
    ledger: State


class Stores:
    """What the gateway asks Redis and the ledger about themselves.

    prefix: of the keys in Redis. fallback: when receipts count as lost. limits: what each configured lane may send, as
    gauges.
    """

    def __init__(
        self, redis: Redis, ledger: Ledger, prefix: str, fallback: FallbackSettings, limits: Sequence[Sample] = ()
    ) -> None:
        self._fallback = fallback
        self._redis = redis
        self._ledger = ledger
        self._prefix = prefix
        self.limits = limits

    def streams(self) -> list[Sample]:
        """Length and age of each stream. Raises RoadUnavailable."""
        with road("measuring the streams"):
            found = {name: measure(self._redis, f"{self._prefix}{name}") for name in STREAMS}
        return [sample for name, (length, oldest) in found.items() for sample in _stream(name, length, oldest)]

    def touch_ledger(self) -> None:
        """A transaction that reads nothing. Raises LedgerUnavailable."""
        with self._ledger.read():
            pass

    def backlog(self, now: datetime) -> list[Sample]:
        """Gauges of every lane and breaker, from the ledger. Raises LedgerUnavailable."""
        with self._ledger.read() as conn:
            depths, found = lane_depths(conn, now), breakers(conn)
        open_ones = [
            Sample("notifier_breaker_open", {"kind": each.kind, "name": each.name, "reason": str(each.reason or "")}, 1)
            for each in found
            if each.state != "closed"
        ]
        return [sample for depth in depths for sample in _lane(depth, now)] + open_ones

    def clocks(self, now: datetime) -> list[Sample]:
        """Gauges of the machines' own clocks. Raises RoadUnavailable."""
        found = clocks(self._redis, self._prefix, now)
        return [
            Sample("notifier_clock_offset_seconds", {"host": host}, off.total_seconds()) for host, off in found.items()
        ]

    def ears(self, now: datetime) -> list[Sample]:
        """Gauges of the receipts of every lane that ever had one. Raises LedgerUnavailable, RoadUnavailable."""
        newest = newest_receipts(self._redis, self._prefix)
        with self._ledger.read() as conn:
            shares = {lane: hear(conn, lane, now, self._fallback).unheard_share for lane in newest}
        return [sample for lane, at in newest.items() for sample in _ear(lane, now - at, shares[lane])]


def _ear(lane: str, age: timedelta, share: float) -> Iterator[Sample]:
    yield Sample("notifier_lane_newest_receipt_seconds", {"lane": lane}, max(0.0, age.total_seconds()))
    yield Sample("notifier_lane_unheard_share", {"lane": lane}, share)


def lane_limits(senders: Mapping[str, SenderSettings]) -> list[Sample]:
    """What each lane may send: beside what it does send, it tells a lane at its limit from one that wants workers."""
    return [
        Sample("notifier_lane_limit", {"lane": name, "channel": one.channel}, one.rate) for name, one in senders.items()
    ]


def _stream(name: str, length: int, oldest: timedelta | None) -> Iterator[Sample]:
    yield Sample("notifier_stream_length", {"stream": name}, length)
    yield Sample("notifier_stream_oldest_seconds", {"stream": name}, oldest.total_seconds() if oldest else 0.0)


def _lane(depth: LaneDepth, now: datetime) -> Iterator[Sample]:
    labels = {"lane": depth.lane, "channel": depth.channel}
    age = 0.0 if depth.oldest_due is None else max(0.0, (now - depth.oldest_due).total_seconds())
    yield Sample("notifier_lane_queued", labels, depth.queued)
    yield Sample("notifier_lane_due", labels, depth.due)
    yield Sample("notifier_lane_oldest_due_seconds", labels, age)
    yield Sample("notifier_lane_claimed", labels, depth.claimed)
    yield Sample("notifier_lane_unknown", labels, depth.unknown)


def health_routes(stores: Stores, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> APIRouter:
    """GET /health/live, /health/ready and /metrics."""
    router = APIRouter()

    @router.get("/health/live", tags=["health"], summary="The process answers")
    async def live() -> Live:
        return Live()

    @router.get("/health/ready", tags=["health"], summary="Something can be taken", response_model=Ready)
    async def ready() -> Ready | Response:
        states = await _states(stores)
        if set(states.values()) == {"away"}:
            detail = "Redis and the ledger are away: nothing can be kept."
            return problem(Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", detail, again=True), **states)
        # With one of them there is a place for order events: a balancer that closed the door would only lose them.
        return Ready(status="ready" if set(states.values()) == {"up"} else "degraded", **states)

    @router.get("/metrics", tags=["metrics"], summary="Prometheus metrics", response_class=Response)
    async def metrics() -> Response:
        return Response(telemetry.exposition(await _samples(stores, now())), media_type=CONTENT_TYPE_LATEST)

    return router


async def _states(stores: Stores) -> dict[str, State]:
    asked = await asyncio.gather(_ask(stores.streams), _ask(stores.touch_ledger))
    return {name: "away" if found is None else "up" for name, found in zip(("redis", "ledger"), asked, strict=True)}


async def _samples(stores: Stores, now: datetime) -> Iterable[Sample]:
    """What can be had: a scrape must show that a store is away, not fail with it."""
    streams, backlog, *others = await asyncio.gather(
        _ask(stores.streams),
        _ask(lambda: stores.backlog(now)),
        _ask(lambda: stores.ears(now)),
        _ask(lambda: stores.clocks(now)),
    )
    return [
        Sample("notifier_store_up", {"store": "redis"}, 1 if streams else 0),
        Sample("notifier_store_up", {"store": "ledger"}, 1 if backlog else 0),
        *stores.limits,
        *(streams[0] if streams else ()),
        *(backlog[0] if backlog else ()),
        *(sample for found in others if found for sample in found[0]),
    ]


async def _ask(question: Callable[[], T]) -> tuple[T] | None:
    """The answer, in a tuple for it may itself be None; None when the store is away or too slow."""
    try:
        async with asyncio.timeout(WITHIN.total_seconds()):
            return (await run_in_threadpool(question),)
    except (NotifierError, TimeoutError):
        return None
