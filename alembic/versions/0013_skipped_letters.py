"""What was skipped is asked for once a second by every generation, however many letters there are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_dead_letters_skipped", "dead_letters", ["projection"], postgresql_where=sa.text("outcome = 'skipped'")
    )


def downgrade() -> None:
    op.drop_index("ix_dead_letters_skipped", "dead_letters")
