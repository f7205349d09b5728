"""The stable names of a read model: views in `public` of the tables of one generation.

Replaced and never renamed: a query that runs holds on to what it reads, and a prepared statement finds the new table
by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Table

from projections.postgres_store import Connection

COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""

# The owner's own rights come with the view.
RIGHTS = """
SELECT format(
    'GRANT %s ON public.%I TO %s%s', privilege_type, relname,
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END
) FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = to_regclass($1) AND grantee <> relowner
"""


async def show(connection: Connection, tables: Sequence[Table], schema: str) -> None:
    """From the end of the transaction on, everybody reads the tables of `schema`."""
    for table in tables:
        columns = [column.name for column in table.columns]
        shown = await connection.fetch(COLUMNS, f"public.{table.name}")
        kinds = {name: kind for name, kind in await connection.fetch(COLUMNS, f"{schema}.{table.name}")}  # noqa: C416 - a record is no tuple
        rights = []
        # A view that others are built on can only be replaced by one of the same columns.
        if shown and [*map(tuple, shown)] != [(name, kinds[name]) for name in columns]:
            rights = await connection.fetch(RIGHTS, f"public.{table.name}")
            await connection.execute(f"DROP VIEW public.{table.name}")
        await connection.execute(
            f"CREATE OR REPLACE VIEW public.{table.name} AS SELECT {', '.join(columns)} FROM {schema}.{table.name}"  # noqa: S608 - names of ours
        )
        for (right,) in rights:
            await connection.execute(right)
