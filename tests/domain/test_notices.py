"""Which notices an auction's events give: given these events, then these addresses are called."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import codec
from domain.event_parts import ImpOffered, Inventory, NoticeUrls, OtherBid, StatedPrice, Viewer
from domain.events import AuctionAwarded, AuctionUnsold, BidPlaced, BidRefused, BidRequested, Event, ImpressionRecorded
from domain.notices import notices_of, still_needed

AUCTION = "0197c0de-7aaa-7bbb-8ccc-0123456789ab"
AT = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
SEEN_AT = datetime(2026, 11, 21, 10, 0, 3, 217_900, tzinfo=UTC)
SEEN_AT_MS = "1795255203217"
TOLD = "p=${AUCTION_PRICE}&m=${AUCTION_MIN_TO_WIN}&l=${AUCTION_LOSS}"


def urls(bidder: str, **changes: Any) -> NoticeUrls:
    values = {kind: f"https://{bidder}.example/{kind}?{TOLD}" for kind in ("nurl", "burl", "lurl")}
    return NoticeUrls(**{**values, **changes})


def head(number: int, at: datetime = AT) -> dict[str, Any]:
    return {
        "id": f"0197c0de-7aaa-7000-8000-{number:012d}",
        "at": at,
        "correlation_id": AUCTION,
        "causation_id": AUCTION,
        "auction_id": AUCTION,
    }


def requested(*imp_ids: str, **changes: Any) -> BidRequested:
    imps = tuple(ImpOffered(imp_id=each, floor_micros=850_000, inventory=Inventory()) for each in imp_ids or ("1",))
    values = {
        "request_id": "r1", "auction_type": 2, "currency": "USD", "tmax_ms": 250, "imps": imps,
        "request": msgspec.Raw(b'{"id":"r1"}'),
    }  # fmt: skip
    return BidRequested(**head(1), **{**values, **changes})


def placed(bidder: str, cpm: float, number: int, **changes: Any) -> BidPlaced:
    values = {
        "imp_id": "1", "bidder_id": bidder, "bid_id": f"bid-{bidder}", "price_micros": round(cpm * 1_000_000),
        "currency": "USD", "latency_ms": 12.0, "inventory": Inventory(), "seat": "s1", "notices": urls(bidder),
    }  # fmt: skip
    return BidPlaced(**head(number), **{**values, **changes})


def refused(bidder: str, code: int, number: int, **changes: Any) -> BidRefused:
    values = {
        "imp_id": "1", "bidder_id": bidder, "outcome": "refused", "code": code, "reason": "Because.",
        "bid_id": f"bid-{bidder}", "price_micros": 100_000, "currency": "USD", "notices": urls(bidder),
    }  # fmt: skip
    return BidRefused(**head(number), **{**values, **changes})


def awarded(bidder: str, bid: float, clears: float, min_to_win: float, **changes: Any) -> AuctionAwarded:
    values = {
        "imp_id": "1", "bidder_id": bidder, "bid_id": f"bid-{bidder}", "price_micros": round(bid * 1_000_000),
        "clearing_price_micros": round(clears * 1_000_000), "revenue_micros": 0, "fee_micros": 0, "currency": "USD",
        "auction_type": 2, "ranking": (), "ranked_by": "redis", "inventory": Inventory(), "held_ms": 80.0,
        "min_to_win_micros": round(min_to_win * 1_000_000),
    }  # fmt: skip
    return AuctionAwarded(**head(90), **{**values, **changes})


def unsold(**changes: Any) -> AuctionUnsold:
    values = {"imp_id": "1", "reason": "Nobody was left.", "inventory": Inventory(), "held_ms": 80.0}
    return AuctionUnsold(**head(91), **{**values, **changes})


def seen(bidder: str, number: int = 95, **changes: Any) -> ImpressionRecorded:
    values = {
        "imp_id": "1", "bidder_id": bidder, "bid_id": f"bid-{bidder}", "verdict": "valid", "price_micros": 1_000_000,
        "clearing_price_micros": 910_000, "revenue_micros": 0, "fee_micros": 0, "currency": "USD",
        "inventory": Inventory(), "awarded_at": AT, "viewer": Viewer(ip="203.0.113.0", user_agent="Browser"),
    }  # fmt: skip
    return ImpressionRecorded(**head(number, SEEN_AT), **{**values, **changes})


def called(*events: Event) -> list[str]:
    return sorted(notice.url for notice in notices_of(events))


BIDS = (placed("high", 1.0, 2), placed("mid", 0.9, 3), placed("low", 0.8, 4))


@pytest.mark.parametrize(
    ("award", "winner", "losers"),
    [
        (awarded("high", 1.0, 1.0, 0.9, auction_type=1), "p=1.00&m=0.90&l=0", "p=&m=1.00&l=102"),
        (awarded("high", 1.0, 0.91, 0.9), "p=0.91&m=0.90&l=0", "p=&m=0.91&l=102"),
    ],
    ids=["first price", "second price"],
)
def test_the_worked_table_of_the_specification(award: AuctionAwarded, winner: str, losers: str) -> None:
    """Section 4.4.1: bids of 1.00, 0.90 and 0.80 over a floor of 0.85; a loser never learns the price."""
    assert called(requested(), *BIDS, award, seen("high")) == [
        f"https://high.example/burl?{winner}",
        f"https://high.example/nurl?{winner}",
        f"https://low.example/lurl?{losers}",
        f"https://mid.example/lurl?{losers}",
    ]


def test_a_billing_notice_follows_the_impression() -> None:
    """Not the award, and no impression that does not count; it carries the impression's time and viewer."""
    won = placed("high", 1.0, 2, notices=NoticeUrls(burl="https://high.example/b?t=${AUCTION_IMP_TS}"))
    story = (requested(), won, awarded("high", 1.0, 0.91, 0.9))
    assert called(*story) == []
    assert called(*story, seen("high", verdict="expired"), seen("high", verdict="duplicate")) == []
    [notice] = notices_of([*story, seen("high"), seen("high", 96)])
    assert notice.url == f"https://high.example/b?t={SEEN_AT_MS}"
    assert notice.key.kind == "billing"
    assert notice.viewer == Viewer(ip="203.0.113.0", user_agent="Browser")


