"""The list of the last auctions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import Fault, InvalidInput
from domain.event_parts import ImpOffered
from domain.money import cpm_text
from projections.auction_day import auction_day
from projections.queries.bidder_names import bidder_names
from projections.queries.one_generation import one_generation
from projections.queries.page import Page, cursor_after, key_of

AuctionStatus = Literal["awarded", "unsold"]

SCAN_MAX_AUCTIONS = 20_000
"""A page is looked for among so many auctions: a filter that nothing meets must not read the whole log."""


class AwardSummary(msgspec.Struct, frozen=True, kw_only=True):
    imp_id: str
    bidder_id: str
    bidder: str
    clearing_price: str
    currency: str


class AuctionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list."""

    id: str
    at: datetime
    status: AuctionStatus
    test: bool
    publisher_id: str
    site: str
    country: str
    imps: int
    bids: int
    awards: tuple[AwardSummary, ...]


_decode_imps = msgspec.json.Decoder(tuple[ImpOffered, ...]).decode

_RECENT = """
SELECT day, auction_id, at, test, publisher_id, site, country, imps
FROM auctions
WHERE (CAST(:day AS date) IS NULL OR (day <= :day AND (day, auction_id) < (:day, CAST(:auction_id AS uuid))))
ORDER BY day DESC, auction_id DESC
LIMIT :scan
"""

_LIST = text(f"""
SELECT recent.*, awarded.awards, outcome.bids
FROM ({_RECENT}) AS recent
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(ARRAY[imp_id, bidder_id, clearing_price_micros::text, currency] ORDER BY imp_id), '{{}}')
        AS awards
    FROM auction_awards WHERE day = recent.day AND auction_id = recent.auction_id AND sold
) AS awarded
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE outcome = 'placed') AS bids,
           coalesce(bool_or(bidder_id = CAST(:bidder_id AS text)), false) AS asked
    FROM auction_outcomes WHERE day = recent.day AND auction_id = recent.auction_id
) AS outcome
WHERE (CAST(:site AS text) IS NULL OR recent.site = :site)
  AND (CAST(:publisher_id AS text) IS NULL OR recent.publisher_id = :publisher_id)
  AND (CAST(:bidder_id AS text) IS NULL OR outcome.asked)
  AND (CAST(:awarded AS boolean) IS NULL OR (cardinality(awarded.awards) > 0) = :awarded)
ORDER BY recent.day DESC, recent.auction_id DESC
LIMIT :rows
""")  # noqa: S608 - nothing but constants is put in

_LAST_SCANNED = text(f"SELECT auction_id FROM ({_RECENT}) AS recent OFFSET :scan - 1")  # noqa: S608 - as above


async def list_auctions(
    db: AsyncEngine,
    *,
    cursor: str | None = None,
    limit: int = 50,
    status: str | None = None,
    bidder_id: str | None = None,
    site: str | None = None,
    publisher_id: str | None = None,
) -> Page[AuctionSummary]:
    """Auctions, newest first; `bidder_id` means that the bidder was considered. Raises InvalidInput.

    With `publisher_id` those whose first imp is that publisher's, and of them its own imps alone are told.
    """
    after = _auction_of(cursor) if cursor is not None else None
    where: dict[str, Any] = {
        "day": auction_day(after) if after else None,
        "auction_id": UUID(after) if after else None,
        "scan": SCAN_MAX_AUCTIONS,
    }
    filters = {"site": site, "bidder_id": bidder_id, "awarded": _awarded(status), "publisher_id": publisher_id}
    async with one_generation(db, "auction_log", "catalogue") as connection:
        rows = (await connection.execute(_LIST, where | filters | {"rows": limit + 1})).all()
        more = len(rows) > limit
        rows = rows[:limit]
        last = str(rows[-1].auction_id) if more else None
        if not more:
            # Nothing more among those looked at; older ones may follow.
            scanned = (await connection.execute(_LAST_SCANNED, where)).scalar()
            last = str(scanned) if scanned is not None else None
        names = await bidder_names(connection, {award[1] for row in rows for award in row.awards})
    return Page(
        items=tuple(_summary(row, names, publisher_id) for row in rows),
        next_cursor=cursor_after(last) if last is not None else None,
    )


def _auction_of(cursor: str) -> str:
    auction_id = key_of(cursor)
    try:
        auction_day(auction_id)
        return str(UUID(auction_id))
    except ValueError:
        raise InvalidInput([Fault("cursor", "is not one that was given out")]) from None


def _awarded(status: str | None) -> bool | None:
    if status not in {None, "awarded", "unsold"}:
        raise InvalidInput([Fault("status", "is neither 'awarded' nor 'unsold'")])
    return None if status is None else status == "awarded"


def _summary(row: Row[Any], names: Mapping[str, str], publisher_id: str | None) -> AuctionSummary:
    imps = [imp for imp in _decode_imps(row.imps) if publisher_id in (None, imp.inventory.publisher_id)]
    own = {imp.imp_id for imp in imps}
    awards = [award for award in row.awards if award[0] in own]
    return AuctionSummary(
        id=str(row.auction_id),
        at=row.at,
        status="awarded" if awards else "unsold",
        test=row.test,
        publisher_id=row.publisher_id,
        site=row.site,
        country=row.country,
        imps=len(imps),
        bids=row.bids,
        awards=tuple(
            AwardSummary(
                imp_id=imp_id,
                bidder_id=bidder_id,
                bidder=names.get(bidder_id, bidder_id),
                clearing_price=cpm_text(int(micros)),
                currency=currency,
            )
            for imp_id, bidder_id, micros, currency in awards
        ),
    )
