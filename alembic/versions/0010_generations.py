"""Generations: every build of a read model has a schema of its own, and the stable names are views of the active one.

The tables that stand in `public` become generation 1, or whatever number the projection has reached by rebuilds in
place. Nothing is copied, and queries find the same rows under the same names before and after.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLES = {
    "catalogue": ("entities",),
    "auction_log": (
        "auctions",
        "auction_outcomes",
        "auction_awards",
        "auction_late_answers",
        "auction_engagements",
        "auction_notices",
    ),
    "delivery": ("delivery", "delivery_lines", "delivery_reach", "delivery_engagements"),
    "ledger": ("ledger", "ledger_charges", "ledger_closings"),
    "bidder_health": ("bidder_health",),
    "traffic": ("traffic", "traffic_engagements"),
}
LAYOUTS = {
    "catalogue": "751c9b65a4e3f635",
    "auction_log": "9d69975911bc80cc",
    "delivery": "dd8ff1f98aa443eb",
    "ledger": "e44ffb5161ac9e14",
    "bidder_health": "b5ce0d0818a5ea13",
    "traffic": "723e95be4146a14d",
}
"""Of these tables, as `projections/layout.py` told them when this migration was written."""
BUILT_IN_PLACE = ("notices", "catalogue_cache", "budgets")

LETTER = ("projection", "topic", "partition", "offset")


def upgrade() -> None:
    _generations()
    _offsets_and_letters()
    for projection, tables in TABLES.items():
        _move_into_schema(projection, tables)


def _generations() -> None:
    op.create_table(
        "projections",
        sa.Column("projection", sa.Text(), nullable=False),
        sa.Column("active_generation", sa.Integer(), nullable=True),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("projection", name=op.f("projections_pkey")),
    )
    op.create_table(
        "projection_generations",
        sa.Column("projection", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("layout", sa.Text(), nullable=False),
        sa.Column("swaps_itself", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("accepts_dead_letters", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("built_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stopped_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("projection", "generation", name=op.f("projection_generations_pkey")),
    )
    insert = sa.text(
        "INSERT INTO projection_generations (projection, generation, status, layout, built_at, activated_at, "
        "stopped_reason) SELECT names.projection, coalesce(generation, 1), 'active', :layout, now(), now(), "
        "stopped_reason FROM (SELECT CAST(:projection AS text) AS projection) AS names "
        "LEFT JOIN projection_states USING (projection)"
    )
    for projection in (*TABLES, *BUILT_IN_PLACE):
        op.execute(insert.bindparams(projection=projection, layout=LAYOUTS.get(projection, "")))
    op.execute("UPDATE projection_generations SET generation = 1 WHERE layout = ''")
    op.execute(
        "INSERT INTO projections (projection, active_generation) SELECT projection, generation "
        "FROM projection_generations"
    )
    op.drop_table("projection_states")


def _offsets_and_letters() -> None:
    for table in ("projection_offsets", "dead_letters"):
        op.add_column(table, sa.Column("generation", sa.Integer(), server_default="1", nullable=False))
        op.execute(
            f"UPDATE {table} SET generation = active_generation FROM projections "  # noqa: S608 - names of ours
            f"WHERE projections.projection = {table}.projection"
        )
    op.add_column("projection_offsets", sa.Column("first_offset", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("projection_offsets", sa.Column("hold_at", sa.BigInteger(), nullable=True))
    op.add_column("projection_offsets", sa.Column("hold_expires_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_constraint("projection_offsets_pkey", "projection_offsets")
    op.create_primary_key(
        op.f("projection_offsets_pkey"), "projection_offsets", ["projection", "generation", "topic", "partition"]
    )
    op.drop_constraint("dead_letters_projection_topic_partition_offset_key", "dead_letters")
    op.create_unique_constraint(
        op.f("dead_letters_projection_generation_topic_partition_offset_key"),
        "dead_letters",
        ["projection", "generation", *LETTER[1:]],
    )


def _move_into_schema(projection: str, tables: tuple[str, ...]) -> None:
    schema = f"{projection}_g{_active_generation(projection)}"
    op.execute(f"CREATE SCHEMA {schema}")
    for table in tables:
        columns = ", ".join(column["name"] for column in sa.inspect(op.get_bind()).get_columns(table))
        for each in (table, *_partitions(f"public.{table}")):
            op.execute(f"ALTER TABLE public.{each} SET SCHEMA {schema}")
        op.execute(f"CREATE VIEW public.{table} AS SELECT {columns} FROM {schema}.{table}")  # noqa: S608 - names of ours


def downgrade() -> None:
    for projection, tables in TABLES.items():
        _move_back(projection, tables)
    op.execute(
        "DO $$ DECLARE schema text; BEGIN FOR schema IN "
        "SELECT projection || '_g' || generation FROM projection_generations WHERE layout <> '' "
        "LOOP EXECUTE 'DROP SCHEMA IF EXISTS ' || quote_ident(schema) || ' CASCADE'; END LOOP; END $$"
    )
    op.create_table(
        "projection_states",
        sa.Column("projection", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("stopped_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("projection", name=op.f("projection_states_pkey")),
    )
    op.execute(
        "INSERT INTO projection_states (projection, generation, stopped_reason) "
        "SELECT projection, generation, stopped_reason FROM projections "
        "JOIN projection_generations USING (projection) WHERE generation = active_generation"
    )
    _forget_other_generations()
    op.drop_table("projection_generations")
    op.drop_table("projections")


def _forget_other_generations() -> None:
    for table in ("projection_offsets", "dead_letters"):
        op.execute(
            f"DELETE FROM {table} WHERE NOT EXISTS (SELECT FROM projections "  # noqa: S608 - names of ours
            f"WHERE projections.projection = {table}.projection AND active_generation = {table}.generation)"
        )
    op.drop_constraint("projection_offsets_pkey", "projection_offsets")
    op.create_primary_key(op.f("projection_offsets_pkey"), "projection_offsets", ["projection", "topic", "partition"])
    op.drop_constraint("dead_letters_projection_generation_topic_partition_offset_key", "dead_letters")
    op.create_unique_constraint(
        op.f("dead_letters_projection_topic_partition_offset_key"), "dead_letters", list(LETTER)
    )
    for column in ("hold_expires_at", "hold_at", "first_offset", "generation"):
        op.drop_column("projection_offsets", column)
    op.drop_column("dead_letters", "generation")


def _move_back(projection: str, tables: tuple[str, ...]) -> None:
    schema = f"{projection}_g{_active_generation(projection)}"
    for table in tables:
        op.execute(f"DROP VIEW public.{table}")
        for each in (table, *_partitions(f"{schema}.{table}")):
            op.execute(f"ALTER TABLE {schema}.{each} SET SCHEMA public")


def _active_generation(projection: str) -> int:
    query = sa.text("SELECT active_generation FROM projections WHERE projection = :projection")
    return int(op.get_bind().execute(query, {"projection": projection}).scalar_one())


def _partitions(table: str) -> list[str]:
    query = sa.text(
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
        "WHERE inhparent = CAST(:parent AS regclass)"
    )
    return list(op.get_bind().execute(query, {"parent": table}).scalars())
