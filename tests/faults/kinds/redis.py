"""The road breaks: Redis dies, forgets, fills up, slows down, drops its clients."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import time
from collections.abc import Iterable
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from notifier.door import open_road
from notifier.embedded import start_server
from tests.faults.children import until
from tests.faults.incidents import Mend, Scene, fault, unbroken
from tests.faults.orders import MARK


@fault("redis", touches=("redis",), lasts=(0.2, 2.0), weight=2)
def redis_killed(scene: Scene) -> Mend:
    """SIGKILL, and a start on its append-only file."""
    scene.house.redis.kill()
    return scene.house.start_redis


@fault("redis", touches=("redis",))
def redis_emptied(scene: Scene) -> Mend:
    """FLUSHALL by a wrong hand. What was still on the road is known exactly, and comes again from the shop's books."""
    road = scene.house.road()
    with contextlib.closing(road), road.pipeline(transaction=True) as pipe:
        pipe.xrange(f"{scene.house.settings.key_prefix}inbox")
        pipe.lrange("intake", 0, -1)
        pipe.hvals("unacked")
        for extra in _streams_of_the_door(scene):
            pipe.xrange(extra)
        pipe.xrange(f"{scene.house.settings.key_prefix}receipts", count=1)
        pipe.flushall()
        *found, oldest, _ = pipe.execute()
    scene.house.road_lost(5.0 + _waited(oldest))
    scene.feeder.hand_in_again(_marks(found))
    return unbroken


def _waited(oldest: list[tuple[bytes, Any]]) -> float:
    """For how many seconds the oldest receipt has waited: while the ledger is away they gather."""
    return max((time.time() - int(id_.split(b"-")[0]) / 1000 for id_, _ in oldest), default=0.0)


@fault("redis", touches=("redis",), lasts=(1.0, 1.0))
def redis_loses_the_last_second(scene: Scene) -> Mend:
    """A power cut with `appendfsync everysec`. What was accepted in that second comes again from the shop's books."""
    house, since = scene.house, time.monotonic()
    (log,) = (house.redis_dir / "appendonlydir").glob("*.incr.aof")
    size = log.stat().st_size

    def mend() -> None:
        given_away = _given_away(scene)
        house.redis.kill()
        os.truncate(log, size)
        house.road_lost(time.monotonic() - since + 5.0)
        house.start_redis()
        scene.feeder.hand_in_again(scene.feeder.since(since - 0.2) | given_away)

    return mend


@fault("redis", touches=("redis",), lasts=(1.0, 3.0))
def redis_fails_over(scene: Scene) -> Mend:
    """The primary dies, its replica takes over; what had not been replicated comes again from the shop's books."""
    house = scene.house
    spare_dir = house.home / f"redis-{scene.rng.randrange(10**6)}"
    spare = start_server(spare_dir)
    client = open_road(spare.url)
    client.replicaof("127.0.0.1", house.redis.port)

    def mend() -> None:
        until(lambda: _replicates(client), 10.0, house.look)
        since, given_away = time.monotonic(), _given_away(scene)
        house.fail_over(spare, spare_dir)
        house.road_lost(1.0)
        client.replicaof("NO", "ONE")
        client.close()
        scene.feeder.hand_in_again(scene.feeder.since(since - 0.5) | given_away)

    return mend


@fault("redis", touches=("redis",), lasts=(1.0, 4.0))
def redis_full(scene: Scene) -> Mend:
    """`maxmemory` is reached: every write is refused."""
    _configure(scene, "maxmemory", "1")
    return lambda: _configure(scene, "maxmemory", "0")


@fault("redis", touches=("redis",), weight=2)
def redis_clients_killed(scene: Scene) -> Mend:
    """Every connection is closed by the server."""
    with contextlib.suppress(RedisError), contextlib.closing(scene.house.road()) as road:
        road.client_kill_filter(_type="normal", skipme=True)
    return unbroken


@fault("redis", touches=("redis",), lasts=(2.0, 5.0))
def redis_slow(scene: Scene) -> Mend:
    """A slow network: some milliseconds each way."""
    scene.house.redis_proxy.latency = scene.rng.uniform(0.002, 0.03)

    def mend() -> None:
        scene.house.redis_proxy.latency = 0.0

    return mend


@fault("redis", touches=("redis",), lasts=(1.0, 3.0))
def redis_partitioned(scene: Scene) -> Mend:
    """Nothing passes, and nobody is told; then every connection is reset."""
    proxy = scene.house.redis_proxy
    proxy.freeze()

    def mend() -> None:
        proxy.cut()
        proxy.thaw()

    return mend


@fault("redis", touches=("redis",))
def redis_connections_cut(scene: Scene) -> Mend:
    """RST on every connection of workers and gateway."""
    scene.house.redis_proxy.cut()
    return unbroken


@fault("redis", touches=("redis",))
def redis_reply_lost(scene: Scene) -> Mend:
    """A command is done, and who asked for it never hears so."""
    for _ in range(3):
        scene.house.redis_proxy.swallow_a_reply()
        time.sleep(0.1)
    return unbroken


@fault("redis", touches=("redis",), lasts=(0.5, 2.0))
def redis_pauses(scene: Scene) -> Mend:
    """The server itself hangs, as in a fork or a slow command."""
    with contextlib.closing(scene.house.road()) as road:
        road.client_pause(scene.rng.randint(500, 2000))
    return unbroken


def _streams_of_the_door(scene: Scene) -> list[str]:
    """Where else events are: on the road, or set aside, as is one that had bad company each time when workers died."""
    return [f"{scene.house.settings.key_prefix}{name}" for name in ("ingest", "quarantine")]


def _given_away(scene: Scene) -> set[str]:
    """What RabbitMQ has let go, long after a door took it, and is in no ledger yet: it is lost with the inbox.

    With Redis as the broker message and inbox are turned back together.
    """
    if scene.house.rabbitmq is None:
        return set()
    with contextlib.closing(scene.house.road()) as road:
        return _marks([road.xrange(f"{scene.house.settings.key_prefix}inbox")])


def _replicates(client: Redis) -> bool:
    found: Any = client.info("replication")
    return bool(found.get("master_link_status") == "up")


def _configure(scene: Scene, name: str, value: str) -> None:
    with contextlib.closing(scene.house.road()) as road:
        road.config_set(name, value)


def _marks(found: Iterable[Any]) -> set[str]:
    """Every mark in what Redis held, however deep: bodies of Celery messages are base64 inside JSON."""
    return {f"X{one}X" for one in MARK.findall(json.dumps(_text(found)))}


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return _decoded(value.decode(errors="replace"))
    if isinstance(value, dict):
        return [_text(one) for pair in value.items() for one in pair]
    if isinstance(value, list | tuple):
        return [_text(one) for one in value]
    return value


def _decoded(text: str) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        message = json.loads(text)
        message = message[0] if isinstance(message, list) else message
        return text + base64.b64decode(message["body"]).decode(errors="replace")
    return text
