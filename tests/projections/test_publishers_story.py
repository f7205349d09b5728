"""An auction over the inventory of two publishers: each reads of its own imps, and neither what was bid."""

from __future__ import annotations

import msgspec
import pytest

from domain import events
from domain.event_parts import ImpOffered, OtherBid, StatedPrice
from projections.queries.auction_story import auction_story
from projections.queries.auctions import list_auctions
from tests.projections.conftest import ReadSide
from tests.projections.test_auction_queries import SHOP, Auction
from tests.projections.traffic import Traffic

OTHERS = msgspec.structs.replace(SHOP, publisher_id="pub-2", placement_id="foot")
NAMED_IN_BIDS = ("7.77", "6.66", "5.55", "4.44", "3.33")


def of_two_publishers() -> Auction:
    """Imp 1 of pub-1 is sold, imp 2 of pub-2 is not; every place where a price can stand holds one."""
    traffic = Traffic(21)
    auction = Auction(traffic)
    auction.add(
        events.BidRequested,
        request_id="r",
        auction_type=2,
        currency="USD",
        tmax_ms=250,
        imps=(
            ImpOffered(imp_id="1", floor_micros=500_000, inventory=SHOP, share_bps=8_000),
            ImpOffered(imp_id="2", floor_micros=900_000, inventory=OTHERS, share_bps=7_000),
        ),
        request=msgspec.Raw(b'{"id":"r","imp":[{"id":"1","tagid":"top"},{"id":"2","tagid":"foot"}],"at":2}'),
    )
    stated = StatedPrice(price_micros=6_660_000, currency="EUR", rate="1.1")
    further = (OtherBid(bid_id="o", code=102, reason="Its best bid of 7.77 competes.", price_micros=5_550_000),)
    auction.placed("1", "b-1", 7_770_000, stated=stated, other_bids=further)
    auction.placed("1", "b-2", 2_000_000)
    auction.awarded("1", ("b-1", "b-2"), 7_770_000, 2_010_000, min_to_win_micros=4_440_000)
    auction.add(
        events.BidRefused,
        imp_id="2",
        bidder_id="b-1",
        outcome="refused",
        code=100,
        reason="The bid of 3.33 is below the floor.",
        price_micros=3_330_000,
        currency="USD",
    )
    auction.unsold("2", "The best bid of 3.33 is below the floor.")
    return auction


@pytest.fixture
async def auction(read_side: ReadSide) -> Auction:
    """In the read models."""
    auction = of_two_publishers()
    await read_side.log.append(auction.events)
    await read_side.run_to_the_end("catalogue", "auction_log")
    return auction


async def test_each_publisher_reads_its_own_imps(read_side: ReadSide, auction: Auction) -> None:
    """Imp, status and request are those of the reader; a third publisher finds nothing at all."""
    one = await auction_story(read_side.db, auction.id, publisher_id="pub-1")
    two = await auction_story(read_side.db, auction.id, publisher_id="pub-2")
    assert one is not None
    assert two is not None
    assert ([imp.id for imp in one.imps], one.status) == (["1"], "awarded")
    assert ([imp.id for imp in two.imps], two.status) == (["2"], "unsold")
    asked = msgspec.json.decode(two.request)
    assert asked == {"id": "r", "imp": [{"id": "2", "tagid": "foot"}], "at": 2}
    assert await auction_story(read_side.db, auction.id, publisher_id="pub-3") is None


async def test_what_was_bid_stands_nowhere(read_side: ReadSide, auction: Auction) -> None:
    """The operator's story names every price; of a publisher's only its own floor and what it is paid are left."""
    told = msgspec.json.encode(await auction_story(read_side.db, auction.id)).decode()
    assert all(price in told for price in NAMED_IN_BIDS)
    for publisher_id in ("pub-1", "pub-2"):
        story = await auction_story(read_side.db, auction.id, publisher_id=publisher_id)
        told = msgspec.json.encode(story).decode()
        assert not [price for price in (*NAMED_IN_BIDS, '"2.00"') if price in told]
    one = await auction_story(read_side.db, auction.id, publisher_id="pub-1")
    assert one is not None
    award = one.imps[0].award
    assert award is not None
    assert (award.clearing_price, award.revenue, award.price, award.min_to_win) == ("2.01", "2.01", None, None)
    assert one.told[1].sentences == (
        "Asked for a bid: b-1, b-2.",
        "The ranking: 1. b-1, 2. b-2.",
        "b-1 won and pays 2.01 USD per thousand impressions, of which 2.01 are the publisher's.",
    )


async def test_the_list_tells_of_own_imps(read_side: ReadSide, auction: Auction) -> None:
    """Under the publisher of the first imp, with the awards of its own imps alone."""
    [line] = (await list_auctions(read_side.db, publisher_id="pub-1")).items
    assert (line.id, line.imps, [award.imp_id for award in line.awards]) == (auction.id, 1, ["1"])
    assert (await list_auctions(read_side.db, publisher_id="pub-2")).items == ()
    [whole] = (await list_auctions(read_side.db)).items
    assert whole.imps == 2
