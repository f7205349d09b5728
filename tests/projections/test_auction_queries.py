"""An auction's story says what became of each bidder and why; the list finds it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from domain import events
from domain.errors import InvalidInput
from domain.event_parts import ImpOffered, Inventory, OtherBid, OutcomeStatus
from domain.events import Event
from projections.queries.auction_story import auction_story
from projections.queries.auctions import list_auctions
from tests.projections.conftest import ReadSide
from tests.projections.traffic import START, Traffic

SHOP = Inventory(publisher_id="pub-1", placement_id="top", site="shop.example", country="DEU", device_type=1)


class Auction:
    """Builds one auction event by event."""

    def __init__(self, traffic: Traffic, *, minute: int = 0, site: str = "shop.example") -> None:
        self._traffic = traffic
        self.at = START + timedelta(minutes=minute)
        self.id = traffic.id_at(self.at)
        self.inventory = msgspec.structs.replace(SHOP, site=site)
        self.events: list[Event] = []

    def add(self, event: type[Event], **fields: Any) -> Any:
        ids = {"correlation_id": self.id, "causation_id": self.id, "auction_id": self.id}
        self.events.append(event(id=self._traffic.id_at(self.at), at=self.at, **ids, **fields))
        return self.events[-1]

    def requested(self, *imp_ids: str, **fields: Any) -> None:
        self.add(
            events.BidRequested,
            request_id="r",
            auction_type=2,
            currency="USD",
            tmax_ms=250,
            imps=tuple(ImpOffered(imp_id=each, floor_micros=500_000, inventory=self.inventory) for each in imp_ids),
            request=msgspec.Raw(b'{"id":"r","ext":{"kept":1e2}}'),
            **fields,
        )

    def placed(self, imp_id: str, bidder_id: str, price_micros: int, **fields: Any) -> None:
        self.add(
            events.BidPlaced,
            imp_id=imp_id,
            bidder_id=bidder_id,
            bid_id=f"bid of {bidder_id}",
            price_micros=price_micros,
            currency="USD",
            latency_ms=10.5,
            inventory=self.inventory,
            **fields,
        )

    def refused(self, imp_id: str, bidder_id: str, outcome: OutcomeStatus, code: int, **fields: Any) -> None:
        self.add(
            events.BidRefused,
            imp_id=imp_id,
            bidder_id=bidder_id,
            outcome=outcome,
            code=code,
            reason=f"It is {outcome}.",
            **fields,
        )

    def awarded(self, imp_id: str, ranking: tuple[str, ...], price_micros: int, clearing: int, **fields: Any) -> Any:
        return self.add(
            events.AuctionAwarded,
            imp_id=imp_id,
            bidder_id=ranking[0],
            bid_id=f"bid of {ranking[0]}",
            price_micros=price_micros,
            clearing_price_micros=clearing,
            revenue_micros=clearing,
            fee_micros=0,
            currency="USD",
            auction_type=2,
            ranking=ranking,
            ranked_by="redis",
            inventory=self.inventory,
            held_ms=60.0,
            **fields,
        )

    def unsold(self, imp_id: str, reason: str) -> None:
        self.add(events.AuctionUnsold, imp_id=imp_id, reason=reason, inventory=self.inventory, held_ms=60.0)


DEAR, CHEAP = {"bidder_id": "b-1", "bidder": "Dear"}, {"bidder_id": "b-2", "bidder": "Cheap"}
IN_TIME = {"currency": "USD", "latency_ms": 10.5}
IMPS = [
    {
        "id": "1",
        "floor": "0.50",
        "outcomes": [
            DEAR
            | IN_TIME
            | {
                "status": "won",
                "code": 0,
                "reason": "Won, and pays 1.25 USD.",
                "price": "2.50",
                "rank": 1,
            },
            CHEAP
            | IN_TIME
            | {
                "status": "lost",
                "code": 102,
                "reason": "Lost to a higher bid: Dear bid 2.50 USD.",
                "price": "1.24",
                "rank": 2,
            },
            {
                "bidder_id": "b-3",
                "bidder": "b-3",
                "status": "timeout",
                "code": 101,
                "reason": "It is timeout.",
                "latency_ms": 250.0,
            },
            {
                "bidder_id": "b-4",
                "bidder": "b-4",
                "status": "refused",
                "code": 100,
                "reason": "It is refused.",
                "price": "0.10",
                "currency": "USD",
                "other_bids": [{"bid_id": "lower", "code": 100, "reason": "Below the floor.", "price": "0.05"}],
            },
        ],
        "award": {
            "bidder_id": "b-1",
            "bid_id": "bid of b-1",
            "price": "2.50",
            "clearing_price": "1.25",
            "currency": "USD",
            "auction_type": 2,
            "revenue": "1.25",
            "fee": "0.00",
            "ranked_by": "redis",
            "held_ms": 60.0,
        },
    },
    {
        "id": "2",
        "floor": "0.50",
        "outcomes": [
            CHEAP
            | IN_TIME
            | {
                "status": "won",
                "code": 0,
                "reason": "Won, and pays 2.00 USD.",
                "price": "2.00",
                "rank": 1,
                "deal_id": "d-1",
            },
            IN_TIME
            | {
                "bidder_id": "b-3",
                "bidder": "b-3",
                "status": "lost",
                "code": 102,
                "reason": "Lost to an earlier bid of the same price: Cheap bid 2.00 USD.",
                "price": "2.00",
                "rank": 2,
                "deal_id": "d-2",
            },
            DEAR
            | IN_TIME
            | {
                "status": "lost",
                "code": 103,
                "reason": "Lost to a bid for deal d-1: Cheap bid 2.00 USD.",
                "price": "3.00",
                "rank": 3,
            },
        ],
        "award": {
            "bidder_id": "b-2",
            "bid_id": "bid of b-2",
            "price": "2.00",
            "clearing_price": "2.00",
            "currency": "USD",
            "auction_type": 2,
            "revenue": "2.00",
            "fee": "0.00",
            "ranked_by": "redis",
            "held_ms": 60.0,
            "deal_id": "d-1",
        },
    },
    {
        "id": "3",
        "floor": "0.50",
        "outcomes": [DEAR | {"status": "no_bid", "code": 2, "reason": "It is no_bid."}],
        "unsold_reason": "Nobody bid.",
    },
]
"""What the story of the next test says of its imps."""


async def test_the_whole_story(read_side: ReadSide) -> None:
    """Every imp with every bidder's outcome, ranked bids first, in the public contract's words."""
    traffic = Traffic(1)
    auction = Auction(traffic)
    auction.requested("1", "2", "3")
    auction.placed("1", "b-1", 2_500_000)
    auction.placed("1", "b-2", 1_240_000)
    auction.refused("1", "b-3", "timeout", 101, latency_ms=250.0)
    auction.refused(
        "1",
        "b-4",
        "refused",
        100,
        bid_id="low",
        price_micros=100_000,
        currency="USD",
        other_bids=(OtherBid(bid_id="lower", code=100, reason="Below the floor.", price_micros=50_000),),
    )
    award = auction.awarded("1", ("b-1", "b-2"), 2_500_000, 1_250_000)
    auction.placed("2", "b-1", 3_000_000)
    auction.placed("2", "b-2", 2_000_000, deal_id="d-1")
    auction.placed("2", "b-3", 2_000_000, deal_id="d-2")
    auction.awarded("2", ("b-2", "b-3", "b-1"), 2_000_000, 2_000_000, deal_id="d-1")
    auction.refused("3", "b-1", "no_bid", 2)
    auction.unsold("3", "Nobody bid.")
    seen = [
        traffic.engagement(events.ImpressionRecorded, award, "valid"),
        traffic.engagement(events.ClickRecorded, award, "bot"),
    ]
    await read_side.log.append([traffic.bidder("b-1", "Dear"), traffic.bidder("b-2", "Cheap")])
    await read_side.log.append([*auction.events, *seen])
    await read_side.run_to_the_end("catalogue", "auction_log")

    story = await auction_story(read_side.db, auction.id)
    told = msgspec.json.decode(msgspec.json.encode(story))
    assert told["imps"] == IMPS
    assert (told["id"], told["status"], told["test"], told["at"]) == (
        auction.id,
        "awarded",
        False,
        "2026-11-20T22:30:00Z",
    )
    assert told["request"] == {"id": "r", "ext": {"kept": 100.0}}
    assert b'"kept":1e2' in msgspec.json.encode(story)
    assert [(each["kind"], each["verdict"], each["imp_id"]) for each in told["engagements"]] == [
        (kind, verdict, "1")
        for _, kind, verdict in sorted(
            [(seen[0].at, "impression", "valid"), (seen[1].at, "click", "bot")], key=lambda each: each[0]
        )
    ]


async def test_bids_that_no_award_explains(read_side: ReadSide) -> None:
    """A bid on an imp that stayed unsold was below its reserve; without any decision the story says just that."""
    auction = Auction(Traffic(2))
    auction.requested("1", "2")
    auction.placed("1", "b-1", 600_000)
    auction.unsold("1", "The best bid is below the reserve.")
    auction.placed("2", "b-1", 600_000)
    await read_side.log.append(auction.events)
    await read_side.run_to_the_end("auction_log")
    story = await auction_story(read_side.db, auction.id)
    assert story is not None
    assert story.status == "unsold"
    assert [(each.status, each.code, each.reason) for imp in story.imps for each in imp.outcomes] == [
        ("lost", 100, "The best bid is below the reserve."),
        ("lost", 1, "No decision about the imp was logged."),
    ]


@pytest.mark.parametrize("auction_id", ["", "nonsense", "01a1fb1f-3f93-7977-b51e-8722c21b6092", "0" * 36, "z" * 36])
async def test_no_such_auction(read_side: ReadSide, auction_id: str) -> None:
    """An id that names no auction has no story, whatever it looks like."""
    assert await auction_story(read_side.db, auction_id) is None


async def test_the_list(read_side: ReadSide) -> None:
    """Newest first, page by page, filtered by status, bidder and site; each filter alone and all together."""
    traffic = Traffic(3)
    made = []
    for minute in range(0, 240, 20):  # across midnight, so across partitions
        auction = Auction(traffic, minute=minute, site="shop.example" if minute % 40 else "news.example")
        auction.requested("1")
        bidder_id = "b-1" if minute % 60 else "b-2"
        auction.placed("1", bidder_id, 600_000)
        if minute % 80:
            auction.awarded("1", (bidder_id,), 600_000, 500_000)
        else:
            auction.unsold("1", "No.")
        made.append((minute, auction.id))
        await read_side.log.append(auction.events)
    await read_side.run_to_the_end("auction_log")

    async def listed(limit: int = 5, **filters: str) -> list[str]:
        found: list[str] = []
        cursor = None
        while True:
            page = await list_auctions(read_side.db, cursor=cursor, limit=limit, **filters)
            assert len(page.items) <= limit
            found += [each.id for each in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return found

    newest_first = made[::-1]
    assert await listed() == [each for _, each in newest_first]
    assert await listed(limit=1, status="awarded") == [each for minute, each in newest_first if minute % 80]
    assert await listed(status="unsold") == [each for minute, each in newest_first if not minute % 80]
    assert await listed(bidder_id="b-2") == [each for minute, each in newest_first if not minute % 60]
    assert await listed(site="news.example") == [each for minute, each in newest_first if not minute % 40]
    assert await listed(status="awarded", bidder_id="b-2", site="shop.example") == [
        each for minute, each in newest_first if minute % 80 and not minute % 60 and minute % 40
    ]
    page = await list_auctions(read_side.db, limit=1)
    assert msgspec.to_builtins(page.items[0]) == {
        "id": made[-1][1],
        "at": "2026-11-21T02:10:00Z",
        "status": "awarded",
        "test": False,
        "publisher_id": "pub-1",
        "site": "shop.example",
        "country": "DEU",
        "imps": 1,
        "bids": 1,
        "awards": ({"imp_id": "1", "bidder_id": "b-1", "bidder": "b-1", "clearing_price": "0.50", "currency": "USD"},),
    }


async def test_a_page_may_be_empty_and_more_follow(read_side: ReadSide, monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter that little meets is looked for in bounded steps, and the cursor leads on."""
    monkeypatch.setattr("projections.queries.auctions.SCAN_MAX_AUCTIONS", 3)
    traffic = Traffic(4)
    wanted = None
    for minute in range(8):
        auction = Auction(traffic, minute=minute, site="rare.example" if minute == 0 else "shop.example")
        auction.requested("1")
        wanted = wanted or auction.id
        await read_side.log.append(auction.events)
    await read_side.run_to_the_end("auction_log")
    pages = [await list_auctions(read_side.db, site="rare.example")]
    while pages[-1].next_cursor is not None:
        pages.append(await list_auctions(read_side.db, site="rare.example", cursor=pages[-1].next_cursor))
    assert [[each.id for each in page.items] for page in pages] == [[], [], [wanted]]


@pytest.mark.parametrize("wrong", [{"cursor": "!"}, {"cursor": "bm9uc2Vuc2U"}, {"status": "lost"}])
async def test_questions_that_make_no_sense(read_side: ReadSide, wrong: dict[str, str]) -> None:
    """They are refused with the name of what is wrong."""
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        await list_auctions(read_side.db, **wrong)
