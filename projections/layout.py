"""The layout of a read model's tables: the statements that make them, and the fingerprint that tells two apart.

A generation remembers the layout that it was built by. Code whose layout is another one neither writes to it nor
reads it, but builds a generation of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy leaves it so
FINGERPRINT_LENGTH = 16


def statements(tables: Sequence[Table]) -> list[str]:
    """What makes these tables and their indexes in the first schema of the search path, in order."""
    made = []
    for table in tables:
        made.append(str(CreateTable(table).compile(dialect=DIALECT)))
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        made += [str(CreateIndex(index).compile(dialect=DIALECT)) for index in indexes]
    return made


@cache
def fingerprint(tables: tuple[Table, ...], version: int) -> str:
    """Differs where the tables differ, or the version, which says what their rows mean."""
    text = "\n".join([str(version), *(" ".join(each.split()) for each in statements(tables))])
    return hashlib.sha256(text.encode()).hexdigest()[:FINGERPRINT_LENGTH]
