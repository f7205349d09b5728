"""The answer to the publisher: OpenRTB 2.6 section 4.2, with Gavel's addresses in every winning bid.

A bid passes through with all that its bidder said, unknown fields included, except: `price` is the clearing price,
the macros are filled, the markup has the impression pixel in it, `ext.gavel` is added, and the addresses of notices
are taken out because Gavel itself fires them. Where the markup has to be fetched from `nurl`, that one stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from domain.award import Award
from domain.endpoint import ENDPOINT_MAX_CHARS, is_landing_page_of, is_public_name
from domain.limits import BID_EXPIRY_MIN_SECONDS, CLICK_EXPIRY_SECONDS, IMPRESSION_EXPIRY_SECONDS
from domain.macros import Macros, fill
from domain.markup import dress
from domain.money import cpm_number
from domain.openrtb.codes import LossReason
from domain.openrtb.parse import Members
from domain.openrtb.request import Imp
from domain.openrtb.response import Bid
from domain.outcomes import Placed
from domain.sale import Sale
from domain.tokens import EngagementClaims, TokenKey, expires_at, sign

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


def answer(
    sale: Sale,
    auction_id: str,
    sold: Iterable[Sold],
    addresses: AddressBook,
    *,
    at: datetime,
    ext: Mapping[str, Any],
) -> bytes:
    """The bid response as JSON; `ext` is the response's own extension, empty for none."""
    seats: dict[tuple[str, str], dict[str, Any]] = {}
    for each in sold:
        winner = each.award.winner
        seat = seats.setdefault((winner.bidder_id, winner.seat), {"bid": []})
        if winner.seat:
            seat["seat"] = winner.seat
        seat["bid"].append(_bid(each, sale, auction_id, addresses, at))
    response: dict[str, Any] = {
        "id": sale.request.id,
        "bidid": auction_id,
        "cur": sale.currency,
        "seatbid": list(seats.values()),
    }
    if ext:
        response["ext"] = ext
    return _encode(response)


def no_bid_answer(sale: Sale, nbr: int, ext: Mapping[str, Any]) -> bytes:
    """The answer to a request that asks why, when nothing was sold."""
    return _encode({"id": sale.request.id, "nbr": nbr, "ext": ext})


def landing_url(placed: Placed) -> str | None:
    """Where a click on the bid's ad leads: a page of its advertiser, or nowhere."""
    advertisers = placed.bid.bid.adomain or ()
    if not advertisers:
        return None
    url = _stated_landing_url(placed)
    if url is not None and len(url.encode()) <= ENDPOINT_MAX_CHARS and is_landing_page_of(url, advertisers):
        return url
    return f"https://{advertisers[0]}/" if is_public_name(advertisers[0]) else None


def impression_expiry_seconds(imp: Imp, bid: Bid) -> int:
    """How long after the auction the ad may be seen and still count: the shorter of what imp and bid say (`exp`).

    A bid alone cannot make it so short that hardly any impression would be paid for.
    """
    stated = [] if not imp.exp or imp.exp < 0 else [imp.exp]
    if bid.exp is not None and bid.exp > 0:
        stated.append(max(bid.exp, BID_EXPIRY_MIN_SECONDS))
    return min(stated, default=IMPRESSION_EXPIRY_SECONDS)


def _stated_landing_url(placed: Placed) -> str | None:
    """`bid.ext.landing_url`; whatever else stands there, numbers that no decoder takes included, is nothing."""
    stated = placed.bid.ext_members().get("landing_url") if placed.bid.bid.ext else None
    if stated is None:
        return None
    try:
        return msgspec.json.decode(stated, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _bid(sold: Sold, sale: Sale, auction_id: str, addresses: AddressBook, at: datetime) -> Members | dict[str, Any]:
    award, parsed = sold.award, sold.placed.bid
    impression_url, click_url = _engagement_urls(sold, sale, auction_id, addresses, at)
    macros = _macros(sold, sale)
    members: dict[str, Any] = dict(parsed.members())
    for name in _NOTICES:
        members.pop(name, None)
    members["price"] = cpm_number(award.clearing.price_micros)
    if parsed.bid.adm:
        members["adm"] = dress(fill(parsed.bid.adm, macros), impression_url=impression_url, click_url=click_url)
    elif parsed.bid.nurl:
        members["nurl"] = fill(parsed.bid.nurl, macros, in_url=True)
    gavel = {"auction_id": auction_id, "impression_url": impression_url}
    if click_url is not None:
        gavel["click_url"] = click_url
    members["ext"] = {**parsed.ext_members(), "gavel": gavel}
    return members


def _engagement_urls(
    sold: Sold, sale: Sale, auction_id: str, addresses: AddressBook, at: datetime
) -> tuple[str, str | None]:
    award, for_sale = sold.award, sale.imps[sold.award.imp_id]
    winner, inventory = award.winner, for_sale.inventory
    expiry_seconds = impression_expiry_seconds(for_sale.imp, sold.placed.bid.bid)
    claims = EngagementClaims(
        kind="impression",
        auction_id=auction_id,
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
        wants_billing_notice=bool(sold.placed.bid.bid.burl),
    )
    landing = landing_url(sold.placed)
    if landing is None:
        return addresses.impression_url(claims), None
    # What may be seen may be clicked.
    click_expires_at = expires_at(at, max(CLICK_EXPIRY_SECONDS, expiry_seconds))
    click = msgspec.structs.replace(claims, kind="click", landing_url=landing, expires_at=click_expires_at)
    return addresses.impression_url(claims), addresses.click_url(click)


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
