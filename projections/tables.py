"""All tables of the read side: the metadata that queries and migrations share.

Everything in here can be dropped and rebuilt from the log, the operator's dead letters included; except the outbox
of notices, which says what was sent already.
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
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "ix_%(column_0_N_label)s",
    }
)

BY_DAY = "RANGE (day)"


def _given(name: str, kind: type[TypeEngine[Any]]) -> Column[Any]:
    """A column that always has a value."""
    return Column(name, kind, nullable=False)


def _instant(name: str) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=False)


def _auction_key() -> list[Column[Any]]:
    """The day follows from the auction's id (UUIDv7), so it adds nothing to a key but the partition."""
    return [Column("day", Date, primary_key=True), Column("auction_id", Uuid, primary_key=True)]


def _event_key() -> list[Column[Any]]:
    return [*_auction_key(), Column("event_id", Uuid, primary_key=True)]


# -- the engine -----------------------------------------------------------------------------------

projection_states = Table(
    "projection_states",
    metadata,
    Column("projection", Text, primary_key=True),
    Column("generation", Integer, nullable=False, server_default="1"),
    # Why nothing is applied any more; absent while the projection runs.
    Column("stopped_reason", Text),
)

projection_offsets = Table(
    "projection_offsets",
    metadata,
    Column("projection", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    _given("next_offset", BigInteger),
    # While next_offset is below it, what is applied is a replay.
    Column("rebuild_until", BigInteger, nullable=False, server_default="0"),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _given("projection", Text),
    _given("topic", Text),
    _given("partition", Integer),
    _given("offset", BigInteger),
    # Kafka keys and values are bytes: a dead letter may hold anything.
    Column("key", LargeBinary),
    Column("payload", LargeBinary),
    _given("error", Text),
    Column("parked_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    UniqueConstraint("projection", "topic", "partition", "offset"),
)

# -- catalogue ------------------------------------------------------------------------------------

entities = Table(
    "entities",
    metadata,
    Column("id", Text, primary_key=True),
    _given("kind", Text),
    _given("version", Integer),
    _given("status", Text),
    _given("terms", Text),
    # What it is part of: a placement's publisher, a campaign's advertiser, an ad's campaign.
    Column("owner_id", Text),
    _instant("created_at"),
    _instant("updated_at"),
    Index(None, "kind", "id"),
    Index(None, "kind", "owner_id", "id"),
)

# -- auction_log ----------------------------------------------------------------------------------

auctions = Table(
    "auctions",
    metadata,
    *_auction_key(),
    _instant("at"),
    _given("request_id", Text),
    _given("auction_type", SmallInteger),
    _given("currency", Text),
    _given("tmax_ms", Integer),
    _given("test", Boolean),
    # Of the first imp: what lists filter by.
    _given("publisher_id", Text),
    _given("site", Text),
    _given("country", Text),
    _given("device_type", SmallInteger),
    # JSON list of `ImpOffered`.
    _given("imps", Text),
    _given("request", Text),
    Column("robot", Boolean, nullable=False, server_default="false"),
    # Absent where nothing restricts the use of personal data.
    Column("restricted_by", ARRAY(Text)),
    postgresql_partition_by=BY_DAY,
)

auction_outcomes = Table(
    "auction_outcomes",
    metadata,
    *_event_key(),
    _given("imp_id", Text),
    _given("bidder_id", Text),
    # 'placed', or the refusal's own status.
    _given("outcome", Text),
    Column("code", Integer),
    Column("reason", Text),
    Column("bid_id", Text),
    _given("seat", Text),
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
    postgresql_partition_by=BY_DAY,
)

auction_awards = Table(
    "auction_awards",
    metadata,
    *_event_key(),
    _instant("at"),
    _given("imp_id", Text),
    _given("sold", Boolean),
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
    _given("held_ms", Double),
    Column("reason", Text),
    Column("min_to_win_micros", BigInteger),
    # Also of an unsold imp; absent when nobody stepped back.
    Column("withdrawn", ARRAY(Text)),
    postgresql_partition_by=BY_DAY,
)

auction_late_answers = Table(
    "auction_late_answers",
    metadata,
    *_event_key(),
    _instant("at"),
    _given("bidder_id", Text),
    _given("latency_ms", Double),
    _given("http_status", Integer),
    # JSON list of `LateBid`.
    _given("bids", Text),
    _given("reason", Text),
    postgresql_partition_by=BY_DAY,
)

auction_notices = Table(
    "auction_notices",
    metadata,
    *_event_key(),
    _instant("at"),
    _given("kind", Text),
    _given("imp_id", Text),
    _given("bidder_id", Text),
    _given("bid_id", Text),
    _given("url", Text),
    _given("attempts", Integer),
    # Of one that was delivered.
    Column("http_status", Integer),
    # Why it was given up.
    Column("reason", Text),
    postgresql_partition_by=BY_DAY,
)

auction_engagements = Table(
    "auction_engagements",
    metadata,
    *_event_key(),
    _instant("at"),
    _given("kind", Text),
    _given("imp_id", Text),
    _given("bidder_id", Text),
    _given("bid_id", Text),
    _given("verdict", Text),
    _given("reason", Text),
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
    metadata,
    # A digest of the columns, which together would be longer than an index entry can be.
    Column("line", Uuid, primary_key=True),
    *(_given(name, SmallInteger if name == "device_type" else Text) for name in DELIVERY_DIMENSIONS),
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
    metadata,
    *_delivery_key(),
    *(_given(name, BigInteger) for name in DELIVERY_COUNTS),
    # Not bigint: 2^63 nano-units are 9.2e9 units, and an hour of a weak currency must never park good money.
    *(Column(name, Numeric(38, 0), nullable=False) for name in DELIVERY_MONEY),
    # Rows come in the order of time, more or less: a few bytes for many pages will do.
    Index("delivery_auction_quarter", "auction_quarter", postgresql_using="brin"),
)

# The sketch of the persons behind a row's valid impressions: see `domain/reach.py`. Marks, not persons.
delivery_reach = Table(
    "delivery_reach",
    metadata,
    *_delivery_key(),
    Column("register", SmallInteger, primary_key=True, autoincrement=False),
    _given("rank", SmallInteger),
)

delivery_engagements = Table(
    "delivery_engagements",
    metadata,
    *_event_key(),
    _given("imp_id", Text),
    _given("kind", Text),
    # It is the one engagement of its kind that counts net.
    _given("counted", Boolean),
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
    metadata,
    *_auction_key(),
    Column("imp_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    # The engagement that settles what the imp costs.
    _given("event_id", Uuid),
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
    metadata,
    Column("booked_on", Date, primary_key=True),
    Column("currency", Text, primary_key=True),
    # Accounts, as `domain.ledger` names them.
    Column("buyer", Text, primary_key=True),
    Column("publisher", Text, primary_key=True),
    Column("campaign_id", Text, primary_key=True),
    # 'charge', or 'refund': the same entry turned, its money positive as well.
    Column("kind", Text, primary_key=True),
    _given("entries", BigInteger),
    # Not bigint, as in `delivery`.
    *(Column(name, Numeric(38, 0), nullable=False) for name in LEDGER_MONEY),
    _balances("ledger"),
    Index("ledger_buyer", "buyer", "booked_on"),
    Index("ledger_publisher", "publisher", "booked_on"),
)

ledger_closings = Table(
    "ledger_closings",
    metadata,
    # Of the topic of engagements.
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("closed_day", Date, primary_key=True),
    _given("partitions", Integer),
    _instant("closed_at"),
)

# -- bidder_health --------------------------------------------------------------------------------

LATENCY_BOUNDS_MS = (5, 10, 20, 50, 100, 150, 200, 300, 500, 1_000)
"""Upper bounds, included, of a histogram; what took longer is counted behind the last one."""
BIDDER_LATENCY_COLUMNS = (*(f"within_{bound}_ms" for bound in LATENCY_BOUNDS_MS), "longer")

bidder_health = Table(
    "bidder_health",
    metadata,
    # The hour of the event, UTC.
    Column("hour", DateTime(timezone=True), primary_key=True),
    Column("bidder_id", Text, primary_key=True),
    Column("outcome", Text, primary_key=True),
    Column("code", Integer, primary_key=True, autoincrement=False),
    _given("events", BigInteger),
    # Each counts what is not in the one before it; what was never called is in none of them.
    *(_given(name, BigInteger) for name in BIDDER_LATENCY_COLUMNS),
)

# -- traffic --------------------------------------------------------------------------------------

traffic = Table(
    "traffic",
    metadata,
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
    _given("hits", BigInteger),
)

traffic_engagements = Table(
    "traffic_engagements",
    metadata,
    *_event_key(),
    _given("imp_id", Text),
    _given("kind", Text),
    # As in `delivery_engagements`, here and below.
    _given("counted", Boolean),
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
    _given("events", Text),
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
    _given("imp_id", Text),
    _given("bidder_id", Text),
    _given("bid_id", Text),
    # Whom a call of `url` would reach: name and port.
    _given("host", Text),
    _given("url", Text),
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
"""The tables that have a partition per UTC day."""
