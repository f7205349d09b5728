"""How each bidder's calls end, hour by hour."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bidder_health",
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("bidder_id", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("code", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("within_5_ms", sa.BigInteger(), nullable=False),
        sa.Column("within_10_ms", sa.BigInteger(), nullable=False),
        sa.Column("within_20_ms", sa.BigInteger(), nullable=False),
        sa.Column("within_50_ms", sa.BigInteger(), nullable=False),
        sa.Column("within_100_ms", sa.BigInteger(), nullable=False),
        sa.Column("within_150_ms", sa.BigInteger(), nullable=False),
        sa.Column("within_200_ms", sa.BigInteger(), nullable=False),
        sa.Column("within_300_ms", sa.BigInteger(), nullable=False),
        sa.Column("within_500_ms", sa.BigInteger(), nullable=False),
        sa.Column("within_1000_ms", sa.BigInteger(), nullable=False),
        sa.Column("longer", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "bidder_id", "outcome", "code", name=op.f("bidder_health_pkey")),
    )


def downgrade() -> None:
    op.drop_table("bidder_health")