def test_a_bid_below_the_floor_learns_that() -> None:
    """Refused bids get their code, without any price, as soon as the auction is known; others get nothing."""
    below, silent = refused("low", 100, 2), refused("mute", 0, 3, outcome="no_bid", notices=None)
    assert called(requested(), below, silent) == ["https://low.example/lurl?p=&m=&l=100"]
    assert called(below) == []


def test_every_bid_of_a_bidder_is_told() -> None:
    """Those beside its best one too, each with its own code and seat."""
    lurl = "https://high.example/" + "{}?s=${{AUCTION_SEAT_ID}}&m=${{AUCTION_MIN_TO_WIN}}&l=${{AUCTION_LOSS}}"
    others = tuple(
        OtherBid(bid_id=name, code=code, reason="…", seat="s2", notices=NoticeUrls(lurl=lurl.format(name)))
        for name, code in (("worse", 102), ("open", 103), ("late", 3))
    )
    best = placed("high", 1.0, 2, notices=None, other_bids=(*others, OtherBid(bid_id="mute", code=102, reason="…")))
    assert called(requested(), best, awarded("high", 1.0, 0.91, 0.9)) == [
        "https://high.example/late?s=s2&m=&l=3",
        "https://high.example/open?s=s2&m=&l=103",
        "https://high.example/worse?s=s2&m=0.91&l=102",
    ]


@pytest.mark.parametrize(
    ("bid", "decision", "told"),
    [
        (placed("low", 0.8, 2), awarded("high", 0.7, 0.7, 0.7, deal_id="d1"), "p=&m=&l=103"),
        (placed("low", 0.8, 2, deal_id="d2"), awarded("high", 3.0, 2.0, 0.8, deal_id="d1", auction_type=3),
         "p=&m=3.00&l=102"),
        (placed("low", 0.8, 2, deal_id="d2"), awarded("high", 3.0, 0.81, 0.8, deal_id="d1"), "p=&m=0.81&l=102"),
        (placed("low", 0.8, 2), awarded("high", 0.7, 0.7, 0.7, withdrawn=("low",)), "p=&m=&l=102"),
        (placed("low", 0.8, 2), unsold(withdrawn=("low",)), "p=&m=&l=102"),
    ],
    ids=["to a deal", "to an agreed price", "deal to deal", "with its group", "imp unsold"],
)  # fmt: skip
def test_why_a_bid_lost(bid: BidPlaced, decision: Event, told: str) -> None:
    """The code of each kind of loss, and what would have won where a price would have."""
    assert called(requested(), bid, decision) == [f"https://low.example/lurl?{told}"]


def test_prices_are_in_the_bids_currency() -> None:
    """Winner and loser read prices as they stated theirs."""
    euros = StatedPrice(price_micros=1_000_000, currency="EUR", rate="1.25")
    text = f"https://x.example/?{TOLD}&c=${{AUCTION_CURRENCY}}"
    both = NoticeUrls(nurl=text, lurl=text)
    won = placed("high", 1.25, 2, stated=euros, notices=both)
    lost = placed("low", 1.0, 3, stated=msgspec.structs.replace(euros, price_micros=800_000), notices=both)
    assert called(requested(), won, lost, awarded("high", 1.25, 1.01, 1.0)) == [
        "https://x.example/?p=&m=0.808&l=102&c=EUR",
        "https://x.example/?p=0.808&m=0.80&l=0&c=EUR",
    ]


