"""What people call the bidders."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from projections.tables import entities


async def bidder_names(connection: AsyncConnection, ids: Iterable[str]) -> dict[str, str]:
    """Names by id; bidders that the catalogue does not know (yet) are not in it."""
    query = select(entities.c.id, entities.c.terms).where(entities.c.id.in_(sorted(ids)), entities.c.kind == "bidder")
    return {row.id: _decode_name(row.terms).name for row in await connection.execute(query)}


class _Named(msgspec.Struct):
    name: str


_decode_name = msgspec.json.Decoder(_Named).decode
