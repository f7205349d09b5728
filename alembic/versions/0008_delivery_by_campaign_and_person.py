"""Delivery by quarter of an hour, campaign, deal and size, with reach.

The tables of `delivery` are dropped, and its offsets with them: projectors fill it again from the log, from offset
zero, and its report is incomplete until they have caught up.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COUNTED = sa.text("counted")


def upgrade() -> None:
    _forget()
    op.create_table(
        "delivery_lines",
        sa.Column("line", sa.Uuid(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("publisher_id", "placement_id", "site", "country")),
        sa.Column("device_type", sa.SmallInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("bidder_id", "deal_id", "advertiser_id")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("campaign_id", "ad_id", "size", "currency")),
        sa.PrimaryKeyConstraint("line", name=op.f("delivery_lines_pkey")),
    )
    op.create_table(
        "delivery",
        *_key(),
        *_counts_and_money(),
        sa.PrimaryKeyConstraint("quarter", "auction_quarter", "line", name=op.f("delivery_pkey")),
    )
    op.create_index("delivery_auction_quarter", "delivery", ["auction_quarter"], postgresql_using="brin")
    op.create_table(
        "delivery_reach",
        *_key(),
        sa.Column("register", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("quarter", "auction_quarter", "line", "register", name=op.f("delivery_reach_pkey")),
    )
    _create_engagements(sa.Column("voided", sa.Boolean(), server_default="false", nullable=False))


def downgrade() -> None:
    op.drop_table("delivery_reach")
    op.drop_table("delivery_lines")
    _forget()
    words = ("publisher_id", "placement_id", "site", "country", "device_type")
    buyer = ("bidder_id", "campaign_id", "ad_id", "currency")
    op.create_table(
        "delivery",
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        *(
            sa.Column(name, sa.SmallInteger() if name == "device_type" else sa.Text(), nullable=False)
            for name in (*words, *buyer)
        ),
        *_counts_and_money(),
        sa.PrimaryKeyConstraint("hour", *words, *buyer, name=op.f("delivery_pkey")),
    )
    _create_engagements()


def _forget() -> None:
    """Drops what both shapes have, and how far the projection had come."""
    op.drop_table("delivery_engagements")
    op.drop_table("delivery")
    for table in ("projection_offsets", "dead_letters"):
        op.execute(f"DELETE FROM {table} WHERE projection = 'delivery'")  # noqa: S608 - names of our own


def _key() -> list[sa.Column[Any]]:
    return [
        sa.Column("quarter", sa.DateTime(timezone=True), nullable=False),
        sa.Column("auction_quarter", sa.DateTime(timezone=True), nullable=False),
        sa.Column("line", sa.Uuid(), nullable=False),
    ]


def _counts_and_money() -> list[sa.Column[int]]:
    counts = ("requests", "imps", "bids", "wins", "impressions_gross", "impressions", "clicks_gross", "clicks")
    money = ("spend_nanos", "revenue_nanos", "fee_nanos")
    return [
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in counts),
        *(sa.Column(name, sa.Numeric(precision=38, scale=0), nullable=False) for name in money),
    ]


def _create_engagements(*more: sa.Column[bool]) -> None:
    op.create_table(
        "delivery_engagements",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("auction_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("imp_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("counted", sa.Boolean(), nullable=False),
        *more,
        sa.PrimaryKeyConstraint("day", "auction_id", "event_id", name=op.f("delivery_engagements_pkey")),
        postgresql_partition_by="RANGE (day)",
    )
    op.create_index(
        "delivery_engagements_counted_key",
        "delivery_engagements",
        ["day", "auction_id", "imp_id", "kind"],
        unique=True,
        postgresql_where=COUNTED,
    )
