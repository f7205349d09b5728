"""The first read models."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _awards_and_engagements()
    _auctions()
    _engine()
    _delivery()
    _catalogue()


def _awards_and_engagements() -> None:
    op.create_table(
        "auction_awards",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("auction_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("imp_id", sa.Text(), nullable=False),
        sa.Column("sold", sa.Boolean(), nullable=False),
        sa.Column("bidder_id", sa.Text(), nullable=True),
        sa.Column("bid_id", sa.Text(), nullable=True),
        sa.Column("seat", sa.Text(), nullable=True),
        sa.Column("price_micros", sa.BigInteger(), nullable=True),
        sa.Column("clearing_price_micros", sa.BigInteger(), nullable=True),
        sa.Column("revenue_micros", sa.BigInteger(), nullable=True),
        sa.Column("fee_micros", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("auction_type", sa.SmallInteger(), nullable=True),
        sa.Column("deal_id", sa.Text(), nullable=True),
        sa.Column("ranking", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("ranked_by", sa.Text(), nullable=True),
        sa.Column("held_ms", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("day", "auction_id", "event_id", name=op.f("auction_awards_pkey")),
        postgresql_partition_by="RANGE (day)",
    )
    op.create_table(
        "auction_engagements",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("auction_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("imp_id", sa.Text(), nullable=False),
        sa.Column("bidder_id", sa.Text(), nullable=False),
        sa.Column("bid_id", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("day", "auction_id", "event_id", name=op.f("auction_engagements_pkey")),
        postgresql_partition_by="RANGE (day)",
    )


def _auctions() -> None:
    op.create_table(
        "auction_outcomes",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("auction_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("imp_id", sa.Text(), nullable=False),
        sa.Column("bidder_id", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("bid_id", sa.Text(), nullable=True),
        sa.Column("seat", sa.Text(), nullable=False),
        sa.Column("price_micros", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("latency_ms", sa.Double(), nullable=True),
        sa.Column("deal_id", sa.Text(), nullable=True),
        sa.Column("crid", sa.Text(), nullable=True),
        sa.Column("other_bids", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("day", "auction_id", "event_id", name=op.f("auction_outcomes_pkey")),
        postgresql_partition_by="RANGE (day)",
    )
    op.create_table(
        "auctions",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("auction_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("auction_type", sa.SmallInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("tmax_ms", sa.Integer(), nullable=False),
        sa.Column("test", sa.Boolean(), nullable=False),
        sa.Column("publisher_id", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("device_type", sa.SmallInteger(), nullable=False),
        sa.Column("imps", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("day", "auction_id", name=op.f("auctions_pkey")),
        postgresql_partition_by="RANGE (day)",
    )


def _engine() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("projection", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=True),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("parked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("dead_letters_pkey")),
        sa.UniqueConstraint(
            "projection",
            "topic",
            "partition",
            "offset",
            name=op.f("dead_letters_projection_topic_partition_offset_key"),
        ),
    )
    op.create_table(
        "projection_offsets",
        sa.Column("projection", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("rebuild_until", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("projection", "topic", "partition", name=op.f("projection_offsets_pkey")),
    )
    op.create_table(
        "projection_states",
        sa.Column("projection", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("stopped_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("projection", name=op.f("projection_states_pkey")),
    )


def _delivery() -> None:
    op.create_table(
        "delivery",
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("publisher_id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("placement_id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("site", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("country", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("device_type", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("bidder_id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("ad_id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("currency", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("imps", sa.BigInteger(), nullable=False),
        sa.Column("bids", sa.BigInteger(), nullable=False),
        sa.Column("wins", sa.BigInteger(), nullable=False),
        sa.Column("impressions_gross", sa.BigInteger(), nullable=False),
        sa.Column("impressions", sa.BigInteger(), nullable=False),
        sa.Column("clicks_gross", sa.BigInteger(), nullable=False),
        sa.Column("clicks", sa.BigInteger(), nullable=False),
        sa.Column("spend_nanos", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("revenue_nanos", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("fee_nanos", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.PrimaryKeyConstraint(
            "hour",
            "publisher_id",
            "placement_id",
            "site",
            "country",
            "device_type",
            "bidder_id",
            "campaign_id",
            "ad_id",
            "currency",
            name=op.f("delivery_pkey"),
        ),
    )
    op.create_table(
        "delivery_engagements",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("auction_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("imp_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("day", "auction_id", "event_id", name=op.f("delivery_engagements_pkey")),
        postgresql_partition_by="RANGE (day)",
    )
    op.create_index(
        "delivery_engagements_counted_key",
        "delivery_engagements",
        ["day", "auction_id", "imp_id", "kind"],
        unique=True,
        postgresql_where=sa.text("counted"),
    )


def _catalogue() -> None:
    op.create_table(
        "entities",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("entities_pkey")),
    )
    op.create_index(op.f("ix_entities_kind_entities_id"), "entities", ["kind", "id"], unique=False)


def downgrade() -> None:
    op.drop_table("projection_states")
    op.drop_table("projection_offsets")
    op.drop_index(op.f("ix_entities_kind_entities_id"), table_name="entities")
    op.drop_table("entities")
    op.drop_index(
        "delivery_engagements_counted_key", table_name="delivery_engagements", postgresql_where=sa.text("counted")
    )
    op.drop_table("delivery_engagements")
    op.drop_table("delivery")
    op.drop_table("dead_letters")
    op.drop_table("auctions")
    op.drop_table("auction_outcomes")
    op.drop_table("auction_engagements")
    op.drop_table("auction_awards")
