"""The books: what each engagement cost, the sums by day and account, and the days that are closed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BALANCES = "spend_nanos = revenue_nanos + fee_nanos"


def upgrade() -> None:
    op.create_table(
        "ledger_charges",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("auction_id", sa.Uuid(), nullable=False),
        sa.Column("imp_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("booked_on", sa.Date(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("buyer", sa.Text(), nullable=True),
        sa.Column("publisher", sa.Text(), nullable=True),
        sa.Column("campaign_id", sa.Text(), nullable=True),
        sa.Column("spend_nanos", sa.BigInteger(), nullable=True),
        sa.Column("revenue_nanos", sa.BigInteger(), nullable=True),
        sa.Column("fee_nanos", sa.BigInteger(), nullable=True),
        sa.Column("refunded_on", sa.Date(), nullable=True),
        sa.CheckConstraint(BALANCES, name="ledger_charges_balances"),
        sa.PrimaryKeyConstraint("day", "auction_id", "imp_id", "kind", name=op.f("ledger_charges_pkey")),
        postgresql_partition_by="RANGE (day)",
    )
    op.create_table(
        "ledger",
        sa.Column("booked_on", sa.Date(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("buyer", sa.Text(), nullable=False),
        sa.Column("publisher", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("spend_nanos", sa.Numeric(38, 0), nullable=False),
        sa.Column("revenue_nanos", sa.Numeric(38, 0), nullable=False),
        sa.Column("fee_nanos", sa.Numeric(38, 0), nullable=False),
        sa.CheckConstraint(BALANCES, name="ledger_balances"),
        sa.PrimaryKeyConstraint(
            "booked_on", "currency", "buyer", "publisher", "campaign_id", "kind", name=op.f("ledger_pkey")
        ),
    )
    op.create_index("ledger_buyer", "ledger", ["buyer", "booked_on"], unique=False)
    op.create_index("ledger_publisher", "ledger", ["publisher", "booked_on"], unique=False)
    op.create_table(
        "ledger_closings",
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("closed_day", sa.Date(), nullable=False),
        sa.Column("partitions", sa.Integer(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("partition", "closed_day", name=op.f("ledger_closings_pkey")),
    )


def downgrade() -> None:
    op.drop_table("ledger_closings")
    op.drop_table("ledger")
    op.drop_table("ledger_charges")
