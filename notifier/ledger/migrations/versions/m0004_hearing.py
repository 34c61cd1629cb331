"""Whether receipts flow: what was accepted and never heard of, by lane, and when receipts were lost.

Revision ID: 0004_hearing
Revises: 0003_order_book
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004_hearing"
down_revision = "0003_order_book"
branch_labels = None
depends_on = None

NEVER_HEARD = sa.text(
    "accepted_at IS NOT NULL AND coalesce(sent_at, delivered_at, read_at, failed_at) IS NULL"
    " AND coalesce(reason, '') <> 'held'"
)


def upgrade() -> None:
    op.create_table(
        "hearing_gap",
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("at", name=op.f("pk_hearing_gap")),
    )
    op.create_index(
        "ix_delivery_unheard",
        "delivery",
        ["lane", "accepted_at"],
        postgresql_where=NEVER_HEARD,
        sqlite_where=NEVER_HEARD,
    )


def downgrade() -> None:
    op.drop_index("ix_delivery_unheard", table_name="delivery")
    op.drop_table("hearing_gap")
