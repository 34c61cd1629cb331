"""What the harness needs of a RabbitMQ: it knows all that a queue holds, and comes back with it after a kill."""

from __future__ import annotations

from kombu import Connection, Queue

from tests.faults.feeding import publish
from tests.fixtures.rabbitmq import RunningRabbit
from tests.integration.workers.brokers import purge
from workers.queues import INGEST_QUEUE


def test_what_waits_and_what_a_consumer_holds_is_in_the_queue_until_it_is_acknowledged(rabbitmq: RunningRabbit) -> None:
    purge(rabbitmq.url)
    publish(rabbitmq.url, [{"order_id": "1"}, {"order_id": "2"}])
    with Connection(rabbitmq.url) as connection:
        held = Queue(INGEST_QUEUE)(connection.default_channel).get()
        assert held is not None
        assert rabbitmq.messages(INGEST_QUEUE) == 2
        held.ack()
        assert rabbitmq.messages(INGEST_QUEUE) == 1


def test_what_a_shop_was_confirmed_outlives_a_kill_of_the_server(rabbitmq: RunningRabbit) -> None:
    purge(rabbitmq.url)
    publish(rabbitmq.url, [{"order_id": str(number)} for number in range(20)])
    rabbitmq.kill()
    rabbitmq.start()
    assert rabbitmq.messages(INGEST_QUEUE) == 20
