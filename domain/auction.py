"""Who wins an imp, and what it costs: the order of bids and the clearing price.

OpenRTB 2.6 sections 3.2.1 (`at`), 3.2.12 (`deal.at`) and 7.3 (deals); all prices are CPM micros of one currency.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from domain.limits import PRICE_INCREMENT_MICROS, PRICE_MAX_MICROS

FIRST_PRICE = 1
SECOND_PRICE = 2
AGREED_PRICE = 3

_DEAL_PREFERENCE = 2**44
"""Added to a deal bid's price in a ranking score: above every price, and the sum is exact in a double."""
_ARRIVAL_DIGITS = 6

assert PRICE_MAX_MICROS < _DEAL_PREFERENCE


class Candidate(msgspec.Struct, frozen=True):
    """A valid bid, at or above its floor: one bidder's best for one imp."""

    bidder_id: str
    bid_id: str
    seat: str
    price_micros: int
    floor_micros: int
    """The floor of its deal, or of the imp when it names none."""
    deal_id: str | None
    deal_at: int | None
    """The deal's own auction type, where it has one."""
    arrival: int
    """Place in the order in which the bids came in, from 0; no two candidates of an imp share one."""
    group: int | None = None
    """Bids of one bidder with the same number win or lose as a whole."""


class Clearing(msgspec.Struct, frozen=True):
    """What the winner pays."""

    price_micros: int
    """Also what a loser would have had to reach: its AUCTION_MIN_TO_WIN."""
    auction_type: int
    """The rule that was applied: 1 first price, 2 second price plus, 3 the deal's agreed price."""
    min_to_win_micros: int
    """The winner's AUCTION_MIN_TO_WIN: its floor, or the price of the next bid that could have come before it."""


def rank(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Best first: bids under a deal, then the higher price, then the earlier arrival."""
    return sorted(candidates, key=lambda each: (ranking_score(each), ranking_member(each)))


def ranking_score(candidate: Candidate) -> int:
    """Place in a sorted set, lowest first. Its size stays below 2**53, so Redis holds it exactly."""
    return -candidate.price_micros - (_DEAL_PREFERENCE if candidate.deal_id is not None else 0)


def ranking_member(candidate: Candidate) -> str:
    """Name in a sorted set: its byte order decides between equal scores, so the arrival stands first."""
    return f"{candidate.arrival:0{_ARRIVAL_DIGITS}d}:{candidate.bidder_id}"


def clear(ranked: Sequence[Candidate], auction_type: int) -> Clearing:
    """The price of the first of `ranked`, which holds at least one; never below its floor nor above its bid.

    The deal's own type overrides the auction's; one that is not in the specification is cleared as second price.
    A second price is set by the next bid in the ranking plus an increment, and is at least one increment.
    """
    winner = ranked[0]
    applied = winner.deal_at if winner.deal_at is not None else auction_type
    if applied == FIRST_PRICE:
        price = winner.price_micros
    elif applied == AGREED_PRICE and winner.deal_id is not None:
        # A deal that states no floor leaves the agreed price to the contract: it is what was bid.
        price = winner.floor_micros or winner.price_micros
    else:
        applied = SECOND_PRICE
        second = ranked[1].price_micros if len(ranked) > 1 else 0
        price = min(winner.price_micros, max(winner.floor_micros, second + PRICE_INCREMENT_MICROS))
    return Clearing(price, applied, _min_to_win_micros(ranked))


def _min_to_win_micros(ranked: Sequence[Candidate]) -> int:
    """A bid under a deal need not reach open ones, whatever their price."""
    winner = ranked[0]
    if len(ranked) == 1 or (winner.deal_id is not None and ranked[1].deal_id is None):
        return winner.floor_micros
    return max(winner.floor_micros, ranked[1].price_micros)
