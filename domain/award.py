"""The decision about all imps of an auction: to whom each one goes, for how much, and how the money is shared.

It needs nothing but the ranked bids and each imp's share, all of which the log keeps: the live auction and a replay
of years ago run this same code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from domain.auction import Candidate, Clearing, clear
from domain.groups import without_failing_groups
from domain.money import split_share


class Award(msgspec.Struct, frozen=True):
    """The winner of one imp and its price; revenue and fee add up to the clearing price."""

    imp_id: str
    winner: Candidate
    ranking: Sequence[Candidate]
    """Best first, the winner included, without the bids that stepped back."""
    clearing: Clearing
    revenue_micros: int
    """The publisher's."""
    fee_micros: int
    """The exchange's."""


class Decision(msgspec.Struct, frozen=True):
    """What became of all imps that had a bid."""

    awards: Mapping[str, Award]
    """By imp, in the request's order; imps without a bid that can win are not in it."""
    withdrawn: Mapping[str, tuple[str, ...]]
    """By imp, the bidders whose bid stepped back with its group, in their ranking; mostly empty."""


def decide(ranked: Mapping[str, Sequence[Candidate]], auction_type: int, share_bps: Mapping[str, int]) -> Decision:
    """Decides on the candidates of each imp, best first, by the rule `auction_type` (OpenRTB `at`).

    `share_bps` holds the publisher's share of every imp, in the request's order.
    """
    standing, withdrawn = without_failing_groups(ranked)
    awards = {
        imp_id: _award(imp_id, standing[imp_id], auction_type, share)
        for imp_id, share in share_bps.items()
        if standing.get(imp_id)
    }
    return Decision(awards, withdrawn)


def _award(imp_id: str, ranking: Sequence[Candidate], auction_type: int, share_bps: int) -> Award:
    clearing = clear(ranking, auction_type)
    revenue, fee = split_share(clearing.price_micros, share_bps)
    return Award(imp_id, ranking[0], ranking, clearing, revenue, fee)
