"""The tables of the ledger. What the step table forbids, the schema refuses too.

Instants are BIGINT microseconds since the epoch, UTC (`instants.py`): one form that compares, indexes and binds alike
in SQLite and PostgreSQL. The migrations in `migrations/` are the way there; a test holds both to the same result.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)

from notifier.ledger.states import ALIVE, DeliveryState, NotificationState

NAMES = {
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
}
metadata = MetaData(naming_convention=NAMES)

# Dead rows of the claim's index are skipped at a cost; PostgreSQL's default would let 20 % of ten million gather.
BUSY_TABLE = {"autovacuum_vacuum_scale_factor": "0.01", "autovacuum_analyze_scale_factor": "0.02"}

# No statement may match the conditions of two partial indexes. When a queue was empty as statistics were taken,
# PostgreSQL believes that a whole partial index is one page, and reads all of it for each row of a batch, instead of a
# probe of the right one (measured: 40 s for a claim of 200 among 10,000). So each index has a condition of its own, two
# of them spelt so that only the statement that means the index matches it; and guards beside an id are spelt
# lower(state), which matches none.
QUEUED_BY_ORDER = "state || '' = 'queued'"
QUEUED_BY_EXPIRY = "'' || state = 'queued'"

NEVER_HEARD = (
    "accepted_at IS NOT NULL AND coalesce(sent_at, delivered_at, read_at, failed_at) IS NULL"
    " AND coalesce(reason, '') <> 'held'"
)
"""Of what a provider took, that of which no receipt ever came. What it keeps back it has not sent yet."""


def in_list(states: Iterable[str]) -> str:
    """The states as a SQL list: literals, because a partial index is only used when the planner can read them."""
    return ", ".join(f"'{state}'" for state in sorted(states))


def _id() -> Column[str]:
    return Column("id", Text, primary_key=True)


def _word(name: str, *, null: bool = False) -> Column[str]:
    return Column(name, Text, nullable=null)


def _number(name: str, *, null: bool = False, default: int | None = None) -> Column[int]:
    return Column(name, Integer, nullable=null, server_default=None if default is None else text(str(default)))


def _at(name: str, *, null: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=null)


def _where(condition: str) -> dict[str, Any]:
    return {"postgresql_where": text(condition), "sqlite_where": text(condition)}


order_event = Table(
    "order_event",
    metadata,
    _id(),
    _word("shop"),
    _word("order_id"),
    _word("order_number", null=True),
    _word("event"),
    _word("shipment_id", null=True),
    _word("revision", null=True),
    Column("key", Text, nullable=False, unique=True),
    _at("occurred_at"),
    _at("received_at"),
    _word("door"),
    _word("body"),
    _number("copies", default=1),
    _at("last_copy_at", null=True),
    Index("ix_order_event_order", "shop", "order_id"),
    Index("ix_order_event_number", "shop", "order_number"),
    # What retention has not forgotten yet: without the condition each run would wade through all that it has.
    Index("ix_order_event_kept", "received_at", **_where("body <> '{}'")),
)

notification = Table(
    "notification",
    metadata,
    _id(),
    Column("event_id", Text, ForeignKey("order_event.id"), nullable=False, unique=True),
    _word("shop"),
    _word("order_id"),
    _word("event"),
    _number("rank", null=True),
    Column("always", Boolean, nullable=False),
    _word("shipment_id", null=True),
    _word("phone", null=True),
    _word("country", null=True),
    _word("timezone", null=True),
    _word("locale", null=True),
    _word("template", null=True),
    _word("channels"),
    _number("priority"),
    _word("state"),
    _word("reason", null=True),
    _word("detail", null=True),
    _word("decisions", null=True),  # the walk of the plan, as JSON: step, result, detail
    _at("expires_at", null=True),
    _at("due_at", null=True),
    _at("created_at"),
    _at("finished_at", null=True),
    _word("told_by", null=True),
    _at("told_at", null=True),
    _number("doubles", default=0),
    CheckConstraint(f"state IN ({in_list(NotificationState)})", name="state"),
    CheckConstraint("(state IN ('suppressed', 'unreached')) = (reason IS NOT NULL)", name="reason"),
    CheckConstraint("(state = 'told') = (told_at IS NOT NULL)", name="told"),
    Index("ix_notification_order", "shop", "order_id"),
    postgresql_with=BUSY_TABLE,
)

delivery = Table(
    "delivery",
    metadata,
    _id(),
    Column("notification_id", Text, ForeignKey("notification.id"), nullable=False),
    _word("shop"),
    _word("order_id"),  # copied from the notification: one message of an order at a time is an index, not a join
    _word("lane"),
    _word("channel"),
    _number("position"),
    _number("priority"),
    _word("state"),
    _word("reason", null=True),
    _word("outcome", null=True),
    _word("code", null=True),
    _word("detail", null=True),
    _at("due_at"),
    _at("first_due_at"),
    _at("expires_at"),
    _number("attempts", default=0),
    _number("throttles", default=0),
    _word("owner", null=True),  # the last drain that claimed it; kept afterwards, for whoever asks who sent it
    _at("lease_until", null=True),
    _at("claimed_at", null=True),
    _word("provider_id", null=True),
    _at("accepted_at", null=True),
    _at("sent_at", null=True),
    _at("delivered_at", null=True),
    _at("read_at", null=True),
    _at("failed_at", null=True),
    _at("finished_at", null=True),
    _at("fallback_at", null=True),
    _at("created_at"),
    _at("updated_at"),
    CheckConstraint(f"state IN ({in_list(DeliveryState)})", name="state"),
    CheckConstraint("(state = 'claimed') = (lease_until IS NOT NULL)", name="lease"),
    CheckConstraint(f"(state IN ({in_list(ALIVE)})) = (finished_at IS NULL)", name="finished"),
    # expires_at is in the index so that a backlog of expired rows is skipped without a look at the table.
    Index("ix_delivery_queued", "lane", "priority", "shop", "due_at", "expires_at", **_where("state = 'queued'")),
    Index("ix_delivery_order_queued", "shop", "order_id", **_where(QUEUED_BY_ORDER)),
    Index("ix_delivery_expiry", "expires_at", **_where(QUEUED_BY_EXPIRY)),
    Index("uq_delivery_alive", "notification_id", unique=True, **_where("finished_at IS NULL")),
    Index("uq_delivery_order_claimed", "shop", "order_id", unique=True, **_where("state = 'claimed'")),
    Index("ix_delivery_lease", "lease_until", **_where("lease_until IS NOT NULL")),
    Index("ix_delivery_fallback", "fallback_at", **_where("state IN ('accepted', 'sent', 'unknown')")),
    Index("ix_delivery_unheard", "lane", "accepted_at", **_where(NEVER_HEARD)),
    Index("ix_delivery_notification", "notification_id"),
    Index("ix_delivery_provider", "provider_id", **_where("provider_id IS NOT NULL")),
    postgresql_with=BUSY_TABLE,
)

consent = Table(
    "consent",
    metadata,
    _id(),
    _word("shop"),
    _word("phone"),
    _word("channel", null=True),
    _word("purpose", null=True),
    Column("granted", Boolean, nullable=False),
    _word("source"),
    _at("at"),
    _at("recorded_at"),
    _word("event_id", null=True),
    Index("ix_consent_person", "shop", "phone", "at"),
)

breaker = Table(
    "breaker",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    _word("state"),
    _word("reason", null=True),
    _word("code", null=True),
    _at("opened_at", null=True),
    _at("retry_at", null=True),
    _word("by_whom"),
    CheckConstraint("kind IN ('lane', 'template')", name="kind"),
    CheckConstraint("state IN ('closed', 'half_open', 'open')", name="state"),
)

# When receipts were lost with a server that was emptied: what was on its way then may have arrived.
hearing_gap = Table(
    "hearing_gap",
    metadata,
    Column("at", BigInteger, primary_key=True, autoincrement=False),
)

parked_receipt = Table(
    "parked_receipt",
    metadata,
    _id(),
    _word("provider"),
    _word("provider_id", null=True),
    _word("ref", null=True),
    _word("status"),
    _at("at"),
    _word("code", null=True),
    _word("outcome", null=True),
    _word("detail", null=True),
    _at("received_at"),
    Index("ix_parked_receipt_provider", "provider_id"),
    Index("ix_parked_receipt_ref", "ref"),
    Index("ix_parked_receipt_received", "received_at"),
)

history = Table(
    "history",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    _at("at"),
    _word("notification_id"),
    _word("delivery_id", null=True),
    _word("step"),
    _word("from_state", null=True),
    _word("to_state", null=True),
    _word("reason", null=True),
    _word("code", null=True),
    _word("detail", null=True),
    _word("by_whom"),
    Index("ix_history_notification", "notification_id", "at"),
)

# digest: SHA-256 of the key, in hex; the key itself is nowhere. hint: its beginning, by which people tell keys apart.
api_key = Table(
    "api_key",
    metadata,
    _id(),
    _word("shop"),
    _word("name"),
    Column("digest", Text, nullable=False, unique=True),
    _word("hint"),
    _word("scopes"),
    _number("rate"),
    _at("created_at"),
    _word("created_by"),
    _at("ends_at", null=True),
    _word("ended_by", null=True),
    CheckConstraint("(ends_at IS NULL) = (ended_by IS NULL)", name="ended"),
    CheckConstraint("rate > 0", name="rate"),
)

# What shops told about their orders, from whatever body: it completes events that carry neither phone nor number, and
# is what a state is compared with where a shop tells states, not changes.
order_book = Table(
    "order_book",
    metadata,
    Column("shop", Text, primary_key=True),
    Column("order_id", Text, primary_key=True),
    Column("partial", Boolean, nullable=False),  # nothing of it is from the order's own body
    _word("order_number", null=True),
    _word("phone", null=True),  # as the shop wrote it
    _word("country", null=True),
    _word("locale", null=True),
    _word("name", null=True),
    _word("currency", null=True),
    _word("total", null=True),  # a decimal, as text
    _word("status", null=True),
    _word("payment_method", null=True),
    _word("refund_ids"),  # JSON, as the three below
    _word("shipment_ids"),
    _word("links"),
    _word("consent", null=True),
    _at("changed_at", null=True),  # the platform's time
    _at("seen_at"),
    Index("ix_order_book_seen", "seen_at"),
)

# Events whose order is not in the book yet, until then at the latest.
waiting_event = Table(
    "waiting_event",
    metadata,
    Column("key", Text, primary_key=True),
    _word("id"),
    _word("shop"),
    _word("order_id"),
    _word("door"),
    _word("body"),
    _at("until"),
    _at("received_at"),
    Index("ix_waiting_event_order", "shop", "order_id"),
    Index("ix_waiting_event_until", "until"),
)
