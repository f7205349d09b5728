"""Lists of the catalogue are found by owner: publishers' placements, advertisers' campaigns, campaigns' ads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("entities", sa.Column("owner_id", sa.Text(), nullable=True))
    op.execute("UPDATE entities SET owner_id = terms::json ->> 'publisher_id' WHERE kind = 'placement'")
    op.execute("UPDATE entities SET owner_id = terms::json ->> 'advertiser_id' WHERE kind = 'campaign'")
    op.execute("UPDATE entities SET owner_id = terms::json ->> 'campaign_id' WHERE kind = 'ad'")
    op.create_index(op.f("ix_entities_kind_entities_owner_id_entities_id"), "entities", ["kind", "owner_id", "id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_entities_kind_entities_owner_id_entities_id"), "entities")
    op.drop_column("entities", "owner_id")
