"""The tables of the engine itself: what is known of projections, of their generations, and how far each has come.

Migrations own these, and the outbox of notices; read models have theirs in `tables.py`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeEngine

NAMING_CONVENTION = {
    "pk": "%(table_name)s_pkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ix": "ix_%(column_0_N_label)s",
}
metadata = MetaData(naming_convention=NAMING_CONVENTION)
"""What migrations own."""


def given(name: str, kind: type[TypeEngine[Any]]) -> Column[Any]:
    """A column that always has a value."""
    return Column(name, kind, nullable=False)


projections = Table(
    "projections",
    metadata,
    Column("projection", Text, primary_key=True),
    # The one that queries read; absent before the first one.
    Column("active_generation", Integer),
    # Nothing is applied from then on; absent while the projection runs.
    Column("paused_at", DateTime(timezone=True)),
)

projection_generations = Table(
    "projection_generations",
    metadata,
    Column("projection", Text, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    # As in `projections.generation.Status`.
    given("status", Text),
    # Of its tables: see `projections/layout.py`.
    given("layout", Text),
    # Workers make it the active one once it is built.
    Column("swaps_itself", Boolean, nullable=False, server_default="false"),
    # An event that cannot be applied is parked during the build as well, and does not bar a swap.
    Column("accepts_dead_letters", Boolean, nullable=False, server_default="false"),
    Column("begun_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("built_at", DateTime(timezone=True)),
    # When queries read it first, or last again.
    Column("activated_at", DateTime(timezone=True)),
    # Why nothing is applied to it any more; absent while it runs.
    Column("stopped_reason", Text),
    # Workers make it the active one although its rows differ.
    Column("accepts_differences", Boolean, nullable=False, server_default="false"),
    # Why what workers are to do with it is not done yet, or not done at all.
    Column("waits_because", Text),
    # Workers are to compare it with the active one; absent once they have.
    Column("verify_asked_at", DateTime(timezone=True)),
    # The last comparison, as in `verification.Verification`.
    Column("verified_at", DateTime(timezone=True)),
    Column("verification", JSONB),
    # When the tables and the consumer group of one that has ended were gone.
    Column("removed_at", DateTime(timezone=True)),
)

projection_offsets = Table(
    "projection_offsets",
    metadata,
    Column("projection", Text, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False, server_default="1"),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("first_offset", BigInteger, nullable=False, server_default="0"),
    given("next_offset", BigInteger),
    # While next_offset is below it, what is applied is a replay.
    Column("rebuild_until", BigInteger, nullable=False, server_default="0"),
    # Nothing from it on is applied before the hold expires: a comparison wants two generations at the same offsets.
    Column("hold_at", BigInteger),
    Column("hold_expires_at", DateTime(timezone=True)),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    given("projection", Text),
    # 1 of a projection that is built in place.
    Column("generation", Integer, nullable=False, server_default="1"),
    given("topic", Text),
    given("partition", Integer),
    given("offset", BigInteger),
    # Kafka keys and values are bytes: a dead letter may hold anything.
    Column("key", LargeBinary),
    Column("payload", LargeBinary),
    # Of the last attempt.
    given("error", Text),
    Column("parked_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("attempts", Integer, nullable=False, server_default="1"),
    # 'applied' or 'skipped'; absent while it is open.
    Column("outcome", Text),
    # When and by whom it was retried or skipped last.
    Column("decided_at", DateTime(timezone=True)),
    Column("decided_by", Text),
    # Why it was skipped.
    Column("reason", Text),
    UniqueConstraint("projection", "generation", "topic", "partition", "offset"),
    Index("ix_dead_letters_skipped", "projection", postgresql_where=text("outcome = 'skipped'")),
)

projection_decisions = Table(
    "projection_decisions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    given("projection", Text),
    Column("generation", Integer),
    # As the operator gave it: 'rebuild', 'swap', …
    given("command", Text),
    Column("options", JSONB),
    Column("decided_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    given("decided_by", Text),
    Index("ix_projection_decisions_projection", "projection", "id"),
)

projection_workers = Table(
    "projection_workers",
    metadata,
    # Host and number of the process.
    Column("worker", Text, primary_key=True),
    Column("projection", Text, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    # What its consumer reads, each as topic, slash and number.
    Column("partitions", ARRAY(Text), nullable=False),
    given("events_per_second", Float),
    # How many consumers of it have had a successor in this process, and why the last one had.
    given("restarts", Integer),
    Column("restarted_because", Text),
    # Who has not said anything for a while is taken for dead.
    Column("reported_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
)

feed_audit = Table(
    "feed_audit",
    metadata,
    # The id of a feed client, empty where a record's key does not tell whose it is.
    Column("client", Text, primary_key=True),
    # 'bulk' or 'changes'.
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("first_offset", BigInteger, primary_key=True, autoincrement=False),
    given("last_offset", BigInteger),
    # As in `feed_audit.AuditRow`.
    given("generation", Integer),
    *(given(name, Integer) for name in ("adds", "overwrites", "updates", "deletes", "stale", "rejected", "marks")),
    given("refused", BigInteger),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("started", DateTime(timezone=True), nullable=False),
    Column("finished", DateTime(timezone=True), nullable=False),
    given("digest", Text),
)
