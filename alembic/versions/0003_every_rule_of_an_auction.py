"""What a story tells since auctions know deals, currencies, groups, notices and late answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("auctions", sa.Column("robot", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("auctions", sa.Column("restricted_by", sa.ARRAY(sa.Text()), nullable=True))
    op.add_column("auction_outcomes", sa.Column("media_type", sa.Text(), nullable=True))
    op.add_column("auction_outcomes", sa.Column("floor_micros", sa.BigInteger(), nullable=True))
    op.add_column("auction_outcomes", sa.Column("deal_at", sa.SmallInteger(), nullable=True))
    op.add_column("auction_outcomes", sa.Column("bid_group", sa.Integer(), nullable=True))
    op.add_column("auction_outcomes", sa.Column("stated", sa.Text(), nullable=True))
    op.add_column("auction_awards", sa.Column("min_to_win_micros", sa.BigInteger(), nullable=True))
    op.add_column("auction_awards", sa.Column("withdrawn", sa.ARRAY(sa.Text()), nullable=True))
    _late_answers()
    _notices()


def _late_answers() -> None:
    op.create_table(
        "auction_late_answers",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("auction_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("bidder_id", sa.Text(), nullable=False),
        sa.Column("latency_ms", sa.Double(), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=False),
        sa.Column("bids", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("day", "auction_id", "event_id", name=op.f("auction_late_answers_pkey")),
        postgresql_partition_by="RANGE (day)",
    )


def _notices() -> None:
    op.create_table(
        "auction_notices",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("auction_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("imp_id", sa.Text(), nullable=False),
        sa.Column("bidder_id", sa.Text(), nullable=False),
        sa.Column("bid_id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("day", "auction_id", "event_id", name=op.f("auction_notices_pkey")),
        postgresql_partition_by="RANGE (day)",
    )


def downgrade() -> None:
    op.drop_table("auction_notices")
    op.drop_table("auction_late_answers")
    op.drop_column("auction_awards", "withdrawn")
    op.drop_column("auction_awards", "min_to_win_micros")
    for name in ("stated", "bid_group", "deal_at", "floor_micros", "media_type"):
        op.drop_column("auction_outcomes", name)
    op.drop_column("auctions", "restricted_by")
    op.drop_column("auctions", "robot")
