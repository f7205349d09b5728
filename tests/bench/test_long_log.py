"""A log that is filled for a rebuild holds whole auctions, each under ids of its own, in the order of their events."""

from __future__ import annotations

from collections import Counter, defaultdict

from bench.long_log import COPIES, fill
from commands.kafka_partitioner import partition_of
from domain.codec import decode
from domain.events import AuctionAwarded, AuctionUnsold, BidPlaced, BidRefused, BidRequested, Event, ImpressionRecorded
from domain.names import Names
from projections.auction_day import auction_day
from tests.conftest import PARTITIONS
from tests.projections.traffic import Log

EVENTS = 3_000


async def test_as_many_events_as_were_asked_for(kafka_url: str, names: Names) -> None:
    """Every auction is complete, ends last, has its own ids, and lies where its key belongs."""
    told: list[int] = []
    logged = await fill(kafka_url, names, PARTITIONS, EVENTS, told.append)

    async with Log(kafka_url, names) as log:
        events = [decode(payload) for payload in await log.payloads(names.auctions)]
        seen = [decode(payload) for payload in await log.payloads(names.engagements)]
    assert EVENTS <= logged == len(events) + len(seen) == told[-1]
    by_auction: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        assert isinstance(event, BidRequested | BidPlaced | BidRefused | AuctionAwarded | AuctionUnsold)
        by_auction[event.auction_id].append(event)
    for auction_id, its_events in by_auction.items():
        kinds = [type(event) for event in its_events]
        assert kinds[0] is BidRequested
        assert kinds[-1] in {AuctionAwarded, AuctionUnsold}
        assert Counter(kinds)[BidPlaced] + Counter(kinds)[BidRefused] == 3
        assert str(auction_day(auction_id)) == "2026-03-01"
    assert all(isinstance(event, ImpressionRecorded) and event.auction_id in by_auction for event in seen)
    ids = [event.id for event in (*events, *seen)]
    assert len(set(ids)) == len(ids)


async def test_copies_have_keys_and_partitions_of_their_own(kafka_url: str, names: Names) -> None:
    """What differs between copies of an auction is its id, and so they spread over the partitions."""
    await fill(kafka_url, names, PARTITIONS, EVENTS)

    async with Log(kafka_url, names) as log:
        requested = [decode(payload) for payload in await log.payloads(names.auctions)]
    auctions = {event.auction_id for event in requested if isinstance(event, BidRequested)}
    originals = Counter(auction_id[:14] + auction_id[18:] for auction_id in auctions)
    assert max(originals.values()) == COPIES
    shares = Counter(partition_of(auction_id.encode(), PARTITIONS) for auction_id in auctions)
    assert len(shares) == PARTITIONS
    assert min(shares.values()) > len(auctions) / PARTITIONS / 2
