"""The faults, a file a family. Importing this package registers all of them."""

from tests.faults.kinds import clock, doors, ledger, poison, processes, provider, rabbitmq, receipts, redis

__all__ = ["clock", "doors", "ledger", "poison", "processes", "provider", "rabbitmq", "receipts", "redis"]
