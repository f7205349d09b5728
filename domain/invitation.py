"""What each bidder is offered of an auction: the imps that it may buy, and the request that tells it of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from domain.eligibility import has_targets_of_imps, reason_not_to_offer, reason_to_skip
from domain.market import RegisteredBidder
from domain.openrtb.outbound import BidderRequestTemplate, RequestsForBidders
from domain.sale import Sale
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


class PassedOver(NamedTuple):
    """A bidder that is not asked at all."""

    bidder: RegisteredBidder
    skips: Mapping[str, Skip]
    """Why, for each imp."""


class Guests(NamedTuple):
    """All bidders of a market, asked or not, each kind in the market's order."""

    invitations: list[Invitation]
    passed_over: list[PassedOver]


def invite(bidders: Iterable[RegisteredBidder], sale: Sale, requests: RequestsForBidders, *, is_robot: bool) -> Guests:
    """Finds for each bidder what it is asked for, and what it is told."""
    guests = Guests([], [])
    all_imps = tuple(sale.imps)
    is_closed = any(each.closed is not None for each in sale.imps.values())
    for bidder in bidders:
        skip = reason_to_skip(bidder.terms, sale, is_robot=is_robot)
        if skip is not None:
            guests.passed_over.append(PassedOver(bidder, dict.fromkeys(all_imps, skip)))
            continue
        imp_ids, not_offered = all_imps, ALL_OFFERED
        if is_closed or has_targets_of_imps(bidder.terms):
            not_offered = _not_offered(bidder, sale)
            if not_offered:
                imp_ids = tuple(imp_id for imp_id in all_imps if imp_id not in not_offered)
        if imp_ids:
            template = requests.template(bidder, imp_ids)
            guests.invitations.append(Invitation(bidder, imp_ids, not_offered, template))
        else:
            guests.passed_over.append(PassedOver(bidder, not_offered))
    return guests


def _not_offered(bidder: RegisteredBidder, sale: Sale) -> Mapping[str, Skip]:
    skips: dict[str, Skip] = {}
    for imp_id, for_sale in sale.imps.items():
        skip = reason_not_to_offer(bidder.terms, for_sale)
        if skip is not None:
            skips[imp_id] = skip
    return skips
