"""Engagements that cost something, refunds of them, and days that are closed: put into a real log."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from domain import events
from domain.codec import encode
from tests.conftest import PARTITIONS
from tests.projections.books import Sums, books_in
from tests.projections.conftest import ReadSide
from tests.projections.traffic import Traffic


class Bookkeeping:
    """Engagements of all kinds, refunds, and days that are closed."""

    def __init__(self, read_side: ReadSide, seed: int) -> None:
        self._read_side = read_side
        self.traffic = Traffic(seed)

    def engagement(self, kind: type[events.Engagement] = events.ImpressionRecorded, **fixed: Any) -> events.Engagement:
        """A valid one of a fresh auction's first award."""
        while True:
            for award in self.traffic.auction(test=False):
                if isinstance(award, events.AuctionAwarded):
                    return replace(self.traffic.engagement(kind, award, "valid"), **fixed)

    def of_campaign(self, kind: type[events.Engagement], **fixed: Any) -> events.Engagement:
        """One that a campaign of the exchange's own pays for per click."""
        campaign = {"bidder_id": "direct", "advertiser_id": "adv-1", "campaign_id": "c-1", "charged_on": "click"}
        return self.engagement(kind, **campaign | fixed)

    def void(self, engagement: events.Engagement, at: datetime | None = None) -> events.EngagementVoided:
        at = at or engagement.at + timedelta(hours=1)
        return events.EngagementVoided(
            id=self.traffic.id_at(at),
            at=at,
            correlation_id=engagement.auction_id,
            causation_id="command",
            auction_id=engagement.auction_id,
            imp_id=engagement.imp_id,
            engagement_id=engagement.id,
            kind="click" if isinstance(engagement, events.ClickRecorded) else "impression",
            reason="It was shown where nobody could see it.",
        )

    async def log(self, logged: Iterable[events.Event]) -> None:
        for each in logged:
            await self._read_side.log.append_bytes(self._read_side.names.engagements, each.correlation_id, encode(each))

    async def close(self, day: date) -> None:
        at = datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=UTC)
        for partition in range(PARTITIONS):
            closing = events.LedgerDayClosed(
                id=self.traffic.id_at(at),
                at=at,
                correlation_id=f"ledger {day}",
                causation_id="command",
                day=day,
                partition=partition,
                partitions=PARTITIONS,
            )
            await self._read_side.log.append_to(self._read_side.names.engagements, partition, closing)

    async def books(self) -> Sums:
        await self._read_side.run_to_the_end("ledger")
        return await books_in(self._read_side)
