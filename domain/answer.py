"""The answer to the publisher: OpenRTB 2.6 section 4.2, with Gavel's addresses in every winning bid.

A bid passes through with all that its bidder said, unknown fields included, except: `price` is the clearing price,
the macros are filled, the markup has the impression pixel in it, `ext.gavel` is added, and the addresses of notices
are taken out because Gavel itself fires them. Where the markup has to be fetched from `nurl`, that one stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from domain.award import Award
from domain.direct.award import awarded_demand
from domain.endpoint import ENDPOINT_MAX_CHARS, is_landing_page_of, is_public_name
from domain.expiry import impression_expiry_seconds
from domain.limits import CLICK_EXPIRY_SECONDS
from domain.macros import Macros, fill
from domain.markup import dress
from domain.money import cpm_number, split_share
from domain.openrtb.codes import LossReason
from domain.openrtb.parse import Members
from domain.openrtb.response import size_of
from domain.outcomes import Placed
from domain.sale import ImpOnSale, Sale
from domain.tokens import EngagementClaims, TokenKey, expires_at, sign
from domain.viewing import Viewing

_NOTICES = ("nurl", "burl", "lurl")
_encode = msgspec.json.Encoder().encode


class Sold(msgspec.Struct, frozen=True):
    """An award together with the bid that it goes to."""

    award: Award
    placed: Placed


class AddressBook(msgspec.Struct, frozen=True):
    """What engagement addresses are made of."""

    base_url: str
    """Without a slash at the end."""
    key: TokenKey

    def impression_url(self, claims: EngagementClaims) -> str:
        return f"{self.base_url}/impression?t={sign(claims, self.key)}"

    def click_url(self, claims: EngagementClaims) -> str:
        return f"{self.base_url}/click?t={sign(claims, self.key)}"


class AnsweredAuction(NamedTuple):
    """What all bids of an answer share."""

    sale: Sale
    auction_id: str
    at: datetime
    """Of the decision."""
    viewing: Viewing
    addresses: AddressBook


def answer(auction: AnsweredAuction, sold: Iterable[Sold], ext: Mapping[str, Any]) -> bytes:
    """The bid response as JSON; `ext` is the response's own extension, empty for none."""
    seats: dict[tuple[str, str], dict[str, Any]] = {}
    for each in sold:
        winner = each.award.winner
        seat = seats.setdefault((winner.bidder_id, winner.seat), {"bid": []})
        if winner.seat:
            seat["seat"] = winner.seat
        seat["bid"].append(_bid(each, auction))
    response: dict[str, Any] = {
        "id": auction.sale.request.id,
        "bidid": auction.auction_id,
        "cur": auction.sale.currency,
        "seatbid": list(seats.values()),
    }
    if ext:
        response["ext"] = ext
    return _encode(response)


def no_bid_answer(sale: Sale, nbr: int, ext: Mapping[str, Any]) -> bytes:
    """The answer to a request that asks why, when nothing was sold."""
    return _encode({"id": sale.request.id, "nbr": nbr, "ext": ext})


def landing_url(placed: Placed) -> str | None:
    """Where a click on the bid's ad leads: a page of its advertiser, or nowhere; of a campaign's ad its own page."""
    if placed.direct is not None:
        return placed.direct.ad.terms.landing_url
    advertisers = placed.bid.bid.adomain or ()
    if not advertisers:
        return None
    url = _stated_landing_url(placed)
    if url is not None and len(url.encode()) <= ENDPOINT_MAX_CHARS and is_landing_page_of(url, advertisers):
        return url
    return f"https://{advertisers[0]}/" if is_public_name(advertisers[0]) else None


