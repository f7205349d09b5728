"""The outbox of notices to bidders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notice_sources",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("auction_id", sa.Uuid(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("day", "auction_id", name=op.f("notice_sources_pkey")),
        postgresql_partition_by="RANGE (day)",
    )
    op.create_table(
        "notices",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("auction_id", sa.Uuid(), nullable=False),
        sa.Column("outcome_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("imp_id", sa.Text(), nullable=False),
        sa.Column("bidder_id", sa.Text(), nullable=False),
        sa.Column("bid_id", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("viewer_ip", sa.Text(), nullable=True),
        sa.Column("viewer_agent", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("day", "auction_id", "outcome_id", "place", "kind", name=op.f("notices_pkey")),
        postgresql_partition_by="RANGE (day)",
    )
    op.create_index(
        "notices_due", "notices", ["host", "due_at"], unique=False, postgresql_where=sa.text("due_at IS NOT NULL")
    )


def downgrade() -> None:
    op.drop_index("notices_due", table_name="notices", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_table("notices")
    op.drop_table("notice_sources")
