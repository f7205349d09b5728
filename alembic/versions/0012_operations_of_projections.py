"""What operators decide about projections, who works on them, and what a generation waits for."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def of_generations() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("accepts_differences", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("waits_because", sa.Text(), nullable=True),
        sa.Column("verify_asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verification", JSONB(), nullable=True),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
    )


def upgrade() -> None:
    for column in of_generations():
        op.add_column("projection_generations", column)
    op.create_table(
        "projection_decisions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("projection", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=True),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("options", JSONB(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="projection_decisions_pkey"),
    )
    op.create_index("ix_projection_decisions_projection", "projection_decisions", ["projection", "id"])
    op.create_table(
        "projection_workers",
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("projection", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("partitions", ARRAY(sa.Text()), nullable=False),
        sa.Column("events_per_second", sa.Float(), nullable=False),
        sa.Column("restarts", sa.Integer(), nullable=False),
        sa.Column("restarted_because", sa.Text(), nullable=True),
        sa.Column("reported_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("worker", "projection", "generation", name="projection_workers_pkey"),
    )


def downgrade() -> None:
    op.drop_table("projection_workers")
    op.drop_table("projection_decisions")
    for column in of_generations():
        op.drop_column("projection_generations", column.name)
