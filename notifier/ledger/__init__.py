"""The ledger: the truth about every order event, notification and delivery. All SQL of notifier lives in this room."""

from sqlalchemy.engine import Connection

from notifier.ledger.engine import Ledger, LedgerRefused, LedgerUnavailable, open_ledger
from notifier.ledger.migrations import pending, upgrade

__all__ = ["Connection", "Ledger", "LedgerRefused", "LedgerUnavailable", "open_ledger", "pending", "upgrade"]