def _stated_landing_url(placed: Placed) -> str | None:
    """`bid.ext.landing_url`; whatever else stands there, numbers that no decoder takes included, is nothing."""
    stated = placed.bid.ext_members().get("landing_url") if placed.bid.bid.ext else None
    if stated is None:
        return None
    try:
        return msgspec.json.decode(stated, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _bid(sold: Sold, auction: AnsweredAuction) -> Members | dict[str, Any]:
    award, parsed = sold.award, sold.placed.bid
    impression_url, click_url = _engagement_urls(sold, auction)
    macros = _macros(sold, auction.sale)
    members: dict[str, Any] = dict(parsed.members())
    for name in _NOTICES:
        members.pop(name, None)
    members["price"] = cpm_number(award.clearing.price_micros)
    if parsed.bid.adm:
        members["adm"] = dress(fill(parsed.bid.adm, macros), impression_url=impression_url, click_url=click_url)
    elif parsed.bid.nurl:
        members["nurl"] = fill(parsed.bid.nurl, macros, in_url=True)
    gavel = {"auction_id": auction.auction_id, "impression_url": impression_url}
    if click_url is not None:
        gavel["click_url"] = click_url
    members["ext"] = {**parsed.ext_members(), "gavel": gavel}
    return members


def _engagement_urls(sold: Sold, auction: AnsweredAuction) -> tuple[str, str | None]:
    addresses = auction.addresses
    claims = _claims(sold, auction)
    landing = landing_url(sold.placed)
    if landing is None:
        return addresses.impression_url(claims), None
    click_expires_at = expires_at(auction.at, CLICK_EXPIRY_SECONDS)
    click = msgspec.structs.replace(claims, kind="click", landing_url=landing, expires_at=click_expires_at)
    return addresses.impression_url(claims), addresses.click_url(click)


def _claims(sold: Sold, auction: AnsweredAuction) -> EngagementClaims:
    """Of the impression."""
    sale, at, viewing = auction.sale, auction.at, auction.viewing
    award, placed, for_sale = sold.award, sold.placed, sale.imps[sold.award.imp_id]
    winner, inventory = award.winner, for_sale.inventory
    expiry_seconds = impression_expiry_seconds(for_sale.imp, placed.bid.bid)
    claims = EngagementClaims(
        kind="impression",
        auction_id=auction.auction_id,
        imp_id=award.imp_id,
        bidder_id=winner.bidder_id,
        bid_id=winner.bid_id,
        price_micros=winner.price_micros,
        clearing_price_micros=award.clearing.price_micros,
        revenue_micros=award.revenue_micros,
        currency=sale.currency,
        awarded_at=at,
        expires_at=expires_at(at, expiry_seconds),
        publisher_id=inventory.publisher_id,
        placement_id=inventory.placement_id,
        site=inventory.site,
        country=inventory.country,
        device_type=inventory.device_type,
        seat=winner.seat,
        deal_id=winner.deal_id,
        test=sale.is_test,
        wants_billing_notice=bool(placed.bid.bid.burl),
        size=size_of(placed.bid.bid),
        person=viewing.person,
        agent=viewing.agent,
    )
    return claims if placed.direct is None else _of_campaign(claims, sold, for_sale)


def _of_campaign(claims: EngagementClaims, sold: Sold, for_sale: ImpOnSale) -> EngagementClaims:
    """With whose ad it is; of a campaign that pays for clicks every price is that of a click, in nano-units."""
    demand = awarded_demand(sold.placed, sold.award)
    claims = msgspec.structs.replace(
        claims,
        advertiser_id=demand.advertiser_id,
        campaign_id=demand.campaign_id,
        ad_id=demand.ad_id,
        charged_on=demand.charged_on,
        charge_nanos=demand.charge_nanos,
    )
    if demand.charged_on == "impression" or sold.placed.direct is None:
        return claims
    revenue, _ = split_share(demand.click_price_nanos, for_sale.share_bps)
    return msgspec.structs.replace(
        claims,
        price_micros=sold.placed.direct.demand.click_price_nanos,
        clearing_price_micros=demand.click_price_nanos,
        revenue_micros=revenue,
    )


def _macros(sold: Sold, sale: Sale) -> Macros:
    """What the winner's macros stand for. When the impression takes place is not known yet."""
    award, bid = sold.award, sold.placed.bid.bid
    quantity = sale.imps[award.imp_id].imp.qty
    return Macros(
        request_id=sale.request.id,
        imp_id=award.imp_id,
        response_bid_id=sold.placed.response_bid_id,
        seat_id=award.winner.seat,
        ad_id=bid.adid,
        currency=sale.currency,
        stated=sold.placed.admitted.stated,
        bid_price_micros=award.winner.price_micros,
        clearing_price_micros=award.clearing.price_micros,
        min_to_win_micros=award.clearing.min_to_win_micros,
        loss_code=LossReason.WON,
        multiplier=None if quantity is None else quantity.multiplier,
    )
