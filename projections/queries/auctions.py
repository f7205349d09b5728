"""One auction's whole story, and the list of the last ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import Fault, InvalidInput
from domain.events import EngagementKind, ImpOffered, OtherBid, Verdict
from domain.money import cpm_text
from projections.auction_day import auction_day
from projections.queries.page import Page, cursor_after, key_of
from projections.tables import auction_awards, auction_engagements, auction_outcomes, auctions, entities

AuctionStatus = Literal["awarded", "unsold"]
OutcomeStatus = Literal["won", "lost", "refused", "no_bid", "timeout", "error", "skipped"]

WON = 0
"""IAB loss reason codes of what the log does not have to state, because the award does."""
INTERNAL_ERROR = 1
BELOW_FLOOR = 100
LOST_TO_HIGHER_BID = 102
LOST_TO_DEAL = 103

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


class OtherBidStory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A further bid of the same bidder for the same imp."""

    bid_id: str
    code: int
    reason: str
    price: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of asking one bidder for one imp, and why."""

    bidder_id: str
    bidder: str
    """Its name; its id where the catalogue does not know it (yet)."""
    status: OutcomeStatus
    code: int
    """For won, lost and refused an IAB loss reason, for all others a seat-non-bid code."""
    reason: str
    price: str | None = None
    currency: str | None = None
    latency_ms: float | None = None
    rank: int | None = None
    """From 1, for bids that were ranked."""
    other_bids: tuple[OtherBidStory, ...] = ()


class Award(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    bidder_id: str
    bid_id: str
    price: str
    clearing_price: str
    currency: str
    deal_id: str | None = None


class ImpStory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    floor: str
    outcomes: tuple[Outcome, ...]
    award: Award | None = None


class EngagementStory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    kind: EngagementKind
    at: datetime
    verdict: Verdict
    imp_id: str
    reason: str = ""


class AuctionStory(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the log says about one auction. Prices are CPM, decimal text."""

    id: str
    status: AuctionStatus
    test: bool
    at: datetime
    request: msgspec.Raw
    """As logged: personal data minimised."""
    imps: tuple[ImpStory, ...]
    engagements: tuple[EngagementStory, ...]


_decode_imps = msgspec.json.Decoder(tuple[ImpOffered, ...]).decode
_decode_other_bids = msgspec.json.Decoder(tuple[OtherBid, ...]).decode


# -- one auction -----------------------------------------------------------------------------------


async def auction_story(db: AsyncEngine, auction_id: str) -> AuctionStory | None:
    """The story of an auction, or None if there is none of that id (yet). It is told from one snapshot."""
    try:
        key = {"day": auction_day(auction_id), "auction_id": UUID(auction_id)}
    except ValueError:
        return None
    async with db.connect() as plain:
        connection = await plain.execution_options(isolation_level="REPEATABLE READ")
        auction = (await connection.execute(select(auctions).filter_by(**key))).first()
        if auction is None:
            return None
        outcomes = (await connection.execute(select(auction_outcomes).filter_by(**key))).all()
        awards = (await connection.execute(select(auction_awards).filter_by(**key))).all()
        ordered = select(auction_engagements).filter_by(**key).order_by("at", "event_id")
        engagements = (await connection.execute(ordered)).all()
        names = await _bidder_names(connection, {outcome.bidder_id for outcome in outcomes})
    return AuctionStory(
        id=auction_id,
        status="awarded" if any(award.sold for award in awards) else "unsold",
        test=auction.test,
        at=auction.at,
        request=msgspec.Raw(auction.request.encode()),
        imps=tuple(_imp_stories(_decode_imps(auction.imps), outcomes, awards, names)),
        engagements=tuple(
            EngagementStory(kind=each.kind, at=each.at, verdict=each.verdict, imp_id=each.imp_id, reason=each.reason)
            for each in engagements
        ),
    )


def _imp_stories(
    imps: Sequence[ImpOffered], outcomes: Sequence[Row[Any]], awards: Sequence[Row[Any]], names: Mapping[str, str]
) -> Iterable[ImpStory]:
    award_of = {award.imp_id: award for award in awards}
    outcomes_of: dict[str, list[Row[Any]]] = defaultdict(list)
    for outcome in outcomes:
        outcomes_of[outcome.imp_id].append(outcome)
    for imp in imps:
        award = award_of.get(imp.imp_id)
        told = [_outcome(row, award, names) for row in outcomes_of[imp.imp_id]]
        yield ImpStory(
            id=imp.imp_id,
            floor=cpm_text(imp.floor_micros),
            # Ranked bids in their order, then the others by name.
            outcomes=tuple(sorted(told, key=lambda each: (each.rank is None, each.rank, each.bidder, each.bidder_id))),
            award=_award(award) if award is not None and award.sold else None,
        )


