"""Seeded auctions cover every rule, and a replay of them reaches the same awards."""

from __future__ import annotations

from collections import Counter

from bench.replay_twice import log_auctions
from domain.codec import decode
from domain.events import AuctionAwarded, AuctionUnsold, BidPlaced, BidRequested, Event
from domain.names import Names
from projections.logged_auctions import replay_log
from tests.projections.traffic import Log

AUCTIONS = 600
SEED = 7


async def logged(kafka_url: str, redis_url: str, names: Names, seed: int = SEED) -> list[Event]:
    await log_auctions(kafka_url, redis_url, names, AUCTIONS, seed)
    async with Log(kafka_url, names) as log:
        return [decode(payload) for payload in await log.payloads(names.auctions)]


async def test_the_awards_are_reached_again_twice(kafka_url: str, redis_url: str, names: Names) -> None:
    """What Redis ranked in the live auctions is what the process ranks in a replay, and in the next one."""
    await log_auctions(kafka_url, redis_url, names, AUCTIONS, SEED)
    first, second = [await replay_log(kafka_url, names) for _ in range(2)]
    assert (first.failures, first.undecided, first.corrupt_events) == ((), 0, 0)
    assert first.found.auctions == AUCTIONS
    assert first.found == second.found


async def test_every_rule_is_met(kafka_url: str, redis_url: str, names: Names) -> None:
    """Among few hundred auctions there are all prices' rules, deals, groups, currencies and ties."""
    events = await logged(kafka_url, redis_url, names)
    awards = [event for event in events if isinstance(event, AuctionAwarded)]
    bids = [event for event in events if isinstance(event, BidPlaced)]
    requests = [event for event in events if isinstance(event, BidRequested)]
    assert {award.ranked_by for award in awards} == {"redis"}
    assert {award.auction_type for award in awards} == {1, 2, 3}
    assert {award.currency for award in awards} == {"USD", "EUR", "JPY"}
    assert {bid.media_type for bid in bids} == {"banner", "video"}
    assert {len(each.imps) for each in requests} == {1, 2, 3}
    assert any(award.deal_id is None for award in awards)
    assert any(award.deal_id == "house-deal" for award in awards)
    assert any(event.withdrawn for event in events if isinstance(event, AuctionAwarded | AuctionUnsold))
    assert any(bid.stated is not None and bid.stated.adjustment_bps == 9_000 for bid in bids)
    assert any(imp.is_private for each in requests for imp in each.imps)
    assert any(isinstance(event, AuctionUnsold) for event in events)
    prices = Counter((bid.auction_id, bid.imp_id, bid.price_micros, bid.deal_id is None) for bid in bids)
    assert max(prices.values()) > 1, "some bids of one imp are equal"
