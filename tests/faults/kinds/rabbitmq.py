"""Celery's broker breaks, where it is RabbitMQ: it dies, hangs, drops its clients. Redis stays the road."""

from __future__ import annotations

from tests.faults.house import House
from tests.faults.incidents import Mend, Scene, fault, unbroken
from tests.faults.proxy import Proxy
from tests.fixtures.rabbitmq import RunningRabbit


@fault("rabbitmq", touches=("rabbitmq",), broker="rabbitmq", lasts=(0.2, 3.0), weight=3)
def rabbitmq_killed(scene: Scene) -> Mend:
    """SIGKILL, and a start on its files: what it confirmed to a shop is there again."""
    _server(scene.house).kill()
    return _server(scene.house).start


@fault("rabbitmq", touches=("rabbitmq",), broker="rabbitmq", lasts=(1.0, 4.0))
def rabbitmq_partitioned(scene: Scene) -> Mend:
    """Nothing passes between it and our processes; then every connection is reset."""
    proxy = _proxy(scene.house)
    proxy.freeze()

    def mend() -> None:
        proxy.cut()
        proxy.thaw()

    return mend


@fault("rabbitmq", touches=("rabbitmq",), broker="rabbitmq", lasts=(1.0, 6.0))
def rabbitmq_hangs(scene: Scene) -> Mend:
    """It answers nobody, and then everybody: who waits for its confirmation waits as long."""
    proxy = _proxy(scene.house)
    proxy.freeze()
    return proxy.thaw


@fault("rabbitmq", touches=("rabbitmq",), broker="rabbitmq", weight=2)
def rabbitmq_connections_cut(scene: Scene) -> Mend:
    """RST on every connection of our processes: what they held and did not acknowledge comes again."""
    _proxy(scene.house).cut()
    return unbroken


def _server(house: House) -> RunningRabbit:
    assert house.rabbitmq
    return house.rabbitmq


def _proxy(house: House) -> Proxy:
    assert house.rabbitmq_proxy
    return house.rabbitmq_proxy
