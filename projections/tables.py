"""The tables of read models, which queries share, and the outbox of notices.

Migrations own what a rebuild does not make anew: the engine's tables, and the outbox of notices, which says what was
sent already. A read model's tables are made as they stand here for every generation of it, in a schema of its own;
a change of them is a new generation and no migration, see `projections/layout.py`.
Texts that come from outside are stored as `text`, JSON too: as the log has it, byte for byte, and with nothing
in it that a JSON type could refuse. Cast it (`request::json`) to look inside.
Tables that grow with traffic are partitioned by the UTC day of the auction; see `projections/day_partitions.py`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    Index,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from projections.engine_tables import NAMING_CONVENTION, given, metadata

read_models = MetaData(naming_convention=NAMING_CONVENTION)
"""What every generation has of its own."""

BY_DAY = "RANGE (day)"


def _instant(name: str) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=False)


def _auction_key() -> list[Column[Any]]:
    """The day follows from the auction's id (UUIDv7), so it adds nothing to a key but the partition."""
    return [Column("day", Date, primary_key=True), Column("auction_id", Uuid, primary_key=True)]


def _event_key() -> list[Column[Any]]:
    return [*_auction_key(), Column("event_id", Uuid, primary_key=True)]


# -- catalogue ------------------------------------------------------------------------------------

entities = Table(
    "entities",
    read_models,
    Column("id", Text, primary_key=True),
    given("kind", Text),
    given("version", Integer),
    given("status", Text),
    given("terms", Text),
    _instant("created_at"),
    _instant("updated_at"),
    # What it is part of: a placement's publisher, a campaign's advertiser, an ad's campaign.
    Column("owner_id", Text),
    Index(None, "kind", "id"),
    Index(None, "kind", "owner_id", "id"),
)

# -- auction_log ----------------------------------------------------------------------------------

auctions = Table(
    "auctions",
    read_models,
    *_auction_key(),
    _instant("at"),
    given("request_id", Text),
    given("auction_type", SmallInteger),
    given("currency", Text),
    given("tmax_ms", Integer),
    given("test", Boolean),
    # Of the first imp: what lists filter by.
    given("publisher_id", Text),
    given("site", Text),
    given("country", Text),
    given("device_type", SmallInteger),
    # JSON list of `ImpOffered`.
    given("imps", Text),
    given("request", Text),
    Column("robot", Boolean, nullable=False, server_default="false"),
    # Absent where nothing restricts the use of personal data.
    Column("restricted_by", ARRAY(Text)),
    # A `SegmentsRead`, absent where nobody asked.
    Column("segments", Text),
    postgresql_partition_by=BY_DAY,
)

auction_outcomes = Table(
    "auction_outcomes",
    read_models,
    *_event_key(),
    given("imp_id", Text),
    given("bidder_id", Text),
    # 'placed', or the refusal's own status.
    given("outcome", Text),
    Column("code", Integer),
    Column("reason", Text),
    Column("bid_id", Text),
    given("seat", Text),
    Column("price_micros", BigInteger),
    Column("currency", Text),
    Column("latency_ms", Double),
    Column("deal_id", Text),
    Column("crid", Text),
    # JSON list of `OtherBid`, absent when there were none.
    Column("other_bids", Text),
    # All that follows is absent for a bidder that has no bid in the ranking.
    Column("media_type", Text),
    Column("floor_micros", BigInteger),
    Column("deal_at", SmallInteger),
    Column("bid_group", Integer),
    # JSON of `StatedPrice`, absent when the bid competes at the price that it stated.
    Column("stated", Text),
    # JSON list of the segments that a campaign's bid came by, absent for all others.
    Column("segments", Text),
    postgresql_partition_by=BY_DAY,
)

auction_awards = Table(
    "auction_awards",
    read_models,
    *_event_key(),
    _instant("at"),
    given("imp_id", Text),
    given("sold", Boolean),
    # All that follows is absent for an unsold imp, except held_ms and the reason that only it has.
    Column("bidder_id", Text),
    Column("bid_id", Text),
    Column("seat", Text),
    Column("price_micros", BigInteger),
    Column("clearing_price_micros", BigInteger),
    Column("revenue_micros", BigInteger),
    Column("fee_micros", BigInteger),
    Column("currency", Text),
    Column("auction_type", SmallInteger),
    Column("deal_id", Text),
    Column("ranking", ARRAY(Text)),
    Column("ranked_by", Text),
    given("held_ms", Double),
    Column("reason", Text),
    Column("min_to_win_micros", BigInteger),
    # Also of an unsold imp; absent when nobody stepped back.
    Column("withdrawn", ARRAY(Text)),
    postgresql_partition_by=BY_DAY,
)

