"""Dead letters as an operator sees them: what could not be applied, why, and what was decided about it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import Fault, InvalidInput
from projections.engine_tables import dead_letters
from projections.queries.page import Page, cursor_after, key_of
from projections.registry import registered

Outcome = Literal["applied", "skipped"]
ID_MAX = 2**63 - 1

_COLUMNS = [column for column in dead_letters.c if column.name != "payload"]


class DeadLetterShown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record of the log that a projection could not apply, or that waits behind one of its key."""

    id: int
    projection: str
    generation: int
    topic: str
    partition: int
    offset: int
    key: str | None
    """As text; bytes that are none are shown as `\\xff`."""
    error: str
    """Of the last attempt."""
    parked_at: datetime
    attempts: int
    outcome: Outcome | None = None
    """None while it is open."""
    decided_at: datetime | None = None
    """When somebody retried or skipped it last."""
    decided_by: str | None = None
    reason: str | None = None
    """Why it was skipped."""
    payload: str | None = None
    """Only where it was asked for: it may hold what few should see. Shown like the key."""


async def list_dead_letters(
    db: AsyncEngine,
    *,
    projection: str | None = None,
    ended: bool = False,
    cursor: str | None = None,
    limit: int = 100,
) -> Page[DeadLetterShown]:
    """In the order in which they were parked: the open ones, or with `ended` those that were decided about too.

    Raises InvalidInput for a bad cursor, NotFound for a projection that there is none of.
    """
    query = select(*_COLUMNS).order_by(dead_letters.c.id).limit(limit + 1)
    if projection is not None:
        query = query.where(dead_letters.c.projection == registered(projection).name)
    if not ended:
        query = query.where(dead_letters.c.outcome.is_(None))
    if cursor is not None:
        query = query.where(dead_letters.c.id > _id_of(cursor))
    async with db.connect() as connection:
        rows = (await connection.execute(query)).mappings().all()
    items = tuple(_shown(row) for row in rows[:limit])
    return Page(items=items, next_cursor=cursor_after(str(items[-1].id)) if len(rows) > limit else None)


async def dead_letter(db: AsyncEngine, letter_id: int, *, with_payload: bool = False) -> DeadLetterShown | None:
    """The letter, or None; its payload only where it is asked for."""
    if not 0 <= letter_id <= ID_MAX:
        return None
    columns = [*_COLUMNS, dead_letters.c.payload] if with_payload else _COLUMNS
    async with db.connect() as connection:
        row = (await connection.execute(select(*columns).where(dead_letters.c.id == letter_id))).mappings().first()
    return _shown(row) if row else None


def _shown(row: RowMapping) -> DeadLetterShown:
    texts = {name: value.decode(errors="backslashreplace") for name, value in row.items() if isinstance(value, bytes)}
    return DeadLetterShown(**{**row, **texts})


def _id_of(cursor: str) -> int:
    key = key_of(cursor)
    if not key.isascii() or not key.isdigit() or len(key) > len(str(ID_MAX)) or int(key) > ID_MAX:
        raise InvalidInput([Fault("cursor", "is not one that was given out")])
    return int(key)
