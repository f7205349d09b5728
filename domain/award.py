"""An imp that was sold: to whom, for how much, and how the money is shared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from domain.auction import Candidate, Clearing, clear
from domain.money import split_share
from domain.sale import ImpOnSale, Sale


class Award(msgspec.Struct, frozen=True):
    """The winner of one imp and its price; revenue and fee add up to the clearing price."""

    for_sale: ImpOnSale
    winner: Candidate
    ranking: Sequence[Candidate]
    """Best first, the winner included."""
    clearing: Clearing
    revenue_micros: int
    """The publisher's."""
    fee_micros: int
    """The exchange's."""


def awards_of(sale: Sale, ranked: Mapping[str, Sequence[Candidate]], share_bps: int) -> dict[str, Award]:
    """The awards by imp, in the request's order; imps without a candidate are not in it."""
    return {
        imp_id: _award(sale, each, ranked[imp_id], share_bps) for imp_id, each in sale.imps.items() if imp_id in ranked
    }


def _award(sale: Sale, for_sale: ImpOnSale, ranking: Sequence[Candidate], share_bps: int) -> Award:
    clearing = clear(ranking, sale.auction_type)
    revenue, fee = split_share(clearing.price_micros, share_bps)
    return Award(for_sale, ranking[0], ranking, clearing, revenue, fee)
