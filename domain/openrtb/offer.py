"""What an auction needs to know of a request, read out of OpenRTB's fields."""

from __future__ import annotations

from domain.catalogue import MediaType
from domain.events import Inventory
from domain.money import micros_from_decimal
from domain.openrtb.context import App, Dooh, Site
from domain.openrtb.request import BidRequest, Imp

FIRST_PRICE = 1
SECOND_PRICE_PLUS = 2
DEFAULT_CURRENCY = "USD"
_ALPHA_3_LETTERS = 3


def inventory_of(request: BidRequest, imp: Imp) -> Inventory:
    """What the imp sells, in the words of the reports."""
    channel = request.site or request.app or request.dooh
    publisher = channel.publisher if channel is not None else None
    device = request.device
    return Inventory(
        publisher_id=(publisher.id or "") if publisher is not None else "",
        placement_id=imp.tagid or "",
        site=_site_of(channel),
        country=_country_of(request),
        device_type=(device.devicetype or 0) if device is not None else 0,
    )


def media_types_of(imp: Imp) -> tuple[MediaType, ...]:
    """The media types that a bid for the imp may have."""
    offered: list[MediaType] = []
    if imp.banner is not None:
        offered.append("banner")
    if imp.video is not None:
        offered.append("video")
    if imp.audio is not None:
        offered.append("audio")
    if imp.native is not None:
        offered.append("native")
    return tuple(offered)


def floor_micros(imp: Imp) -> int:
    """The imp's floor, CPM in micros of its `bidfloorcur`."""
    return micros_from_decimal(imp.bidfloor) if imp.bidfloor else 0


def currency_of(request: BidRequest) -> str:
    """The currency that the auction is held in: the first that the publisher takes."""
    return request.cur[0] if request.cur else DEFAULT_CURRENCY


def auction_type_of(request: BidRequest) -> int:
    """1 first price, 2 second price plus; a type of somebody's own counts as the specification's default, 2."""
    return FIRST_PRICE if request.at == FIRST_PRICE else SECOND_PRICE_PLUS


def _site_of(channel: Site | App | Dooh | None) -> str:
    match channel:
        case None:
            return ""
        case App():
            return channel.bundle or ""
        case _:
            return (channel.domain or "").lower()


def _country_of(request: BidRequest) -> str:
    """Alpha-3 in capitals; anything else is unknown."""
    for holder in (request.device, request.user):
        if holder is not None and holder.geo is not None and holder.geo.country:
            country = holder.geo.country
            known = len(country) == _ALPHA_3_LETTERS and country.isascii() and country.isalpha()
            return country.upper() if known else ""
    return ""
