"""One auction's whole story: who was asked, what each answered, who won at what price, and what happened after."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import Row, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.catalogue import SegmentTarget
from domain.direct.bidder import DIRECT_ID
from domain.event_parts import DealOffered, ImpOffered, LateBid, OtherBid, StatedPrice
from domain.limits import BASIS_POINTS
from domain.money import cpm_text
from domain.openrtb.codes import LossReason
from projections.auction_day import auction_day
from projections.queries.auction_told import told
from projections.queries.bidder_names import bidder_names
from projections.queries.campaigns_of_ads import campaigns_of_ads
from projections.queries.one_generation import one_generation
from projections.queries.publishers_story import publishers_story
from projections.queries.story_parts import (
    AuctionStory,
    Award,
    CampaignOfBid,
    Deal,
    EngagementStory,
    ImpStory,
    LateAnswer,
    LateBidStory,
    NoticeStory,
    OtherBidStory,
    Outcome,
    OutcomeStatus,
    Stated,
)
from projections.tables import (
    auction_awards,
    auction_engagements,
    auction_late_answers,
    auction_notices,
    auction_outcomes,
    auctions,
)

_decode_imps = msgspec.json.Decoder(tuple[ImpOffered, ...]).decode
_decode_other_bids = msgspec.json.Decoder(tuple[OtherBid, ...]).decode
_decode_stated = msgspec.json.Decoder(StatedPrice).decode
_decode_segments = msgspec.json.Decoder(tuple[SegmentTarget, ...]).decode
_decode_late_bids = msgspec.json.Decoder(tuple[LateBid, ...]).decode

Rows = Sequence[Row[Any]]


async def auction_story(db: AsyncEngine, auction_id: str, *, publisher_id: str | None = None) -> AuctionStory | None:
    """The story of an auction, or None if there is none of that id (yet). It is told from one snapshot.

    With `publisher_id` as that publisher may read it, and None where nothing of it is that publisher's.
    """
    try:
        key = {"day": auction_day(auction_id), "auction_id": UUID(auction_id)}
    except ValueError:
        return None
    async with one_generation(db, "auction_log", "catalogue") as connection:
        auction = (await connection.execute(select(auctions).filter_by(**key))).first()
        if auction is None:
            return None
        outcomes = (await connection.execute(select(auction_outcomes).filter_by(**key))).all()
        awards = (await connection.execute(select(auction_awards).filter_by(**key))).all()
        late = await _in_time_order(connection, auction_late_answers, key)
        engagements = await _in_time_order(connection, auction_engagements, key)
        notices = await _in_time_order(connection, auction_notices, key)
        names = await bidder_names(connection, {each.bidder_id for each in (*outcomes, *late, *notices)})
        direct = (each.bid_id for each in outcomes if each.bidder_id == DIRECT_ID and each.bid_id)
        campaigns = await campaigns_of_ads(connection, direct)
    imps = _decode_imps(auction.imps)
    story = AuctionStory(
        id=auction_id,
        status="awarded" if any(award.sold for award in awards) else "unsold",
        test=auction.test,
        robot=auction.robot,
        restricted_by=tuple(auction.restricted_by or ()),
        at=auction.at,
        auction_type=auction.auction_type,
        currency=auction.currency,
        tmax_ms=auction.tmax_ms,
        request=msgspec.Raw(auction.request.encode()),
        imps=tuple(_imp_stories(imps, outcomes, awards, _Known(names, campaigns))),
        late_answers=tuple(_late_answer(each, names) for each in late),
        engagements=tuple(
            EngagementStory(kind=each.kind, at=each.at, verdict=each.verdict, imp_id=each.imp_id, reason=each.reason)
            for each in engagements
        ),
        notices=tuple(_notice(each, names) for each in notices),
        segments=auction.segments,
    )
    if publisher_id is not None:
        return publishers_story(story, {imp.imp_id for imp in imps if imp.inventory.publisher_id == publisher_id})
    return msgspec.structs.replace(story, told=told(story))


async def _in_time_order(connection: AsyncConnection, table: Table, key: Mapping[str, object]) -> Rows:
    return (await connection.execute(select(table).filter_by(**key).order_by("at", "event_id"))).all()


# -- an imp ------------------------------------------------------------------------------------------


class _Known(NamedTuple):
    """What the catalogue says of who bid."""

    names: Mapping[str, str]
    """Of bidders, by id."""
    campaigns: Mapping[str, CampaignOfBid]
    """By ad."""


def _imp_stories(imps: Sequence[ImpOffered], outcomes: Rows, awards: Rows, known: _Known) -> Iterable[ImpStory]:
    award_of = {award.imp_id: award for award in awards}
    outcomes_of: dict[str, list[Row[Any]]] = defaultdict(list)
    for outcome in outcomes:
        outcomes_of[outcome.imp_id].append(outcome)
    for imp in imps:
        award = award_of.get(imp.imp_id)
        told_of = [_outcome(row, award, known) for row in outcomes_of[imp.imp_id]]
        yield ImpStory(
            id=imp.imp_id,
            floor=_floor(imp),
            stated_floor=_stated(imp.stated_floor),
            media_types=imp.media_types,
            deals=tuple(_deal(each) for each in imp.deals),
            private=imp.is_private,
            share_bps=imp.share_bps,
            # Ranked bids in their order, then the others by name.
            outcomes=tuple(
                sorted(told_of, key=lambda each: (each.rank is None, each.rank, each.bidder, each.bidder_id))
            ),
            award=_award(award) if award is not None and award.sold else None,
            unsold_reason=award.reason if award is not None and not award.sold else None,
        )


def _floor(imp: ImpOffered) -> str | None:
    """The event has 0 where there is no rate."""
    has_rate = imp.stated_floor is None or imp.stated_floor.rate
    return cpm_text(imp.floor_micros) if has_rate else None


def _deal(deal: DealOffered) -> Deal:
    return Deal(
        id=deal.deal_id,
        floor=None if deal.floor_micros is None else cpm_text(deal.floor_micros),
        at=deal.at,
        registered=deal.is_registered,
        stated_floor=_stated(deal.stated_floor),
    )


def _award(row: Row[Any]) -> Award:
    return Award(
        bidder_id=row.bidder_id,
        bid_id=row.bid_id,
        price=cpm_text(row.price_micros),
        clearing_price=cpm_text(row.clearing_price_micros),
        currency=row.currency,
        deal_id=row.deal_id,
        auction_type=row.auction_type,
        revenue=cpm_text(row.revenue_micros),
        fee=cpm_text(row.fee_micros),
        min_to_win=_price(row.min_to_win_micros),
        ranked_by=row.ranked_by,
        held_ms=row.held_ms,
    )


def _outcome(row: Row[Any], award: Row[Any] | None, known: _Known) -> Outcome:
    names = known.names
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
        price=_price(row.price_micros),
        currency=row.currency,
        latency_ms=row.latency_ms,
        rank=rank,
        deal_id=row.deal_id,
        floor=_price(row.floor_micros),
        media_type=row.media_type,
        group=row.bid_group,
        stated=None if row.stated is None else _stated(_decode_stated(row.stated)),
        other_bids=tuple(_other_bid(each) for each in _decode_other_bids(row.other_bids)) if row.other_bids else (),
        campaign=known.campaigns.get(row.bid_id) if row.bidder_id == DIRECT_ID else None,
        segments=_decode_segments(row.segments) if row.segments else (),
    )


def _verdict_on_bid(bid: Row[Any], award: Row[Any] | None, names: Mapping[str, str]) -> tuple[OutcomeStatus, int, str]:
    """What became of a bid that entered the ranking: the award tells. This is the operator's view."""
    if award is None:
        return "lost", LossReason.INTERNAL_ERROR, "No decision about the imp was logged."
    if bid.bidder_id in (award.withdrawn or ()):
        return "lost", LossReason.LOST_TO_HIGHER_BID, "Stepped back: its group of bids could not win as a whole."
    if not award.sold:
        return "lost", LossReason.BELOW_FLOOR, award.reason
    if award.bidder_id == bid.bidder_id:
        return "won", LossReason.WON, f"Won, and pays {cpm_text(award.clearing_price_micros)} {award.currency}."
    return "lost", *_loss(bid, award, names.get(award.bidder_id, award.bidder_id))


