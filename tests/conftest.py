"""Fixtures of the whole suite, one file a room in tests/fixtures/."""

pytest_plugins = [
    "tests.fixtures.redis_server",
    "tests.fixtures.postgres",
    "tests.fixtures.rabbitmq",
    "tests.fixtures.ledger",
    "tests.fixtures.sandbox",
    "tests.fixtures.runtime",
]