auction_late_answers = Table(
    "auction_late_answers",
    read_models,
    *_event_key(),
    _instant("at"),
    given("bidder_id", Text),
    given("latency_ms", Double),
    given("http_status", Integer),
    # JSON list of `LateBid`.
    given("bids", Text),
    given("reason", Text),
    postgresql_partition_by=BY_DAY,
)

auction_notices = Table(
    "auction_notices",
    read_models,
    *_event_key(),
    _instant("at"),
    given("kind", Text),
    given("imp_id", Text),
    given("bidder_id", Text),
    given("bid_id", Text),
    given("url", Text),
    given("attempts", Integer),
    # Of one that was delivered.
    Column("http_status", Integer),
    # Why it was given up.
    Column("reason", Text),
    postgresql_partition_by=BY_DAY,
)

auction_engagements = Table(
    "auction_engagements",
    read_models,
    *_event_key(),
    _instant("at"),
    given("kind", Text),
    given("imp_id", Text),
    given("bidder_id", Text),
    given("bid_id", Text),
    given("verdict", Text),
    given("reason", Text),
    postgresql_partition_by=BY_DAY,
)

# -- delivery -------------------------------------------------------------------------------------

DELIVERY_DIMENSIONS = (
    "publisher_id",
    "placement_id",
    "site",
    "country",
    "device_type",
    "bidder_id",
    "deal_id",
    "advertiser_id",
    "campaign_id",
    "ad_id",
    "size",
    "currency",
)
DELIVERY_COUNTS = (
    "requests",
    "imps",
    "bids",
    "wins",
    "impressions_gross",
    "impressions",
    "clicks_gross",
    "clicks",
)
DELIVERY_MONEY = ("spend_nanos", "revenue_nanos", "fee_nanos")

# What rows are of, each combination once: of most the same ones come back in every quarter of an hour.
delivery_lines = Table(
    "delivery_lines",
    read_models,
    # A digest of the columns, which together would be longer than an index entry can be.
    Column("line", Uuid, primary_key=True),
    *(given(name, SmallInteger if name == "device_type" else Text) for name in DELIVERY_DIMENSIONS),
)


def _delivery_key() -> list[Column[Any]]:
    return [
        # Of the event, UTC: the hours and days of every time zone begin with a quarter of an hour.
        Column("quarter", DateTime(timezone=True), primary_key=True),
        # Of the award that an engagement follows from; of all other events their own.
        Column("auction_quarter", DateTime(timezone=True), primary_key=True),
        Column("line", Uuid, primary_key=True),
    ]


delivery = Table(
    "delivery",
    read_models,
    *_delivery_key(),
    *(given(name, BigInteger) for name in DELIVERY_COUNTS),
    # Not bigint: 2^63 nano-units are 9.2e9 units, and an hour of a weak currency must never park good money.
    *(Column(name, Numeric(38, 0), nullable=False) for name in DELIVERY_MONEY),
    # Rows come in the order of time, more or less: a few bytes for many pages will do.
    Index("delivery_auction_quarter", "auction_quarter", postgresql_using="brin"),
)

# The sketch of the persons behind a row's valid impressions: see `domain/reach.py`. Marks, not persons.
delivery_reach = Table(
    "delivery_reach",
    read_models,
    *_delivery_key(),
    Column("register", SmallInteger, primary_key=True, autoincrement=False),
    given("rank", SmallInteger),
)

delivery_engagements = Table(
    "delivery_engagements",
    read_models,
    *_event_key(),
    given("imp_id", Text),
    given("kind", Text),
    # It is the one engagement of its kind that counts net.
    given("counted", Boolean),
    # It did, until it was voided; no other takes its place.
    Column("voided", Boolean, nullable=False, server_default="false"),
    Index(
        "delivery_engagements_counted_key",
        "day",
        "auction_id",
        "imp_id",
        "kind",
        unique=True,
        postgresql_where=text("counted"),
    ),
    postgresql_partition_by=BY_DAY,
)

DELIVERY_TABLES = ("delivery", "delivery_lines", "delivery_reach", "delivery_engagements")

# -- ledger ---------------------------------------------------------------------------------------

LEDGER_MONEY = ("spend_nanos", "revenue_nanos", "fee_nanos")
LEDGER_KEYS = ("booked_on", "currency", "buyer", "publisher", "campaign_id", "kind")


def _balances(table: str) -> CheckConstraint:
    """What the buyer owes is what publisher and exchange earn: no entry can be written that does not balance."""
    return CheckConstraint("spend_nanos = revenue_nanos + fee_nanos", name=f"{table}_balances")