def _award(row: Row[Any]) -> Award:
    return Award(
        bidder_id=row.bidder_id,
        bid_id=row.bid_id,
        price=cpm_text(row.price_micros),
        clearing_price=cpm_text(row.clearing_price_micros),
        currency=row.currency,
        deal_id=row.deal_id,
    )


def _outcome(row: Row[Any], award: Row[Any] | None, names: Mapping[str, str]) -> Outcome:
    status, code, reason = row.outcome, row.code, row.reason
    rank = None
    if row.outcome == "placed":
        status, code, reason = _verdict_on_bid(row, award, names)
        if award is not None and award.sold and row.bidder_id in award.ranking:
            rank = award.ranking.index(row.bidder_id) + 1
    return Outcome(
        bidder_id=row.bidder_id,
        bidder=names.get(row.bidder_id, row.bidder_id),
        status=status,
        code=code,
        reason=reason,
        price=None if row.price_micros is None else cpm_text(row.price_micros),
        currency=row.currency,
        latency_ms=row.latency_ms,
        rank=rank,
        other_bids=tuple(_other_bid(each) for each in _decode_other_bids(row.other_bids)) if row.other_bids else (),
    )


def _verdict_on_bid(bid: Row[Any], award: Row[Any] | None, names: Mapping[str, str]) -> tuple[OutcomeStatus, int, str]:
    """What became of a bid that entered the ranking: the award tells. This is the operator's view."""
    if award is None:
        return "lost", INTERNAL_ERROR, "No decision about the imp was logged."
    if not award.sold:
        return "lost", BELOW_FLOOR, award.reason
    if award.bidder_id == bid.bidder_id:
        return "won", WON, f"Won, and pays {cpm_text(award.clearing_price_micros)} {award.currency}."
    winner = names.get(award.bidder_id, award.bidder_id)
    price = f"{cpm_text(award.price_micros)} {award.currency}"
    if award.deal_id is not None and bid.deal_id is None:
        return "lost", LOST_TO_DEAL, f"Lost to a bid for deal {award.deal_id}: {winner} bid {price}."
    if award.price_micros == bid.price_micros:
        return "lost", LOST_TO_HIGHER_BID, f"Lost to an earlier bid of the same price: {winner} bid {price}."
    return "lost", LOST_TO_HIGHER_BID, f"Lost to a higher bid: {winner} bid {price}."


def _other_bid(bid: OtherBid) -> OtherBidStory:
    price = None if bid.price_micros is None else cpm_text(bid.price_micros)
    return OtherBidStory(bid_id=bid.bid_id, code=bid.code, reason=bid.reason, price=price)


async def _bidder_names(connection: AsyncConnection, ids: Iterable[str]) -> dict[str, str]:
    query = select(entities.c.id, entities.c.terms).where(entities.c.id.in_(sorted(ids)), entities.c.kind == "bidder")
    return {row.id: _decode_name(row.terms).name for row in await connection.execute(query)}


class _Named(msgspec.Struct):
    name: str


_decode_name = msgspec.json.Decoder(_Named).decode


# -- the list --------------------------------------------------------------------------------------

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
) -> Page[AuctionSummary]:
    """Auctions, newest first; `bidder_id` means that the bidder was considered. Raises InvalidInput."""
    after = _auction_of(cursor) if cursor is not None else None
    where: dict[str, Any] = {
        "day": auction_day(after) if after else None,
        "auction_id": UUID(after) if after else None,
        "scan": SCAN_MAX_AUCTIONS,
    }
    filters = {"site": site, "bidder_id": bidder_id, "awarded": _awarded(status), "rows": limit + 1}
    async with db.connect() as connection:
        rows = (await connection.execute(_LIST, where | filters)).all()
        more = len(rows) > limit
        rows = rows[:limit]
        last = str(rows[-1].auction_id) if more else None
        if not more:
            # Nothing more among those looked at; older ones may follow.
            scanned = (await connection.execute(_LAST_SCANNED, where)).scalar()
            last = str(scanned) if scanned is not None else None
        names = await _bidder_names(connection, {award[1] for row in rows for award in row.awards})
    return Page(
        items=tuple(_summary(row, names) for row in rows), next_cursor=cursor_after(last) if last is not None else None
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


def _summary(row: Row[Any], names: Mapping[str, str]) -> AuctionSummary:
    return AuctionSummary(
        id=str(row.auction_id),
        at=row.at,
        status="awarded" if row.awards else "unsold",
        test=row.test,
        publisher_id=row.publisher_id,
        site=row.site,
        country=row.country,
        imps=len(_decode_imps(row.imps)),
        bids=row.bids,
        awards=tuple(
            AwardSummary(
                imp_id=imp_id,
                bidder_id=bidder_id,
                bidder=names.get(bidder_id, bidder_id),
                clearing_price=cpm_text(int(micros)),
                currency=currency,
            )
            for imp_id, bidder_id, micros, currency in row.awards
        ),
    )
