"""Auctions of the last minute whose bidders want to hear about them, as events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from domain.event_parts import ImpOffered, Inventory, NoticeUrls, Viewer
from domain.events import AuctionAwarded, BidPlaced, BidRequested, Event, ImpressionRecorded
from gavel.process_clock import fresh_id
from tests.projections.traffic import Traffic


class NoticeStory:
    """One auction that `winner` won and `loser` lost; both are base addresses, to which the kind is added."""

    def __init__(self, winner: str, loser: str, *, age: timedelta = timedelta(), aged_id: bool = False) -> None:
        """Its events are as old as `age` says, its id only with `aged_id`."""
        self._at = datetime.now(UTC) - age
        self.auction_id = Traffic(0).id_at(self._at) if aged_id else fresh_id()
        self.won = self._placed("winner", winner, 1_000_000)
        self.lost = self._placed("loser", loser, 900_000)
        imp = ImpOffered(imp_id="1", floor_micros=850_000, inventory=Inventory())
        requested = BidRequested(
            **self._head(), request_id="r1", auction_type=2, currency="USD", tmax_ms=250, imps=(imp,),
            request=msgspec.Raw(b"{}"),
        )  # fmt: skip
        awarded = AuctionAwarded(
            **self._head(), **self._bid("winner", 1_000_000), clearing_price_micros=910_000, revenue_micros=728_000,
            fee_micros=182_000, auction_type=2, ranking=("winner", "loser"), ranked_by="redis",
            inventory=Inventory(), held_ms=80.0, min_to_win_micros=900_000,
        )  # fmt: skip
        self.auction: list[Event] = [requested, self.won, self.lost, awarded]
        """In the order of the log."""

    def impression(self, **changes: Any) -> ImpressionRecorded:
        """The winner's ad was seen, now."""
        values = {
            **self._bid("winner", 1_000_000), "verdict": "valid", "clearing_price_micros": 910_000,
            "revenue_micros": 728_000, "fee_micros": 182_000, "inventory": Inventory(), "awarded_at": self._at,
            "viewer": Viewer(ip="203.0.113.0", user_agent="Browser"),
        }  # fmt: skip
        return ImpressionRecorded(**{**self._head(), **values, **changes})

    def _placed(self, bidder: str, base: str, price_micros: int) -> BidPlaced:
        told = "?p=${AUCTION_PRICE}&m=${AUCTION_MIN_TO_WIN}&l=${AUCTION_LOSS}"
        urls = NoticeUrls(nurl=f"{base}/win{told}", burl=f"{base}/bill{told}", lurl=f"{base}/loss{told}")
        return BidPlaced(
            **self._head(), **self._bid(bidder, price_micros), latency_ms=12.0, inventory=Inventory(), notices=urls
        )

    def _bid(self, bidder: str, price_micros: int) -> dict[str, Any]:
        return {
            "imp_id": "1", "bidder_id": bidder, "bid_id": f"bid-{bidder}", "price_micros": price_micros,
            "currency": "USD",
        }  # fmt: skip

    def _head(self) -> dict[str, Any]:
        return {
            "id": fresh_id(), "at": self._at, "correlation_id": self.auction_id, "causation_id": self.auction_id,
            "auction_id": self.auction_id,
        }  # fmt: skip
