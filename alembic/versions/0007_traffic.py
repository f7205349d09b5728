"""What became of impressions and clicks, and why some do not count."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "traffic",
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("publisher_id", sa.Text(), nullable=False),
        sa.Column("placement_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("ivt", sa.Text(), nullable=False),
        sa.Column("hits", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "hour", "publisher_id", "placement_id", "kind", "verdict", "ivt", name=op.f("traffic_pkey")
        ),
    )
    op.create_table(
        "traffic_engagements",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("auction_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("imp_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("voided", sa.Boolean(), server_default="false", nullable=False),
        sa.PrimaryKeyConstraint("day", "auction_id", "event_id", name=op.f("traffic_engagements_pkey")),
        postgresql_partition_by="RANGE (day)",
    )
    op.create_index(
        "traffic_engagements_counted_key",
        "traffic_engagements",
        ["day", "auction_id", "imp_id", "kind"],
        unique=True,
        postgresql_where=sa.text("counted"),
    )


def downgrade() -> None:
    op.drop_index(
        "traffic_engagements_counted_key", table_name="traffic_engagements", postgresql_where=sa.text("counted")
    )
    op.drop_table("traffic_engagements")
    op.drop_table("traffic")
