"""What people call the bidders."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.direct.bidder import DIRECT, DIRECT_ID
from projections.tables import entities


async def bidder_names(connection: AsyncConnection, ids: Iterable[str]) -> dict[str, str]:
    """Names by id; bidders that the catalogue does not know (yet) are not in it."""
    wanted = set(ids)
    query = select(entities.c.id, entities.c.terms).where(
        entities.c.id.in_(sorted(wanted)), entities.c.kind == "bidder"
    )
    names = {row.id: _decode_name(row.terms).name for row in await connection.execute(query)}
    # The exchange's own campaigns are no entity of the catalogue.
    return names | {DIRECT_ID: DIRECT.terms.name} if DIRECT_ID in wanted else names


class _Named(msgspec.Struct):
    name: str


_decode_name = msgspec.json.Decoder(_Named).decode
