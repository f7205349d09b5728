"""Notices are claimed by bidder, then by host."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

DUE = sa.text("due_at IS NOT NULL")


def upgrade() -> None:
    op.drop_index("notices_due", table_name="notices", postgresql_where=DUE)
    op.create_index("notices_due", "notices", ["bidder_id", "host", "due_at"], unique=False, postgresql_where=DUE)


def downgrade() -> None:
    op.drop_index("notices_due", table_name="notices", postgresql_where=DUE)
    op.create_index("notices_due", "notices", ["host", "due_at"], unique=False, postgresql_where=DUE)
