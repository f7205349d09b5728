"""The ad that a page shows: the auction's, or where nothing was sold one of the publisher's own."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from uuid import UUID

import msgspec

from domain.ad_markup import house_markup
from domain.catalogue import HouseAd
from domain.floors import Size
from domain.landing_page import filled, landing_macros
from domain.markup import dress


class ShownAd(msgspec.Struct, frozen=True, kw_only=True):
    """What `GET /ad` answers with."""

    auction_id: str
    width: int
    height: int
    markup: str
    """HTML, the impression pixel in it."""
    impression_url: str | None
    """Fetched by the markup or the page around it; None for a house ad: nobody pays for it, and nobody counts it."""
    click_url: str | None
    """None for an ad that has no click of the exchange's."""
    house: bool = False


class _Addresses(msgspec.Struct):
    impression_url: str
    click_url: str | None = None


class _BidExt(msgspec.Struct):
    gavel: _Addresses


class _Bid(msgspec.Struct):
    ext: _BidExt
    adm: str | None = None
    nurl: str | None = None
    w: int | None = None
    h: int | None = None


class _SeatBid(msgspec.Struct):
    bid: tuple[_Bid, ...]


class _Response(msgspec.Struct):
    seatbid: tuple[_SeatBid, ...] = ()


_decode = msgspec.json.Decoder(_Response).decode


def sold_ad(response: bytes, auction_id: str, sizes: Sequence[Size]) -> ShownAd | None:
    """The ad of the exchange's own answer to a bid request of one imp; None: nothing was sold.

    An ad that states no size has the first of `sizes`.
    """
    bid = next((bid for seat in _decode(response).seatbid for bid in seat.bid), None) if response else None
    if bid is None:
        return None
    width, height = (bid.w, bid.h) if bid.w and bid.h else sizes[0]
    addresses = bid.ext.gavel
    markup = bid.adm or dress(
        _fetched(bid.nurl or "", width, height), impression_url=addresses.impression_url, click_url=None
    )
    return ShownAd(
        auction_id=auction_id,
        width=width,
        height=height,
        markup=markup,
        impression_url=addresses.impression_url,
        click_url=addresses.click_url,
    )


def house_ad(house_ads: Sequence[HouseAd], auction_id: str, placement_id: str, sizes: Sequence[Size]) -> ShownAd | None:
    """One of the house ads that fit, the auction's id decides which; None: none fits."""
    fitting = [ad for ad in house_ads if (ad.width, ad.height) in sizes]
    if not fitting:
        return None
    ad = fitting[UUID(auction_id).int % len(fitting)]
    landing = filled(ad.landing_url, landing_macros(auction_id=auction_id, placement_id=placement_id))
    return ShownAd(
        auction_id=auction_id,
        width=ad.width,
        height=ad.height,
        markup=house_markup(ad, landing),
        impression_url=None,
        click_url=landing,
        house=True,
    )


def _fetched(url: str, width: int, height: int) -> str:
    """Markup that the browser itself fetches, where the bid names only its address."""
    return f'<iframe src="{escape(url)}" width="{width}" height="{height}" scrolling="no" style="border:0"></iframe>'
