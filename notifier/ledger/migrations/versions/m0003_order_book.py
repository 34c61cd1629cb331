"""What shops told about their orders, and the events that wait for their order.

Revision ID: 0003_order_book
Revises: 0002_api_key
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_order_book"
down_revision = "0002_api_key"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "order_book",
        sa.Column("shop", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("partial", sa.Boolean(), nullable=False),
        sa.Column("order_number", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("total", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("payment_method", sa.Text(), nullable=True),
        sa.Column("refund_ids", sa.Text(), nullable=False),
        sa.Column("shipment_ids", sa.Text(), nullable=False),
        sa.Column("links", sa.Text(), nullable=False),
        sa.Column("consent", sa.Text(), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shop", "order_id", name=op.f("pk_order_book")),
    )
    op.create_index("ix_order_book_seen", "order_book", ["seen_at"])
    op.create_table(
        "waiting_event",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("shop", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_waiting_event")),
    )
    op.create_index("ix_waiting_event_order", "waiting_event", ["shop", "order_id"])
    op.create_index("ix_waiting_event_until", "waiting_event", ["until"])


def downgrade() -> None:
    op.drop_table("waiting_event")
    op.drop_table("order_book")
