"""An auction is decided again from its events alone; what the log says besides is found out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from domain.event_parts import DealOffered, ImpOffered, Inventory
from domain.events import AuctionAwarded, AuctionUnsold, BidPlaced, BidRequested, Event
from domain.replay import CannotReplay, Replayer, replay

AT = datetime(2026, 11, 21, 10, 15, 30, tzinfo=UTC)
SHOP = Inventory(publisher_id="pub-1", site="shop.example")


class Story:
    """Writes the events of one auction as they stand in the log."""

    def __init__(self, auction_id: str = "auction-1") -> None:
        self.auction_id = auction_id
        self.events: list[Event] = []

    def add(self, kind: type[Event], **fields: Any) -> None:
        ids = {"correlation_id": self.auction_id, "causation_id": self.auction_id, "auction_id": self.auction_id}
        self.events.append(kind(id=f"{self.auction_id} {len(self.events)}", at=AT, **ids, **fields))

    def requested(self, *imps: ImpOffered, at: int = 2, request: bytes = b'{"id":"r","imp":[]}', **fields: Any) -> None:
        self.add(
            BidRequested,
            request_id="r",
            auction_type=at,
            currency="USD",
            tmax_ms=200,
            imps=imps,
            request=msgspec.Raw(request),
            **fields,
        )

    def placed(self, imp_id: str, bidder_id: str, price_micros: int, **fields: Any) -> None:
        terms = {"bid_id": f"{bidder_id} for {imp_id}", "currency": "USD", "latency_ms": 9.5, "inventory": SHOP}
        self.add(BidPlaced, imp_id=imp_id, bidder_id=bidder_id, price_micros=price_micros, **terms | fields)

    def awarded(
        self, imp_id: str, ranking: Sequence[str], price_micros: int, clearing_micros: int, **fields: Any
    ) -> None:
        """By default the exchange keeps a fifth of what is paid."""
        figures: dict[str, Any] = {
            "bidder_id": ranking[0],
            "bid_id": f"{ranking[0]} for {imp_id}",
            "price_micros": price_micros,
            "clearing_price_micros": clearing_micros,
            "revenue_micros": clearing_micros * 4 // 5,
            "fee_micros": clearing_micros - clearing_micros * 4 // 5,
            "currency": "USD",
            "auction_type": 2,
            "ranking": tuple(ranking),
            "ranked_by": "redis",
            "inventory": SHOP,
            "held_ms": 60.0,
        }
        self.add(AuctionAwarded, imp_id=imp_id, **figures | fields)

    def unsold(self, imp_id: str, **fields: Any) -> None:
        self.add(
            AuctionUnsold, imp_id=imp_id, reason="No bidder had a valid bid.", inventory=SHOP, held_ms=60.0, **fields
        )


def offered(imp_id: str = "1", floor_micros: int = 500_000, **fields: Any) -> ImpOffered:
    return ImpOffered(imp_id=imp_id, floor_micros=floor_micros, inventory=SHOP, **{"share_bps": 8_000} | fields)


def duel() -> Story:
    """2.50 against 1.24: the winner pays 1.25, of which the publisher gets 1.00."""
    story = Story()
    story.requested(offered())
    story.placed("1", "cheap", 1_240_000)
    story.placed("1", "dear", 2_500_000)
    story.awarded("1", ("dear", "cheap"), 2_500_000, 1_250_000, min_to_win_micros=1_240_000)
    return story


def of_many_rules() -> Story:
    """Four imps: an agreed price, a tie, a group that steps back, and nobody."""
    story = Story("auction-2")
    story.requested(
        offered("deal", deals=(DealOffered(deal_id="d-1", floor_micros=2_000_000, at=3),)),
        offered("tie"),
        offered("group"),
        offered("nobody"),
        at=1,
    )
    story.placed("deal", "open", 9_000_000)
    story.placed("deal", "partner", 2_500_000, deal_id="d-1", floor_micros=2_000_000, deal_at=3)
    story.placed("tie", "early", 3_000_000)
    story.placed("tie", "late", 3_000_000)
    story.placed("group", "early", 800_000)
    story.placed("tie", "bundle", 2_900_000, group=1)
    story.placed("group", "bundle", 7_000_000, group=1)
    award = {"price_micros": 2_500_000, "clearing_micros": 2_000_000, "auction_type": 3, "deal_id": "d-1"}
    story.awarded("deal", ("partner", "open"), **award, min_to_win_micros=2_000_000)
    first = {"auction_type": 1, "withdrawn": ("bundle",)}
    story.awarded("tie", ("early", "late"), 3_000_000, 3_000_000, **first, min_to_win_micros=3_000_000)
    story.awarded("group", ("early",), 800_000, 800_000, **first, min_to_win_micros=500_000)
    story.unsold("nobody")
    return story


@pytest.mark.parametrize("story", [duel(), of_many_rules()], ids=["duel", "many rules"])
def test_the_same_award_is_reached(story: Story) -> None:
    """Winner, price, shares, ranking and what stepped back: all as logged."""
    again = replay(story.events)
    assert again.differences == ()
    assert [each.bidder_id for each in again.imps] == [
        event.bidder_id if isinstance(event, AuctionAwarded) else None
        for event in story.events
        if isinstance(event, AuctionAwarded | AuctionUnsold)
    ]


@pytest.mark.parametrize(
    ("figure", "forged"),
    [
        ("bidder_id", "cheap"),
        ("bid_id", "another"),
        ("clearing_price_micros", 1_240_000),
        ("revenue_micros", 999_999),
        ("fee_micros", 250_001),
        ("ranking", ("cheap", "dear")),
        ("min_to_win_micros", 1),
        ("withdrawn", ("cheap",)),
        ("deal_id", "d-1"),
        ("auction_type", 1),
    ],
)
def test_each_wrong_figure_of_an_award_is_found(figure: str, forged: Any) -> None:
    """A figure that does not follow from the bids is named, with both values."""
    story = duel()
    right = getattr(story.events[-1], figure)
    story.events[-1] = msgspec.structs.replace(story.events[-1], **{figure: forged})
    [difference] = replay(story.events).differences
    assert (difference.imp_id, difference.figure) == ("1", figure)
    assert (difference.logged, difference.replayed) == (forged, right)


def test_an_imp_that_should_have_been_sold_is_found() -> None:
    """An imp logged as unsold in spite of a valid bid, and one logged as sold without any."""
    story = duel()
    story.events.pop()
    story.unsold("1")
    [difference] = replay(story.events).differences
    assert (difference.figure, difference.logged, difference.replayed) == ("type", "auction_unsold", "auction_awarded")
    bare = [event for event in duel().events if not isinstance(event, BidPlaced)]
    [difference] = replay(bare).differences
    assert (difference.figure, difference.logged, difference.replayed) == ("type", "auction_awarded", "auction_unsold")


def test_events_from_before_floors_and_shares_were_written_down() -> None:
    """The deal's terms are found in the logged request, and the shares only have to add up."""
    request = b"""{"id":"r","imp":[{"id":"1","bidfloor":0.5,"pmp":{"deals":[
        {"id":"d-0","bidfloor":9},{"id":"d-1","bidfloor":2.10,"at":3,"x":null}]}}]}"""
    story = Story()
    story.requested(offered(share_bps=None), request=request)
    story.placed("1", "partner", 2_500_000, deal_id="d-1")
    shares = {"revenue_micros": 1_500_000, "fee_micros": 600_000}
    story.awarded("1", ("partner",), 2_500_000, 2_100_000, auction_type=3, deal_id="d-1", **shares)
    assert replay(story.events).differences == ()
    story.events[-1] = msgspec.structs.replace(story.events[-1], fee_micros=600_001)
    [difference] = replay(story.events).differences
    assert (difference.figure, difference.logged, difference.replayed) == ("fee_micros", 600_001, 600_000)