def test_what_only_the_answer_says() -> None:
    """Ids and multiplier of the bidder's answer stand in the notice."""
    names = ("ID", "BID_ID", "IMP_ID", "SEAT_ID", "AD_ID", "MULTIPLIER", "MBR", "IMP_TS", "DISCOUNT_PCT")
    text = "https://x.example/?" + "|".join(f"${{AUCTION_{name}}}" for name in names)
    bid = placed("x", 1.0, 2, notices=NoticeUrls(nurl=text, response_bid_id="rb", ad_id="ad", multiplier=2.5))
    [url] = called(requested(), bid, awarded("x", 1.0, 0.91, 0.9))
    assert url == "https://x.example/?r1%7Crb%7C1%7Cs1%7Cad%7C2.5%7C0.91%7C%7C"


def test_addresses_are_written_as_urls() -> None:
    """What no URL may hold is escaped, what is escaped stays, and the part for browsers is left out."""
    bid = placed("x", 1.0, 2, seat='a b"ü\r\n', notices=NoticeUrls(nurl="https://x.example/%2F?${AUCTION_SEAT_ID}#top"))
    [notice] = notices_of([requested(), bid, awarded("x", 1.0, 1.0, 0.9)])
    assert notice.url == "https://x.example/%2F?a%20b%22%C3%BC%0D%0A"
    assert notice.receiver.host == "x.example:443"


def test_no_id_cuts_an_address_or_adds_to_it() -> None:
    """Not even one with the marks that part a URL: the price that follows is still there, and once."""
    text = "https://x.example/${AUCTION_SEAT_ID}?id=${AUCTION_AD_ID}&p=${AUCTION_PRICE}#${AUCTION_SEAT_ID}"
    bid = placed("x", 1.0, 2, seat="a#b?c/d", notices=NoticeUrls(nurl=text, ad_id="r&p=0.01&x="))
    [notice] = notices_of([requested(), bid, awarded("x", 1.0, 1.0, 0.9)])
    assert notice.url == "https://x.example/a%23b%3Fc%2Fd?id=r%26p%3D0.01%26x%3D&p=1.00"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://x.example:81/", "x.example:81"),
        ("HTTPS://X.example", "x.example:443"),
        ("http://[::1]/", "::1:80"),
        ("nonsense", ""),
        ("ftp://x.example/", ""),
        (f"http://{'x' * 300}/", ""),
        ("http://x.example:99999/", ""),
    ],
)
def test_who_is_called(url: str, host: str) -> None:
    """A notice knows its receiver; one without a receiver is still a notice, which fails."""
    [notice] = notices_of([requested(), placed("x", 1.0, 2, notices=NoticeUrls(nurl=url)), awarded("x", 1, 1, 1)])
    assert notice.receiver.host == host


def test_tests_and_robots_give_none() -> None:
    """A test auction tells nobody; neither does an impression of it."""
    test = (requested(test=True), placed("x", 1.0, 2, test=True), awarded("x", 1, 1, 1, test=True), seen("x"))
    assert called(*test) == []
    assert called(requested(robot=True)) == []
    assert still_needed(test[:3]) == still_needed([requested(robot=True)]) == []


STORY: tuple[Event, ...] = (
    requested("1", "2"),
    *BIDS,
    refused("other", 203, 5),
    placed("low", 0.95, 6, imp_id="2"),
    awarded("high", 1.0, 0.91, 0.9),
    AuctionUnsold(**head(92), imp_id="2", reason="It stepped back.", inventory=Inventory(), held_ms=1.0),
    seen("high"),
)


@given(st.integers(0, len(STORY) - 1), st.lists(st.integers(1, len(STORY)), max_size=4))
def test_events_in_any_pieces(seen_after: int, cuts: list[int]) -> None:
    """Pieces of which only what is still needed is kept give all notices of the whole, however they are cut.

    The impression may be met anywhere, before the auction too: it stands in another topic.
    """
    story = [*STORY[:seen_after], STORY[-1], *STORY[seen_after:-1]]
    bounds = [0, *sorted(cuts), len(STORY)]
    kept: list[Event] = []
    found: dict[Any, str] = {}
    for start, end in pairwise(bounds):
        known = [*kept, *story[start:end]]
        found |= {notice.key: notice.url for notice in notices_of(known)}
        kept = [codec.decode(codec.encode(each)) for each in still_needed(known)]
    assert found == {notice.key: notice.url for notice in notices_of(STORY)}
    assert len(found) == 6


def test_little_is_kept() -> None:
    """Once decided, only what the billing notice needs, and that without the request itself; else nothing."""
    waiting = still_needed(STORY[:-1])
    assert [type(each) for each in waiting] == [BidRequested, BidPlaced, AuctionAwarded]
    assert all(b'"request":null' in codec.encode(each) for each in waiting[:1])
    assert still_needed(STORY) == []
    assert still_needed([requested(), *BIDS[1:], awarded("high", 1.0, 0.91, 0.9)]) == []
    assert still_needed([seen("high")]) == [seen("high")]
