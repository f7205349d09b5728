"""What an auction needs to know of a request, read out of OpenRTB's fields."""

from __future__ import annotations

from domain.catalogue import MediaType
from domain.event_parts import Inventory
from domain.limits import TMAX_DEFAULT_MS, TMAX_MAX_MS, TMAX_MIN_MS
from domain.money import micros_from_decimal
from domain.openrtb.context import App, Dooh, Site
from domain.openrtb.request import Audio, Banner, BidRequest, Imp, Video

FIRST_PRICE = 1
SECOND_PRICE_PLUS = 2
DEFAULT_CURRENCY = "USD"
_ALPHA_3_LETTERS = 3


def channel_of(request: BidRequest) -> Site | App | Dooh | None:
    """Where the ad is shown."""
    return request.site or request.app or request.dooh


def publisher_id_of(request: BidRequest) -> str:
    """Whose inventory it is, as the request says; empty if it does not."""
    channel = channel_of(request)
    publisher = channel.publisher if channel is not None else None
    return (publisher.id or "") if publisher is not None else ""


def inventory_of(request: BidRequest, imp: Imp, publisher_id: str) -> Inventory:
    """What the imp of this publisher sells, in the words of the reports."""
    channel = channel_of(request)
    device = request.device
    return Inventory(
        publisher_id=publisher_id,
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


def banner_sizes(banner: Banner) -> tuple[tuple[int, int], ...]:
    """The sizes that the banner lists, flexible ones left out."""
    sizes = [(each.w, each.h) for each in banner.format or () if each.w and each.h]
    if banner.w and banner.h:
        sizes.append((banner.w, banner.h))
    return tuple(sizes)


def states_sizes(banner: Banner) -> bool:
    """Whether the banner lists any size, flexible ones included."""
    return bool(banner_sizes(banner)) or any(each.wratio and each.hratio for each in banner.format or ())


def longest_ad(offered: Video | Audio) -> int | None:
    """Seconds that an ad may run at most, in a pod as long as all of it; None if that is not said."""
    if offered.rqddurs:
        return max(offered.rqddurs)
    return (offered.poddur or None) if offered.maxduration is None else offered.maxduration


def floor_micros(imp: Imp) -> int:
    """The imp's floor, CPM in micros of its `bidfloorcur`."""
    return micros_from_decimal(imp.bidfloor) if imp.bidfloor else 0


def tmax_ms_of(request: BidRequest) -> int:
    """How long the auction may take: what the publisher says, within the exchange's bounds."""
    return TMAX_DEFAULT_MS if request.tmax is None else min(max(request.tmax, TMAX_MIN_MS), TMAX_MAX_MS)


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