def test_a_deal_whose_floor_is_the_imp_s() -> None:
    """A bid that states no floor has the imp's, also under a deal that the events know, whatever the request says."""
    request = b'{"id":"r","imp":[{"id":"1","pmp":{"deals":[{"id":"d-1","bidfloor":75,"bidfloorcur":"JPY"}]}}]}'
    story = Story()
    story.requested(offered(deals=(DealOffered(deal_id="d-1", floor_micros=500_000),)), request=request)
    story.placed("1", "partner", 2_500_000, deal_id="d-1")
    story.awarded("1", ("partner",), 2_500_000, 500_000, deal_id="d-1", min_to_win_micros=500_000)
    assert replay(story.events).differences == ()


def test_an_event_that_was_logged_twice_counts_once() -> None:
    """As in every read model."""
    events = [each for event in duel().events for each in (event, event)]
    assert replay(events) == replay(duel().events)


@pytest.mark.parametrize(
    ("missing", "why"), [(0, "does not hold the auction's request"), (3, "holds no decision about imp 1")]
)
def test_what_the_log_lacks_is_said(missing: int, why: str) -> None:
    """Without the request or the decision there is nothing to compare."""
    events = duel().events
    del events[missing]
    with pytest.raises(CannotReplay, match=why):
        replay(events)


def test_many_auctions_are_told_apart() -> None:
    """Events of several auctions may alternate; the digest says whether the same was decided, in whatever order."""
    one, other = duel().events, of_many_rules().events
    in_turns, in_line = Replayer(), Replayer()
    for event in [*other[:5], *one[:2], *other[5:], *one[2:]]:
        in_turns.take(event)
    for event in [*one, *other]:
        in_line.take(event)
    assert in_turns.found == in_line.found
    found = in_line.found
    assert (found.auctions, found.imps, found.sold, found.bids, found.mismatches) == (2, 5, 4, 9, 0)
    assert in_line.undecided == ()
    cheaper = [
        msgspec.structs.replace(event, price_micros=1_230_000)
        if isinstance(event, BidPlaced) and event.bidder_id == "cheap"
        else event
        for event in one
    ]
    differing = Replayer()
    for event in [*cheaper, *other]:
        differing.take(event)
    assert differing.found.mismatches == 1
    assert differing.found.digest != found.digest


def test_an_auction_without_an_end_is_named() -> None:
    """It is not counted, and not forgotten either."""
    replayer = Replayer()
    for event in duel().events[:-1]:
        assert replayer.take(event) is None
    assert replayer.undecided == ("auction-1",)
    assert replayer.found.auctions == 0
