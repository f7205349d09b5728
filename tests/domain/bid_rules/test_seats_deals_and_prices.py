"""Who may buy, under which deal, and for how much at least."""

from __future__ import annotations

from typing import Any

import pytest

from domain.catalogue import Deal
from tests.domain.bid_rules.judging import assert_admitted, assert_refused, verdict
from tests.domain.trading import bidder, imp, market


def with_deal(private_auction: int = 0, **deal: Any) -> dict[str, Any]:
    return imp(pmp={"private_auction": private_auction, "deals": [{"id": "d", **deal}]})


def test_seats() -> None:
    """Allowed, not blocked, and the bidder's own where it has registered some."""
    assert_refused(verdict(seat="s9", wseat=["s1"]), 104, "s9", "wseat")
    assert_refused(verdict(wseat=["s1"]), 104, "wseat")
    assert_refused(verdict(seat="s1", bseat=["s1"]), 104, "s1", "bseat")
    assert_refused(verdict(seat="s9", by=bidder(seats=("s1",))), 104, "s9", "bidder")
    assert_admitted(verdict(seat="s1", by=bidder(seats=("s1",)), wseat=["s1"]))
    assert_admitted(verdict(by=bidder(seats=("s1",))))


def test_a_seat_of_somebody_else() -> None:
    """Who registered no seats may name any, but none that another bidder registered, under a deal for it neither."""
    owner, other = bidder("alfa", seats=("agency",)), bidder("bravo")
    catalogue = market(bidders=[owner, other])
    on = with_deal(wseat=["agency"])
    assert_admitted(verdict({"dealid": "d"}, on=on, seat="agency", by=owner, catalogue=catalogue))
    refused = verdict({"dealid": "d"}, on=on, seat="agency", by=other, catalogue=catalogue)
    assert_refused(refused, 104, "agency", "another bidder")
    assert_admitted(verdict(seat="elsewhere", by=other, catalogue=catalogue))
    assert_admitted(verdict(by=other, catalogue=catalogue))


@pytest.mark.parametrize(
    ("on", "bid", "seat", "code", "words"),
    [
        (with_deal(1), {}, None, 4, ("private", "no deal")),
        (with_deal(), {"dealid": "x"}, None, 4, ("'x'",)),
        (with_deal(wseat=["s1"]), {"dealid": "d"}, "s9", 104, ("'d'", "s9", "wseat")),
        (with_deal(wadomain=["a.example"]), {"dealid": "d"}, None, 213, ("'d'", "none named", "wadomain")),
        (with_deal(wadomain=["a.example"]), {"dealid": "d", "adomain": ["b.example"]}, None, 213, ("b.example",)),
        (
            with_deal(wadomain=["a.example"]),
            {"dealid": "d", "adomain": ["a.example", "b.example"]},
            None,
            213,
            ("b.example",),
        ),
        (with_deal(bidfloor=2), {"dealid": "d"}, None, 101, ("deal's floor is 2.00 USD", "bid 1.00")),
    ],
)
def test_deals(on: dict[str, Any], bid: dict[str, Any], seat: str | None, code: int, words: tuple[str, ...]) -> None:
    """What keeps a bid out of a deal."""
    assert_refused(verdict(bid, on=on, seat=seat), code, *words)


def test_a_bid_under_a_deal() -> None:
    """One that keeps to its terms is admitted, under the deal's floor in place of the imp's."""
    on = with_deal(1, wseat=["s1"], wadomain=["a.example"], bidfloor=0.5)
    bid = {"dealid": "d", "adomain": ["www.a.example"]}
    admitted = assert_admitted(verdict(bid, on={**on, "bidfloor": 9}, seat="s1"))
    assert admitted.deal is not None
    assert (admitted.deal.id, admitted.floor_micros) == ("d", 500_000)


def test_a_registered_deal_is_for_its_bidders() -> None:
    """Somebody else who names it is refused as naming a wrong deal."""
    catalogue = market(deals={"d": Deal(bidder_ids=("alfa",))})
    assert_admitted(verdict({"dealid": "d"}, by=bidder("alfa"), catalogue=catalogue))
    assert_refused(verdict({"dealid": "d"}, by=bidder("bravo"), catalogue=catalogue), 4, "'d'", "bidder")


@pytest.mark.parametrize(
    ("price", "cur", "bidfloor", "words"),
    [
        (0, "USD", 0, (9, "price is 0", "deal")),
        (1, "USD", 1.01, (100, "imp's floor is 1.01 USD", "bid 1.00")),
        (1, "EUR", 1.11, (100, "1.11 USD", "1.10", "1.00 EUR at 1.10")),
        (1, "GBP", 0, (3, "GBP", "USD", "no rate")),
        (0.000_001, "JPY", 0, (9, "Nothing is left", "JPY")),
    ],
)
def test_prices_that_do_not_do(price: float, cur: str, bidfloor: float, words: tuple[Any, ...]) -> None:
    """Each sentence names the price, the limit and both currencies."""
    catalogue = market(rates={"EUR/USD": "1.10", "JPY/USD": "0.007"})
    assert_refused(verdict({"price": price}, on=imp(bidfloor=bidfloor), cur=cur, catalogue=catalogue), *words)


def test_a_converted_and_adjusted_price() -> None:
    """1.00 EUR at 1.10, of which 90 % compete, is 0.99 USD; the price as stated goes along."""
    catalogue = market(rates={"EUR/USD": "1.10"})
    admitted = assert_admitted(verdict(cur="EUR", catalogue=catalogue, by=bidder(price_adjustment_bps=9_000)))
    assert admitted.price_micros == 990_000
    assert admitted.stated is not None
    assert (admitted.stated.price_micros, admitted.stated.currency, admitted.stated.rate) == (1_000_000, "EUR", "1.10")


def test_a_floor_without_a_rate_is_met_by_nobody() -> None:
    """The sentence says why."""
    on = imp(bidfloor=0.01, bidfloorcur="GBP")
    assert_refused(verdict(on=on), 100, "GBP", "USD", "no rate")


def test_a_price_that_nobody_pays_once_it_is_converted() -> None:
    """A rate must not lift a price above what a ranking can hold."""
    catalogue = market(rates={"JPY/USD": "1000000"})
    assert_refused(verdict({"price": 1_000_000}, cur="JPY", catalogue=catalogue), 3, "above 1000000 USD")
    assert_admitted(verdict({"price": 1}, cur="JPY", catalogue=catalogue))
