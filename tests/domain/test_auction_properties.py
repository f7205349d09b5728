"""What holds for every auction, from the request's JSON and the bidders' JSON to the decision.

Auctions are drawn with all that decides: floors, deals of every type, private imps, groups, currencies, adjustments.
What must hold is computed from the drawn figures, in whole cents, and not by the code that is tested.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.auction import Candidate, rank
from domain.award import Decision, decide
from domain.catalogue import Bidder, CurrencyRate
from domain.currency import Rates
from domain.invitation import invite
from domain.market import Market, RegisteredBidder
from domain.openrtb.outbound import RequestsForBidders
from domain.openrtb.parse import parse_request, parse_response
from domain.outcomes import Outcome, Placed, outcomes_of
from domain.sale import on_sale

MICROS_PER_CENT = 10_000
USD_PER_EUR = "1.25"
RATES = Rates([CurrencyRate(base="EUR", quote="USD", rate=USD_PER_EUR)])
SEATS = ("s1", "s2")

cents = st.one_of(st.integers(0, 20), st.integers(0, 500))
"""Small ones meet each other and the floors."""


class Drawn(NamedTuple):
    """An auction as the outside world sees it."""

    request: dict[str, Any]
    answers: dict[str, dict[str, Any]]
    """By bidder, in the order of their arrival."""
    adjustments: dict[str, int]

    def bid(self, bid_id: str) -> dict[str, Any]:
        return next(bid for answer in self.answers.values() for seat in answer["seatbid"] for bid in seat["bid"]
                    if bid["id"] == bid_id)  # fmt: skip


class Held(NamedTuple):
    """What came of it."""

    outcomes: dict[str, dict[str, Outcome]]
    candidates: dict[str, list[Candidate]]
    decision: Decision
    shares: Mapping[str, int]


@st.composite
def deals(draw: st.DrawFn) -> list[dict[str, Any]]:
    return [
        {
            "id": deal_id,
            "bidfloor": draw(cents) / 100,
            **draw(st.sampled_from([{}, {"at": 1}, {"at": 2}, {"at": 3}])),
            **draw(st.sampled_from([{}, {}, {"wseat": ["s1"]}, {"wadomain": ["shop.example"]}])),
        }
        for deal_id in draw(st.sampled_from([[], ["d1"], ["d1", "d2"]]))
    ]


@st.composite
def auctions(draw: st.DrawFn, *, groups: bool = True, at: tuple[int, ...] = (1, 2)) -> Drawn:
    imps = []
    for number in range(draw(st.integers(1, 3))):
        pmp = {"deals": draw(deals()), "private_auction": draw(st.sampled_from([0, 0, 1]))}
        floor = draw(cents) / 100
        imps.append({"id": f"imp {number}", "banner": {}, "bidfloor": floor, "pmp": pmp})
    answers = {}
    for name in ("alfa", "bravo", "charlie", "delta")[: draw(st.integers(1, 4))]:
        seatbids = []
        for place in range(draw(st.integers(1, 2))):
            bids = [draw(bids_for(imps, f"{name} {place} {each}")) for each in range(draw(st.integers(1, 3)))]
            group = draw(st.sampled_from([0, 1])) if groups else 0
            seatbids.append({"seat": draw(st.sampled_from(SEATS)), "group": group, "bid": bids})
        answers[name] = {"id": "r", "cur": draw(st.sampled_from(["USD", "USD", "EUR"])), "seatbid": seatbids}
    adjustments = {name: draw(st.sampled_from([10_000, 10_000, 9_000, 3_333])) for name in answers}
    return Drawn({"id": "r", "imp": imps, "at": draw(st.sampled_from(at))}, answers, adjustments)


@st.composite
def bids_for(draw: st.DrawFn, imps: list[dict[str, Any]], bid_id: str) -> dict[str, Any]:
    return {
        "id": bid_id,
        "impid": draw(st.sampled_from([imp["id"] for imp in imps])),
        "price": draw(cents) / 100,
        "adm": "ad",
        "adomain": [draw(st.sampled_from(["shop.example", "other.example"]))],
        **draw(st.sampled_from([{}, {}, {"dealid": "d1"}, {"dealid": "d2"}])),
    }


def hold(drawn: Drawn, *, arrivals: tuple[str, ...] | None = None) -> Held:
    """Holds the auction as the exchange does, all but the calls and the log."""
    parsed = parse_request(msgspec.json.encode(drawn.request))
    bidders = tuple(
        RegisteredBidder(name, 1, "active", Bidder(name=name, endpoint="", price_adjustment_bps=adjustment))
        for name, adjustment in drawn.adjustments.items()
    )
    sale = on_sale(parsed.request, parsed.members, Market(bidders, rates=RATES), default_share_bps=7_777)
    guests = invite(bidders, sale, RequestsForBidders(parsed, (), sale), is_robot=False)
    invitations = {each.bidder.id: each for each in guests.invitations}
    outcomes: dict[str, dict[str, Outcome]] = {}
    candidates: dict[str, list[Candidate]] = {}
    for arrival, name in enumerate(arrivals or drawn.answers):
        answer = parse_response(msgspec.json.encode(drawn.answers[name]))
        outcomes[name] = outcomes_of(answer, sale, invitations[name])
        for imp_id, outcome in outcomes[name].items():
            if isinstance(outcome, Placed):
                candidates.setdefault(imp_id, []).append(candidate(name, outcome, arrival))
    shares = MappingProxyType({imp_id: each.share_bps for imp_id, each in sale.imps.items()})
    ranked = {imp_id: rank(bids) for imp_id, bids in candidates.items()}
    return Held(outcomes, candidates, decide(ranked, sale.auction_type, shares), shares)


def candidate(name: str, placed: Placed, arrival: int) -> Candidate:
    bid, admitted = placed.bid.bid, placed.admitted
    deal_at = None if admitted.deal is None else admitted.deal.at
    return Candidate(name, bid.id, placed.bid.seat, admitted.price_micros, admitted.floor_micros, bid.dealid, deal_at,
                     arrival, placed.group)  # fmt: skip


def price_in_usd(drawn: Drawn, bidder: str, bid: dict[str, Any]) -> int:
    """What competes of a bid, in micros."""
    rate_percent = 125 if drawn.answers[bidder]["cur"] == "EUR" else 100
    in_usd: int = round(bid["price"] * 100) * MICROS_PER_CENT * rate_percent // 100
    return in_usd * drawn.adjustments[bidder] // 10_000


def floor_of(drawn: Drawn, bid: dict[str, Any]) -> int:
    """What the bid had to reach, in micros."""
    imp = imp_of(drawn, bid)
    named = [deal for deal in imp["pmp"]["deals"] if deal["id"] == bid.get("dealid")]
    floor: float = (named[0] if named else imp)["bidfloor"]
    return round(floor * 100) * MICROS_PER_CENT


def imp_of(drawn: Drawn, bid: dict[str, Any]) -> dict[str, Any]:
    return next(imp for imp in drawn.request["imp"] if imp["id"] == bid["impid"])


@given(auctions())
def test_a_winner_pays_between_its_floor_and_its_bid(drawn: Drawn) -> None:
    """The winner is never below its floor and never pays more than it bid, whatever currency it bids in."""
    for award in hold(drawn).decision.awards.values():
        bid = drawn.bid(award.winner.bid_id)
        paid = award.clearing.price_micros
        assert floor_of(drawn, bid) <= paid <= price_in_usd(drawn, award.winner.bidder_id, bid)
        assert award.winner.price_micros == price_in_usd(drawn, award.winner.bidder_id, bid)


@given(auctions())
def test_money_is_conserved_to_the_micro(drawn: Drawn) -> None:
    """The publisher's share, rounded down, and the exchange's fee add up to what the winner pays."""
    for award in hold(drawn).decision.awards.values():
        assert award.revenue_micros + award.fee_micros == award.clearing.price_micros
        assert (
            award.revenue_micros * 10_000 <= award.clearing.price_micros * 7_777 < (award.revenue_micros + 1) * 10_000
        )


@given(auctions())
def test_every_bidder_has_one_outcome_for_every_imp(drawn: Drawn) -> None:
    """And no bid of an answer is left out: each stands in one outcome."""
    held = hold(drawn)
    for name, answer in drawn.answers.items():
        outcomes = held.outcomes[name]
        assert list(outcomes) == [imp["id"] for imp in drawn.request["imp"]]
        told = [other.bid_id for each in outcomes.values() for other in each.others]
        told += [each.bid.bid.id for each in outcomes.values() if each.bid is not None]
        assert sorted(told) == sorted(bid["id"] for seat in answer["seatbid"] for bid in seat["bid"])


@given(auctions())
def test_the_rules_of_deals_hold(drawn: Drawn) -> None:
    """Private imps go to deals alone, to seats and advertisers that may; no open bid beats one under a deal."""
    held = hold(drawn)
    for imp in drawn.request["imp"]:
        deals_of_imp = {deal["id"]: deal for deal in imp["pmp"]["deals"]}
        for each in held.candidates.get(imp["id"], []):
            bid = drawn.bid(each.bid_id)
            assert each.deal_id is not None or not imp["pmp"]["private_auction"]
            deal = deals_of_imp[each.deal_id] if each.deal_id is not None else {}
            assert each.seat in deal.get("wseat", SEATS)
            assert bid["adomain"][0] in deal.get("wadomain", bid["adomain"])
        award = held.decision.awards.get(imp["id"])
        if award is None:
            continue
        for better, worse in pairwise(award.ranking):
            assert (better.deal_id is not None) >= (worse.deal_id is not None)
        if award.winner.deal_id is not None and deals_of_imp[award.winner.deal_id].get("at") == 3:
            agreed = floor_of(drawn, drawn.bid(award.winner.bid_id))
            assert award.clearing.price_micros == (agreed or award.winner.price_micros)


@given(auctions())
def test_groups_win_or_lose_as_a_whole(drawn: Drawn) -> None:
    """Of the bids of a group either all win their imps or none does."""
    winners = {award.winner.bid_id for award in hold(drawn).decision.awards.values()}
    for answer in drawn.answers.values():
        for seat in answer["seatbid"]:
            if seat["group"] == 1:
                won = [bid["id"] in winners for bid in seat["bid"]]
                assert all(won) or not any(won)


@given(auctions())
def test_an_imp_with_a_bid_outside_of_groups_is_sold(drawn: Drawn) -> None:
    """Groups that step back take no imp away from the others: the best of what is left wins."""
    held = hold(drawn)
    for imp_id, bids in held.candidates.items():
        single = [each for each in bids if each.group is None]
        award = held.decision.awards.get(imp_id)
        if single:
            assert award is not None
            best = max((each.deal_id is not None, each.price_micros) for each in single)
            assert (award.winner.deal_id is not None, award.winner.price_micros) >= best


@given(auctions(groups=False), st.randoms(use_true_random=False))
def test_the_ranking_does_not_depend_on_when_losers_arrive(drawn: Drawn, dice: Any) -> None:
    """However answers are shuffled, prices stand in the same order and cost the same; only ties ask for the time."""
    order = list(drawn.answers)
    dice.shuffle(order)
    first, second = hold(drawn).decision.awards, hold(drawn, arrivals=tuple(order)).decision.awards
    assert first.keys() == second.keys()
    for imp_id, award in first.items():
        again = second[imp_id]
        standing = [(each.deal_id is not None, each.price_micros) for each in award.ranking]
        assert standing == [(each.deal_id is not None, each.price_micros) for each in again.ranking]
        if standing.count(standing[0]) == 1:
            assert again.winner.bid_id == award.winner.bid_id
            assert again.clearing.price_micros == award.clearing.price_micros


@given(auctions(at=(1,)), st.integers(1, 1_000), st.data())
def test_who_wins_at_first_price_still_wins_with_a_higher_bid(
    drawn: Drawn, more_cents: int, data: st.DataObject
) -> None:
    """Raising the winning bid changes no winner of its imp and, without a deal of another type, costs just that."""
    awards = hold(drawn).decision.awards
    assume(awards)
    award = awards[data.draw(st.sampled_from(sorted(awards)))]
    bid = drawn.bid(award.winner.bid_id)
    bid["price"] = (round(bid["price"] * 100) + more_cents) / 100
    again = hold(drawn).decision.awards[award.imp_id]
    assert again.winner.bid_id == award.winner.bid_id
    if again.clearing.auction_type == 1:
        assert again.clearing.price_micros == price_in_usd(drawn, award.winner.bidder_id, bid)


@given(auctions(at=(2,), groups=False), st.integers(1, 1_000), st.data())
def test_a_second_price_does_not_rise_with_the_winning_bid(drawn: Drawn, more_cents: int, data: st.DataObject) -> None:
    """What a winner pays is set by the others once its bid is an increment above them."""
    awards = hold(drawn).decision.awards
    assume(awards)
    award = awards[data.draw(st.sampled_from(sorted(awards)))]
    assume(award.clearing.auction_type == 2 and award.clearing.price_micros < award.winner.price_micros)
    bid = drawn.bid(award.winner.bid_id)
    bid["price"] = (round(bid["price"] * 100) + more_cents) / 100
    again = hold(drawn).decision.awards[award.imp_id]
    assert again.clearing.price_micros == award.clearing.price_micros
