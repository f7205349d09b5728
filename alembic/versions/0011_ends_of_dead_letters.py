"""Ends of dead letters: who retried or skipped which, when and why, and with what outcome."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("dead_letters", sa.Column("attempts", sa.Integer(), server_default="1", nullable=False))
    op.add_column("dead_letters", sa.Column("outcome", sa.Text(), nullable=True))
    op.add_column("dead_letters", sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("dead_letters", sa.Column("decided_by", sa.Text(), nullable=True))
    op.add_column("dead_letters", sa.Column("reason", sa.Text(), nullable=True))


def downgrade() -> None:
    # Code of before takes every letter for an open one.
    op.execute("DELETE FROM dead_letters WHERE outcome IS NOT NULL")
    for column in ("reason", "decided_by", "decided_at", "outcome", "attempts"):
        op.drop_column("dead_letters", column)
