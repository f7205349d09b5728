"""The response side of OpenRTB 2.6 (release 202606), section 4.2."""

from __future__ import annotations

from typing import Annotated

import msgspec

from domain.limits import MARKUP_MAX_CHARS
from domain.openrtb.fields import Cpm, Currency, Few, Identifier, Integer, Name, NoticeUrl, Pixels, RtbObject

Markup = Annotated[str, msgspec.Meta(max_length=MARKUP_MAX_CHARS)]


class BidResponse(RtbObject, frozen=True, kw_only=True):
    """A bidder's answer. Section 4.2.1 requires `id`, section 7.1 lets `{}` stand for no bid."""

    id: str = ""
    seatbid: tuple[msgspec.Raw, ...] | None = None
    """Each a SeatBid, still undecoded, so that a bad one costs only itself."""
    bidid: Name | None = None
    cur: Currency = "USD"
    customdata: str | None = None
    nbr: Integer | None = None


class SeatBid(RtbObject, frozen=True, kw_only=True):
    """The bids of one seat. Section 4.2.2."""

    bid: tuple[msgspec.Raw, ...]
    """Each a Bid, still undecoded, so that a bad one costs only itself."""
    seat: Name | None = None
    group: Integer = 0
    """1: the bids win or lose as a whole."""


class Bid(RtbObject, frozen=True, kw_only=True):
    """An offer for one imp. Section 4.2.3."""

    id: Identifier
    impid: Identifier
    price: Cpm
    """CPM in the response's `cur`."""
    nurl: NoticeUrl | None = None
    burl: NoticeUrl | None = None
    lurl: NoticeUrl | None = None
    adm: Markup | None = None
    adid: Name | None = None
    adomain: Annotated[tuple[Name, ...], Few] | None = None
    bundle: str | None = None
    iurl: str | None = None
    cid: str | None = None
    crid: Name | None = None
    tactic: str | None = None
    cattax: Integer = 1
    cat: Annotated[tuple[str, ...], Few] | None = None
    attr: Annotated[tuple[Integer, ...], Few] | None = None
    apis: Annotated[tuple[Integer, ...], Few] | None = None
    api: Integer | None = None
    protocol: Integer | None = None
    qagmediarating: Integer | None = None
    language: str | None = None
    langb: str | None = None
    dealid: Name | None = None
    w: Pixels | None = None
    h: Pixels | None = None
    wratio: Integer | None = None
    hratio: Integer | None = None
    exp: Integer | None = None
    dur: Integer | None = None
    mtype: Integer | None = None
    slotinpod: Integer = 0


def size_of(bid: Bid) -> str:
    """`300x250`; empty where the bid does not state its size."""
    return f"{bid.w}x{bid.h}" if bid.w and bid.h else ""