def _loss(bid: Row[Any], award: Row[Any], winner: str) -> tuple[int, str]:
    price = f"{cpm_text(award.price_micros)} {award.currency}"
    if award.deal_id is not None and bid.deal_id is None:
        return LossReason.LOST_TO_DEAL, f"Lost to a bid for deal {award.deal_id}: {winner} bid {price}."
    if award.price_micros == bid.price_micros:
        return LossReason.LOST_TO_HIGHER_BID, f"Lost to an earlier bid of the same price: {winner} bid {price}."
    return LossReason.LOST_TO_HIGHER_BID, f"Lost to a higher bid: {winner} bid {price}."


def _other_bid(bid: OtherBid) -> OtherBidStory:
    return OtherBidStory(bid_id=bid.bid_id, code=bid.code, reason=bid.reason, price=_price(bid.price_micros))


# -- what happened after -----------------------------------------------------------------------------


def _late_answer(row: Row[Any], names: Mapping[str, str]) -> LateAnswer:
    return LateAnswer(
        bidder_id=row.bidder_id,
        bidder=names.get(row.bidder_id, row.bidder_id),
        latency_ms=row.latency_ms,
        http_status=row.http_status,
        bids=tuple(
            LateBidStory(bid_id=bid.bid_id, imp_id=bid.imp_id, price=cpm_text(bid.price_micros), currency=bid.currency)
            for bid in _decode_late_bids(row.bids)
        ),
        reason=row.reason,
    )


def _notice(row: Row[Any], names: Mapping[str, str]) -> NoticeStory:
    return NoticeStory(
        kind=row.kind,
        at=row.at,
        imp_id=row.imp_id,
        bidder_id=row.bidder_id,
        bidder=names.get(row.bidder_id, row.bidder_id),
        bid_id=row.bid_id,
        url=row.url,
        delivered=row.http_status is not None,
        attempts=row.attempts,
        http_status=row.http_status,
        reason=row.reason,
    )


def _stated(price: StatedPrice | None) -> Stated | None:
    if price is None:
        return None
    return Stated(
        price=cpm_text(price.price_micros),
        currency=price.currency,
        rate=price.rate,
        adjustment_bps=None if price.adjustment_bps == BASIS_POINTS else price.adjustment_bps,
    )


def _price(micros: int | None) -> str | None:
    return None if micros is None else cpm_text(micros)
