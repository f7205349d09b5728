"""The figures of one second: what is counted of the events, and how it is put."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from domain import events
from domain.events import Event
from domain.money import amount_text

COUNTED = (
    events.BidRequested,
    events.BidPlaced,
    events.BidRefused,
    events.AuctionAwarded,
    events.AuctionUnsold,
    events.ImpressionRecorded,
    events.ClickRecorded,
)


class Percentiles(msgspec.Struct, frozen=True):
    """Milliseconds; null when nothing was measured."""

    p50: float | None
    p95: float | None
    p99: float | None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One object on `Names.live_channel`. Counts are of the last `seconds`; tests are not in them."""

    at: datetime
    seconds: float
    auctions: int
    bids: int
    wins: int
    impressions: int
    """Valid ones, as the log has them: duplicates that only Postgres can tell are still in them."""
    clicks: int
    spend: dict[str, str]
    """By currency, decimal text, of valid impressions."""
    held_ms: Percentiles
    """From a request's arrival to its decision."""
    outcomes: dict[str, int]
    """Bidders' outcomes by status; `placed` for a bid that was ranked."""
    lag: dict[str, int | None]
    """By projection: events logged and not applied; null when it cannot be told."""


class Tally:
    """What has happened since the last figures."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.spend_nanos: Counter[str] = Counter()
        self.held_ms: list[float] = []

    def add(self, batch: Iterable[Event]) -> None:
        for event in batch:
            if getattr(event, "test", False):
                continue
            match event:
                case events.BidRequested(robot=False):
                    self.counts["auctions"] += 1
                case events.BidPlaced():
                    self.counts["bids"] += 1
                    self.outcomes["placed"] += 1
                case events.BidRefused():
                    self.outcomes[event.outcome] += 1
                case events.AuctionAwarded():
                    self.counts["wins"] += 1
                    self.held_ms.append(event.held_ms)
                case events.AuctionUnsold():
                    self.held_ms.append(event.held_ms)
                case events.ImpressionRecorded(verdict="valid"):
                    self.counts["impressions"] += 1
                    self.spend_nanos[event.currency] += event.clearing_price_micros
                case events.ClickRecorded(verdict="valid"):
                    self.counts["clicks"] += 1

    def figures(self, *, at: datetime, seconds: float, lag: Mapping[str, int | None]) -> Figures:
        return Figures(
            at=at,
            seconds=round(seconds, 3),
            auctions=self.counts["auctions"],
            bids=self.counts["bids"],
            wins=self.counts["wins"],
            impressions=self.counts["impressions"],
            clicks=self.counts["clicks"],
            spend={currency: amount_text(nanos) for currency, nanos in sorted(self.spend_nanos.items())},
            held_ms=percentiles(self.held_ms),
            outcomes=dict(sorted(self.outcomes.items())),
            lag=dict(lag),
        )


def percentiles(values: Sequence[float]) -> Percentiles:
    """By nearest rank."""
    ordered = sorted(values)

    def at(share: float) -> float | None:
        return round(ordered[math.ceil(share * len(ordered)) - 1], 3) if ordered else None

    return Percentiles(at(0.5), at(0.95), at(0.99))
