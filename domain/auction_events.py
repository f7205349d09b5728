"""The events that tell of one auction, in the order in which they happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from domain.award import Award
from domain.direct.award import awarded_demand
from domain.event_parts import RankedBy, SegmentsRead
from domain.events import AuctionAwarded, AuctionUnsold, BidPlaced, BidRefused, BidRequested, Event
from domain.expiry import impression_expires_at
from domain.money import micros_from_decimal
from domain.openrtb.response import size_of
from domain.outcomes import Missed, Outcome, Placed, notices_of
from domain.sale import ImpOnSale, Sale


class AuctionStory:
    """Collects one auction's events, each with a fresh id, so that ids sort as the events happened."""

    def __init__(self, auction_id: str, *, test: bool, new_id: Callable[[], str]) -> None:
        self.events: list[Event] = []
        self._auction_id = auction_id
        self._test = test
        self._new_id = new_id
        self._cause = ""

    def requested(
        self,
        sale: Sale,
        request: msgspec.Raw,
        *,
        at: datetime,
        tmax_ms: int,
        robot: bool = False,
        restricted_by: tuple[str, ...] = (),
        segments: SegmentsRead | None = None,
    ) -> None:
        """The auction began; all else follows from this event, and this event from a command of its own id."""
        self._cause = self._new_id()
        event = BidRequested(
            request_id=sale.request.id,
            auction_type=sale.auction_type,
            currency=sale.currency,
            tmax_ms=tmax_ms,
            imps=tuple(each.offered for each in sale.imps.values()),
            request=request,
            robot=robot,
            restricted_by=restricted_by,
            segments=segments,
            **self._head(at),
        )
        self.events.append(event)
        self._cause = event.id

    def bidder(
        self, bidder_id: str, outcomes: Mapping[str, Outcome], sale: Sale, *, at: datetime, latency_ms: float | None
    ) -> None:
        """What became of a bidder: one event per imp."""
        for imp_id, outcome in outcomes.items():
            head = {"imp_id": imp_id, "bidder_id": bidder_id, **self._head(at)}
            if isinstance(outcome, Placed):
                assert latency_ms is not None, "only a bidder that was called can have bid"
                self.events.append(_placed(outcome, sale.imps[imp_id], sale, latency_ms, head))
            else:
                self.events.append(_refused(outcome, sale, latency_ms, head))

    def awarded(
        self,
        award: Award,
        placed: Placed,
        sale: Sale,
        *,
        withdrawn: tuple[str, ...],
        at: datetime,
        held_ms: float,
        ranked_by: RankedBy,
    ) -> None:
        """An imp was sold, to the bid `placed`."""
        winner = award.winner
        for_sale = sale.imps[award.imp_id]
        direct = None if placed.direct is None else awarded_demand(placed, award)
        self.events.append(
            AuctionAwarded(
                imp_id=award.imp_id,
                bidder_id=winner.bidder_id,
                bid_id=winner.bid_id,
                seat=winner.seat,
                deal_id=winner.deal_id,
                price_micros=winner.price_micros,
                clearing_price_micros=award.clearing.price_micros,
                revenue_micros=award.revenue_micros,
                fee_micros=award.fee_micros,
                currency=sale.currency,
                auction_type=award.clearing.auction_type,
                ranking=tuple(candidate.bidder_id for candidate in award.ranking),
                withdrawn=withdrawn,
                ranked_by=ranked_by,
                inventory=for_sale.inventory,
                held_ms=held_ms,
                min_to_win_micros=award.clearing.min_to_win_micros,
                direct=direct,
                expires_at=None if direct is None else impression_expires_at(for_sale.imp, placed.bid.bid, at),
                size=size_of(placed.bid.bid),
                **self._head(at),
            )
        )

    def unsold(
        self, for_sale: ImpOnSale, reason: str, *, withdrawn: tuple[str, ...], at: datetime, held_ms: float
    ) -> None:
        """Nobody got the imp."""
        self.events.append(
            AuctionUnsold(
                imp_id=for_sale.imp.id,
                reason=reason,
                inventory=for_sale.inventory,
                held_ms=held_ms,
                withdrawn=withdrawn,
                **self._head(at),
            )
        )

    def _head(self, at: datetime) -> dict[str, Any]:
        return {
            "id": self._new_id(),
            "at": at,
            "correlation_id": self._auction_id,
            "causation_id": self._cause,
            "auction_id": self._auction_id,
            "test": self._test,
        }


def _placed(outcome: Placed, for_sale: ImpOnSale, sale: Sale, latency_ms: float, head: dict[str, Any]) -> BidPlaced:
    bid, admitted = outcome.bid.bid, outcome.admitted
    deal = admitted.deal
    return BidPlaced(
        bid_id=bid.id,
        price_micros=admitted.price_micros,
        currency=sale.currency,
        latency_ms=latency_ms,
        inventory=for_sale.inventory,
        seat=outcome.bid.seat,
        deal_id=None if deal is None else deal.id,
        crid=bid.crid,
        adomain=bid.adomain or (),
        width=bid.w,
        height=bid.h,
        notices=notices_of(outcome.bid, sale, outcome.response_bid_id),
        other_bids=outcome.others,
        floor_micros=None if admitted.floor_micros == (for_sale.floor.micros or 0) else admitted.floor_micros,
        deal_at=None if deal is None else deal.at,
        group=outcome.group,
        stated=admitted.stated,
        media_type=admitted.media_type,
        direct=None if outcome.direct is None else outcome.direct.demand,
        **head,
    )


def _refused(outcome: Missed, sale: Sale, latency_ms: float | None, head: dict[str, Any]) -> BidRefused:
    parsed = outcome.bid
    return BidRefused(
        outcome=outcome.status,
        code=outcome.code,
        reason=outcome.reason,
        latency_ms=latency_ms,
        bid_id=outcome.bid_id,
        price_micros=None if parsed is None else micros_from_decimal(parsed.bid.price),
        currency=None if parsed is None else outcome.currency,
        seat="" if parsed is None else parsed.seat,
        notices=None if parsed is None else notices_of(parsed, sale, outcome.response_bid_id),
        other_bids=outcome.others,
        **head,
    )
