"""What a bidder is offered of an auction: the imps that it may buy, and the request that tells it of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from domain.market import RegisteredBidder
from domain.openrtb.outbound import BidderRequestTemplate
from domain.skip import Skip

ALL_OFFERED: Mapping[str, Skip] = MappingProxyType({})


class Invitation(NamedTuple):
    """One bidder's offer."""

    bidder: RegisteredBidder
    imp_ids: tuple[str, ...]
    """Those that it is asked for, in the request's order; at least one."""
    not_offered: Mapping[str, Skip]
    """All other imps, and why it is not asked for them."""
    template: BidderRequestTemplate
    """Shared by all bidders that are told the same."""