ledger_charges = Table(
    "ledger_charges",
    read_models,
    *_auction_key(),
    Column("imp_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    # The engagement that settles what the imp costs.
    given("event_id", Uuid),
    # All that follows is absent where it is free.
    Column("booked_on", Date),
    Column("currency", Text),
    Column("buyer", Text),
    Column("publisher", Text),
    Column("campaign_id", Text),
    *(Column(name, BigInteger) for name in LEDGER_MONEY),
    Column("refunded_on", Date),
    _balances("ledger_charges"),
    postgresql_partition_by=BY_DAY,
)

ledger = Table(
    "ledger",
    read_models,
    Column("booked_on", Date, primary_key=True),
    Column("currency", Text, primary_key=True),
    # Accounts, as `domain.ledger` names them.
    Column("buyer", Text, primary_key=True),
    Column("publisher", Text, primary_key=True),
    Column("campaign_id", Text, primary_key=True),
    # 'charge', or 'refund': the same entry turned, its money positive as well.
    Column("kind", Text, primary_key=True),
    given("entries", BigInteger),
    # Not bigint, as in `delivery`.
    *(Column(name, Numeric(38, 0), nullable=False) for name in LEDGER_MONEY),
    _balances("ledger"),
    Index("ledger_buyer", "buyer", "booked_on"),
    Index("ledger_publisher", "publisher", "booked_on"),
)

ledger_closings = Table(
    "ledger_closings",
    read_models,
    # Of the topic of engagements.
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("closed_day", Date, primary_key=True),
    given("partitions", Integer),
    _instant("closed_at"),
    # Where the mark stands: only what comes behind it finds the day closed.
    given("log_offset", BigInteger),
)

# -- bidder_health --------------------------------------------------------------------------------

LATENCY_BOUNDS_MS = (5, 10, 20, 50, 100, 150, 200, 300, 500, 1_000)
"""Upper bounds, included, of a histogram; what took longer is counted behind the last one."""
BIDDER_LATENCY_COLUMNS = (*(f"within_{bound}_ms" for bound in LATENCY_BOUNDS_MS), "longer")

bidder_health = Table(
    "bidder_health",
    read_models,
    # The hour of the event, UTC.
    Column("hour", DateTime(timezone=True), primary_key=True),
    Column("bidder_id", Text, primary_key=True),
    Column("outcome", Text, primary_key=True),
    Column("code", Integer, primary_key=True, autoincrement=False),
    given("events", BigInteger),
    # Each counts what is not in the one before it; what was never called is in none of them.
    *(given(name, BigInteger) for name in BIDDER_LATENCY_COLUMNS),
)

# -- traffic --------------------------------------------------------------------------------------

traffic = Table(
    "traffic",
    read_models,
    # The hour of the hit, UTC.
    Column("hour", DateTime(timezone=True), primary_key=True),
    Column("publisher_id", Text, primary_key=True),
    Column("placement_id", Text, primary_key=True),
    # 'impression' or 'click'.
    Column("kind", Text, primary_key=True),
    # As logged, but for valid ones that were not the first, and those that were 'voided'.
    Column("verdict", Text, primary_key=True),
    # Empty where it is not invalid traffic.
    Column("ivt", Text, primary_key=True),
    given("hits", BigInteger),
)

traffic_engagements = Table(
    "traffic_engagements",
    read_models,
    *_event_key(),
    given("imp_id", Text),
    given("kind", Text),
    # As in `delivery_engagements`, here and below.
    given("counted", Boolean),
    Column("voided", Boolean, nullable=False, server_default="false"),
    Index(
        "traffic_engagements_counted_key",
        "day",
        "auction_id",
        "imp_id",
        "kind",
        unique=True,
        postgresql_where=text("counted"),
    ),
    postgresql_partition_by=BY_DAY,
)

# -- notices --------------------------------------------------------------------------------------

notice_sources = Table(
    "notice_sources",
    metadata,
    *_auction_key(),
    # Events from which a notice can still follow, as JSON, one a line.
    given("events", Text),
    postgresql_partition_by=BY_DAY,
)

notices = Table(
    "notices",
    metadata,
    *_auction_key(),
    # The event that tells of the bid, and the bid's place in it: 0, or 1 and more for its `other_bids`.
    Column("outcome_id", Uuid, primary_key=True),
    Column("place", SmallInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True),
    given("imp_id", Text),
    given("bidder_id", Text),
    given("bid_id", Text),
    # Whom a call of `url` would reach: name and port.
    given("host", Text),
    given("url", Text),
    Column("viewer_ip", Text),
    Column("viewer_agent", Text),
    Column("attempts", Integer, nullable=False, server_default="0"),
    # When it is tried next; absent once it came to an end.
    Column("due_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    Column("delivered", Boolean),
    Index("notices_due", "bidder_id", "host", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    postgresql_partition_by=BY_DAY,
)

DAILY_TABLES = tuple(table.name for table in metadata.sorted_tables if "day" in table.primary_key.columns)
"""The tables of migrations that have a partition per UTC day."""
