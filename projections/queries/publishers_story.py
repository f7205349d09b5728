"""An auction's story as the publisher may read it whose inventory was sold.

It learns of its own imps who was asked and how each answer ended, what it is paid and what came of it; never what
anybody bid. Whatever the operator's story gains stays out of this one until it is put in here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import msgspec

from domain.openrtb.codes import LossReason, NonBidStatus
from projections.queries.auction_told import told
from projections.queries.story_parts import AuctionStory, Award, ImpStory, Outcome, Paragraph

_JUDGED_BY_LOSS = frozenset({"won", "lost", "refused"})


def publishers_story(story: AuctionStory, ids: Collection[str]) -> AuctionStory | None:
    """The story of the imps of these ids, the publisher's own; None where there are none."""
    imps = tuple(_imp(imp) for imp in story.imps if imp.id in ids)
    if not imps:
        return None
    reduced = AuctionStory(
        id=story.id,
        status="awarded" if any(imp.award is not None for imp in imps) else "unsold",
        test=story.test,
        robot=story.robot,
        restricted_by=story.restricted_by,
        at=story.at,
        auction_type=story.auction_type,
        currency=story.currency,
        tmax_ms=story.tmax_ms,
        request=_request(story, ids),
        imps=imps,
        engagements=tuple(each for each in story.engagements if each.imp_id in ids),
        # Both name prices: of bids that came late, and inside the addresses of notices.
        late_answers=(),
        notices=(),
    )
    return msgspec.structs.replace(reduced, told=tuple(_told(reduced)))


def _request(story: AuctionStory, ids: Collection[str]) -> msgspec.Raw:
    """As logged, without the imps of others."""
    if all(imp.id in ids for imp in story.imps):
        return story.request
    request = msgspec.json.decode(story.request, type=dict[str, object])
    imps = request.get("imp")
    kept = [imp for imp in imps if isinstance(imp, dict) and imp.get("id") in ids] if isinstance(imps, list) else []
    return msgspec.Raw(msgspec.json.encode({**request, "imp": kept}))


def _imp(imp: ImpStory) -> ImpStory:
    return ImpStory(
        id=imp.id,
        floor=imp.floor,
        stated_floor=imp.stated_floor,
        media_types=imp.media_types,
        deals=imp.deals,
        private=imp.private,
        share_bps=imp.share_bps,
        outcomes=tuple(_outcome(each) for each in imp.outcomes),
        award=None if imp.award is None else _award(imp.award),
        unsold_reason=None if imp.unsold_reason is None else "Nobody bid, or no bid reached the floor.",
    )


def _outcome(outcome: Outcome) -> Outcome:
    """Sentences of the log name prices, so the code's own stands in their place."""
    codes = LossReason if outcome.status in _JUDGED_BY_LOSS else NonBidStatus
    return Outcome(
        bidder_id=outcome.bidder_id,
        bidder=outcome.bidder,
        status=outcome.status,
        code=outcome.code,
        reason=f"{codes.describe(outcome.code)}.",
        latency_ms=outcome.latency_ms,
        rank=outcome.rank,
        deal_id=outcome.deal_id,
        media_type=outcome.media_type,
    )


def _award(award: Award) -> Award:
    return Award(
        bidder_id=award.bidder_id,
        bid_id=award.bid_id,
        price=None,
        clearing_price=award.clearing_price,
        currency=award.currency,
        deal_id=award.deal_id,
        auction_type=award.auction_type,
        revenue=award.revenue,
        fee=award.fee,
        ranked_by=award.ranked_by,
        held_ms=award.held_ms,
    )


def _told(story: AuctionStory) -> Iterator[Paragraph]:
    silent = tuple(msgspec.structs.replace(imp, outcomes=(), award=None) for imp in story.imps)
    [request, *_, afterwards] = told(msgspec.structs.replace(story, imps=silent))
    yield request
    for imp in story.imps:
        yield Paragraph(title=f"Imp {imp.id}", sentences=tuple(_sentences(imp)))
    yield afterwards


def _sentences(imp: ImpStory) -> Iterator[str]:
    asked = [each.bidder for each in imp.outcomes if each.status != "skipped"]
    yield f"Asked for a bid: {_listed(asked)}."
    bids = [each.bidder for each in imp.outcomes if each.rank is not None]
    if bids:
        yield f"The ranking: {', '.join(f'{place}. {bidder}' for place, bidder in enumerate(bids, 1))}."
    if imp.award is None:
        yield f"It was not sold: {(imp.unsold_reason or 'no decision was logged').rstrip('.').lower()}."
        return
    winner = next((each.bidder for each in imp.outcomes if each.rank == 1), imp.award.bidder_id)
    yield (
        f"{winner} won and pays {imp.award.clearing_price} {imp.award.currency} per thousand impressions,"
        f" of which {imp.award.revenue} are the publisher's."
    )


def _listed(bidders: Iterable[str]) -> str:
    return ", ".join(bidders) or "nobody"
