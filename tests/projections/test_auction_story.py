"""An auction's story in sentences: deals, currencies, groups, what was asked of whom, and what happened after."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from domain import events
from domain.catalogue import Ad, Campaign
from domain.event_parts import DealOffered, ImpOffered, LateBid, OtherBid, StatedPrice
from domain.events import AdRegistered, CampaignRegistered
from projections.queries.auction_story import auction_story
from projections.queries.auctions import list_auctions
from projections.queries.story_parts import AuctionStory
from tests.projections.conftest import ReadSide
from tests.projections.test_auction_queries import Auction
from tests.projections.traffic import START, Traffic

NAMES = {"b-1": "Atlas", "b-2": "Borealis", "b-3": "Cetus", "b-4": "Draco", "b-5": "Eridanus", "b-6": "Fornax"}


def of_every_rule(traffic: Traffic) -> Auction:
    """Two imps in dollars: one sold under a deal, one by second price after a group has stepped back."""
    auction = Auction(traffic)
    imps = (
        ImpOffered(
            imp_id="1",
            floor_micros=500_000,
            inventory=auction.inventory,
            media_types=("banner", "video"),
            deals=(
                DealOffered(
                    deal_id="d-1",
                    floor_micros=2_000_000,
                    at=3,
                    is_registered=True,
                    stated_floor=StatedPrice(price_micros=1_600_000, currency="EUR", rate="1.25"),
                ),
                DealOffered(
                    deal_id="d-2",
                    floor_micros=None,
                    stated_floor=StatedPrice(price_micros=3_000_000, currency="CHF", rate=""),
                ),
            ),
            is_private=True,
            share_bps=8_000,
        ),
        ImpOffered(imp_id="2", floor_micros=1_000_000, inventory=auction.inventory, share_bps=8_000),
    )
    auction.add(
        events.BidRequested,
        request_id="r",
        auction_type=2,
        currency="USD",
        tmax_ms=250,
        imps=imps,
        request=msgspec.Raw(b'{"id":"r"}'),
        restricted_by=("gdpr", "lmt"),
    )
    stated = StatedPrice(price_micros=2_000_000, currency="EUR", rate="1.25", adjustment_bps=9_000)
    auction.placed("1", "b-1", 2_250_000, deal_id="d-1", floor_micros=2_000_000, deal_at=3, stated=stated)
    for bidder_id in ("b-4", "b-5"):
        for imp_id in ("1", "2"):
            auction.add(
                events.BidRefused,
                imp_id=imp_id,
                bidder_id=bidder_id,
                outcome="skipped",
                code=200,
                reason="Not asked: the bidder does not buy in DEU.",
            )
    auction.refused("1", "b-6", "timeout", 101, latency_ms=235.0)
    money = {"revenue_micros": 1_600_000, "fee_micros": 400_000, "min_to_win_micros": 2_000_000, "auction_type": 3}
    auction.placed("2", "b-2", 1_500_000, group=1, media_type="banner")
    auction.placed("2", "b-3", 1_200_000)
    award = auction.awarded("1", ("b-1",), 2_250_000, 2_000_000, deal_id="d-1")
    auction.events[-1] = msgspec.structs.replace(award, **money)
    award = auction.awarded("2", ("b-3",), 1_200_000, 1_000_000, withdrawn=("b-2",), min_to_win_micros=1_000_000)
    auction.events[-1] = msgspec.structs.replace(award, revenue_micros=800_000, fee_micros=200_000)
    return auction


def afterwards(auction: Auction) -> None:
    """A late answer, a notice that arrived and one that was given up, an impression."""
    auction.at += timedelta(seconds=1)
    bid = LateBid(bid_id="late", imp_id="1", price_micros=9_000_000, currency="USD")
    auction.add(events.BidderAnsweredLate, bidder_id="b-6", latency_ms=301.5, http_status=200, bids=(bid,))
    about = {"imp_id": "1", "bidder_id": "b-1", "bid_id": "bid of b-1", "url": "https://atlas.example/n"}
    auction.at += timedelta(seconds=1)
    auction.add(events.NoticeDelivered, kind="win", attempts=1, http_status=204, **about)
    auction.at += timedelta(seconds=1)
    auction.add(events.NoticeFailed, kind="billing", attempts=9, reason="The status was 500.", **about)


TOLD = {
    "The request": (
        (
            "On 20 November 2026 at 22:30:00 UTC a publisher asked for bids on 2 imps:"
            " second price, in USD, within 250 ms."
        ),
        (
            "Neither the bidders nor the log were told who the person is or where exactly, because"
            " there is no consent under the GDPR and the person limits ad tracking."
        ),
    ),
    "Imp 1": (
        "It was an opportunity for banner or video with a floor of 0.50 USD.",
        (
            "Only bids under a deal were admitted:"
            " d-1 of the catalogue (floor 2.00 USD (stated as 1.60 EUR at the rate 1.25), agreed price)"
            " and d-2 of the request (floor 3.00 CHF, without a rate into USD: nobody could reach it)."
        ),
        "Draco and Eridanus were not asked: the bidder does not buy in DEU.",
        "Atlas bid 2.25 USD (stated as 2.00 EUR at the rate 1.25, of which 90 % compete) after 10.5 ms under deal d-1.",
        "Fornax gave no usable answer (code 101) after 235.0 ms: it is timeout.",
        "The ranking, made in Redis: 1. Atlas with 2.25 (deal d-1).",
        "Atlas won and pays 2.00 USD: the price agreed in deal d-1.",
        "It would have won with 2.00 or more.",
        (
            "Of this the publisher gets 1.60 and the exchange 0.40 USD (all per thousand impressions);"
            " the decision stood after 60.0 ms."
        ),
    ),
    "Imp 2": (
        "It was an opportunity with a floor of 1.00 USD.",
        "Draco and Eridanus were not asked: the bidder does not buy in DEU.",
        "Cetus bid 1.20 USD after 10.5 ms.",
        "Borealis bid 1.50 USD after 10.5 ms, as part of its group 1 that wins or loses as a whole.",
        "Borealis stepped back: its group of bids could not win as a whole.",
        "The ranking, made in Redis: 1. Cetus with 1.20.",
        "Cetus won and pays 1.00 USD: the floor of 1.00, there being no other bid.",
        "It would have won with 1.00 or more.",
        (
            "Of this the publisher gets 0.80 and the exchange 0.20 USD (all per thousand impressions);"
            " the decision stood after 60.0 ms."
        ),
    ),
    "Afterwards": (
        "Fornax answered with a bid of 9.00 USD for imp 1 after 301.5 ms: too late to change anything.",
        "The win notice to Atlas for imp 1 was delivered with the first attempt (status 204) at 22:30:02.",
        "The billing notice to Atlas for imp 1 was given up after 9 attempts: the status was 500.",
        "Nobody has seen or clicked an ad of this auction (yet).",
    ),
}
"""By title; the sentences of an imp in the order in which things happened."""


async def story_of(read_side: ReadSide, traffic: Traffic, auction: Auction) -> AuctionStory:
    await read_side.log.append([traffic.bidder(each, name) for each, name in NAMES.items()])
    await read_side.log.append(auction.events)
    await read_side.run_to_the_end("catalogue", "auction_log")
    story = await auction_story(read_side.db, auction.id)
    assert story is not None
    return story


async def test_every_rule_is_told(read_side: ReadSide) -> None:
    """Who was asked and who not, what each answered, the ranking, the sum, and what happened after."""
    traffic = Traffic(5)
    auction = of_every_rule(traffic)
    afterwards(auction)
    story = await story_of(read_side, traffic, auction)
    assert {each.title: each.sentences for each in story.told} == TOLD


async def test_the_facts_behind_the_sentences(read_side: ReadSide) -> None:
    """Machines read the same: deals, floors, stated prices, groups, shares, late answers, notices."""
    traffic = Traffic(6)
    auction = of_every_rule(traffic)
    afterwards(auction)
    story = msgspec.json.decode(msgspec.json.encode(await story_of(read_side, traffic, auction)))
    stated_floor = {"price": "1.60", "currency": "EUR", "rate": "1.25"}
    one, two = story["imps"]
    assert one["deals"] == [
        {"id": "d-1", "floor": "2.00", "at": 3, "registered": True, "stated_floor": stated_floor},
        {"id": "d-2", "floor": None, "stated_floor": {"price": "3.00", "currency": "CHF", "rate": ""}},
    ]
    assert (one["private"], one["share_bps"], one["media_types"]) == (True, 8_000, ["banner", "video"])
    won = one["outcomes"][0]
    assert (won["deal_id"], won["floor"], won["rank"]) == ("d-1", "2.00", 1)
    assert won["stated"] == {"price": "2.00", "currency": "EUR", "rate": "1.25", "adjustment_bps": 9_000}
    award = one["award"]
    assert (award["auction_type"], award["revenue"], award["fee"], award["min_to_win"]) == (3, "1.60", "0.40", "2.00")
    stepped_back = next(each for each in two["outcomes"] if each["bidder"] == "Borealis")
    assert (stepped_back["status"], stepped_back["code"], stepped_back["group"]) == ("lost", 102, 1)
    assert (stepped_back["media_type"], "rank" in stepped_back) == ("banner", False)
    assert story["restricted_by"] == ["gdpr", "lmt"]
    bids = [{"bid_id": "late", "imp_id": "1", "price": "9.00", "currency": "USD"}]
    assert story["late_answers"] == [
        {"bidder_id": "b-6", "bidder": "Fornax", "latency_ms": 301.5, "http_status": 200, "bids": bids}
    ]
    assert [(each["kind"], each["delivered"], each["attempts"]) for each in story["notices"]] == [
        ("win", True, 1),
        ("billing", False, 9),
    ]


async def test_a_floor_that_nobody_could_reach(read_side: ReadSide) -> None:
    """It is told as it was stated; what is sold under a deal without a floor all the same has none."""
    traffic = Traffic(11)
    auction = Auction(traffic)
    beyond = StatedPrice(price_micros=1_000_000, currency="CHF", rate="")
    deal = DealOffered(deal_id="d", floor_micros=0)
    imp = ImpOffered(imp_id="1", floor_micros=0, inventory=auction.inventory, stated_floor=beyond)
    auction.add(
        events.BidRequested,
        request_id="r",
        auction_type=2,
        currency="EUR",
        tmax_ms=250,
        imps=(imp, msgspec.structs.replace(imp, imp_id="2", deals=(deal,))),
        request=msgspec.Raw(b'{"id":"r"}'),
    )
    auction.refused("1", "b-1", "refused", 100, price_micros=5_000_000, currency="EUR")
    auction.unsold("1", "No bid was admitted.")
    auction.placed("2", "b-1", 2_000_000, deal_id="d")
    auction.awarded("2", ("b-1",), 2_000_000, 10_000, deal_id="d")
    story = await story_of(read_side, traffic, auction)
    _, unsold, sold, _ = story.told
    floor = "It was an opportunity with a floor of 1.00 CHF, without a rate into EUR: nobody could reach it."
    assert (unsold.sentences[0], sold.sentences[0]) == (floor, floor)
    assert "pays 0.01 USD: 0.01, the least that the second-price rule asks." in sold.sentences[-2]
    shown = msgspec.json.decode(msgspec.json.encode(story.imps))
    stated = {"price": "1.00", "currency": "CHF", "rate": ""}
    assert [(each["floor"], each["stated_floor"]) for each in shown] == [(None, stated)] * 2


async def test_the_sum_of_a_second_price(read_side: ReadSide) -> None:
    """Whether the next bid, the floor or the bid itself set the price is said, and what would have won."""
    traffic = Traffic(10)
    auction = Auction(traffic)
    auction.requested("1", "2", "3")
    auction.placed("1", "b-1", 2_000_000)
    auction.placed("1", "b-2", 1_240_000)
    auction.awarded("1", ("b-1", "b-2"), 2_000_000, 1_250_000, min_to_win_micros=1_240_000)
    auction.placed("2", "b-1", 2_000_000)
    auction.placed("2", "b-2", 1_999_999)
    auction.awarded("2", ("b-1", "b-2"), 2_000_000, 2_000_000, min_to_win_micros=1_999_999)
    auction.placed("3", "b-1", 2_000_000, deal_id="d-1", floor_micros=1_500_000)
    auction.placed("3", "b-2", 600_000)
    auction.awarded("3", ("b-1", "b-2"), 2_000_000, 1_500_000, deal_id="d-1", min_to_win_micros=1_500_000)
    story = await story_of(read_side, traffic, auction)
    sums = [each.sentences[-3:-1] for each in story.told[1:4]]
    assert sums == [
        (
            "Atlas won and pays 1.25 USD: the next bid of 1.24 plus 0.01, by the second-price rule.",
            "It would have won with more than 1.24, or that much if it came first.",
        ),
        (
            "Atlas won and pays 2.00 USD: its own bid, which the second-price rule never exceeds.",
            "It would have won with more than 1.999999, or that much if it came first.",
        ),
        (
            "Atlas won and pays 1.50 USD: the floor of 1.50, which is above the next bid of 0.60.",
            "It would have won with 1.50 or more.",
        ),
    ]


async def test_a_robot_asks_nobody(read_side: ReadSide) -> None:
    """The story says why there is nothing more to tell, and the list knows the auction."""
    traffic = Traffic(7)
    auction = Auction(traffic)
    auction.requested("1", robot=True)
    story = await story_of(read_side, traffic, auction)
    assert story.robot
    assert story.told[0].sentences[-1] == "A known robot had fetched the page, so nobody was asked."
    assert [each.id for each in (await list_auctions(read_side.db)).items] == [auction.id]


async def test_whose_ad_the_campaigns_bid_with(read_side: ReadSide) -> None:
    """The bidder `direct` has a name, its bid a campaign, and every campaign that did not bid its reason."""
    traffic = Traffic(13)
    auction = Auction(traffic)
    auction.requested("1", "2")
    spent = "The campaign 'Winter' does not bid: its budget of 10.00 USD is spent or reserved."
    withheld = OtherBid(bid_id="ad-2", code=500, reason=spent, price_micros=3_000_000)
    auction.placed("1", "direct", 2_000_000, other_bids=(withheld,))
    auction.events[-1] = msgspec.structs.replace(auction.events[-1], bid_id="ad-1", latency_ms=0.2)
    auction.refused("2", "direct", "skipped", 202)
    auction.awarded("1", ("direct",), 2_000_000, 500_000)
    auction.unsold("2", "No bidder had a valid bid.")
    known = {
        "camp-1": (CampaignRegistered, Campaign(advertiser_id="adv", name="Autumn", budget_nanos=10**9)),
        "ad-1": (AdRegistered, Ad(campaign_id="camp-1", name="Box", width=300, height=250, landing_url="")),
    }
    for key, (kind, terms) in known.items():
        head = {
            "id": traffic.id_at(START),
            "at": START,
            "correlation_id": key,
            "causation_id": key,
            "aggregate_id": key,
        }
        await read_side.log.append([kind(**head, version=1, terms=terms)])
    story = await story_of(read_side, traffic, auction)
    one, _two = story.imps
    assert one.outcomes[0].campaign is not None
    assert msgspec.to_builtins(one.outcomes[0].campaign) == {
        "advertiser_id": "adv",
        "campaign_id": "camp-1",
        "campaign": "Autumn",
        "ad_id": "ad-1",
    }
    told = {each.title: each.sentences for each in story.told}
    assert told["Imp 1"][1:3] == (
        "Direct campaigns bid 2.00 USD for 'Autumn' with ad ad-1 after 0.2 ms.",
        (
            "Its other bid 'ad-2' of 3.00 did not compete (code 500): the campaign 'Winter' does not bid:"
            " its budget of 10.00 USD is spent or reserved."
        ),
    )
    assert told["Imp 2"][1] == "Direct campaigns were not asked: it is skipped."
