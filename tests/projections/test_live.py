"""The live figures: one publisher, once a second, of what has happened since."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal

import msgspec

from domain import events
from projections.figures import Figures, percentiles
from tests.projections.conftest import ReadSide
from tests.projections.traffic import Traffic


async def test_figures_add_up_to_what_was_logged(read_side: ReadSide) -> None:
    """With two processes running, each event is in one published figure, tests in none."""
    traffic = Traffic(1)
    await read_side.log.append_traffic(traffic, 20)  # history: nothing of it is ever published
    totals: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    spend: Counter[str] = Counter()
    made: list[events.Event] = []
    async with (
        read_side.running("live"),
        read_side.running("live"),
        read_side.redis.pubsub() as subscription,
    ):
        await subscription.subscribe(read_side.names.live_channel)

        async def figures() -> Figures:
            async with asyncio.timeout(30):
                while True:
                    message = await subscription.get_message(ignore_subscribe_messages=True, timeout=5)
                    if message is not None:
                        return msgspec.json.decode(message["data"], type=Figures)

        first = await figures()
        assert set(first.lag) == {
            "catalogue",
            "catalogue_cache",
            "auction_log",
            "delivery",
            "ledger",
            "budgets",
            "bidder_health",
            "traffic",
            "notices",
            "audiences",
            "audiences_bulk",
        }
        assert first.lag["delivery"] is not None
        assert first.lag["delivery"] > 0
        for _ in range(40):
            story = traffic.auction()
            made += [*story, *traffic.engagements(story)]
        await read_side.log.append(made)
        expected = [each for each in made if not getattr(each, "test", False)]
        requests = sum(isinstance(each, events.BidRequested) for each in expected)
        clicks = sum(isinstance(each, events.ClickRecorded) and each.verdict == "valid" for each in expected)
        impressions = [e for e in expected if isinstance(e, events.ImpressionRecorded) and e.verdict == "valid"]
        while totals["auctions"] < requests or totals["impressions"] < len(impressions) or totals["clicks"] < clicks:
            each = await figures()
            totals.update(
                auctions=each.auctions, bids=each.bids, wins=each.wins, impressions=each.impressions, clicks=each.clicks
            )
            outcomes.update(each.outcomes)
            spend.update({currency: int(Decimal(text) * 10**9) for currency, text in each.spend.items()})
    assert totals["auctions"] == requests
    assert totals["impressions"] == len(impressions)
    assert totals["clicks"] == clicks
    assert totals["bids"] == sum(isinstance(each, events.BidPlaced) for each in expected) == outcomes["placed"]
    assert totals["wins"] == sum(isinstance(each, events.AuctionAwarded) for each in expected)
    owed: Counter[str] = Counter()
    for impression in impressions:
        owed[impression.currency] += impression.clearing_price_micros
    assert spend == owed


def test_percentiles_are_values_that_were_measured() -> None:
    """Nearest rank; nothing measured is null."""
    assert msgspec.structs.astuple(percentiles([])) == (None, None, None)
    assert msgspec.structs.astuple(percentiles([5.0])) == (5.0, 5.0, 5.0)
    assert msgspec.structs.astuple(percentiles([float(each) for each in range(100, 0, -1)])) == (50.0, 95.0, 99.0)
