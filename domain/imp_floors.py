"""The floors of one imp: its own, and those of the placement and the publisher in the catalogue."""

from __future__ import annotations

from domain.catalogue import MediaType, Placement, Publisher
from domain.event_parts import Inventory
from domain.floors import (
    THE_IMPS,
    DurationFloors,
    Floor,
    FloorsByAd,
    FloorTerms,
    Size,
    StoredFloor,
    fitting_rules,
    higher,
)
from domain.openrtb.offer import banner_sizes, floor_micros, longest_ad, media_types_of, states_sizes
from domain.openrtb.request import Audio, Imp, Video

_NO_FLOOR = Floor(0, "The publisher's")
"""Where none of a publisher's rules fits, and there is no placement."""


def floors_of(
    imp: Imp,
    placement: Placement | None,
    publisher: Publisher | None,
    *,
    inventory: Inventory,
    terms: FloorTerms,
) -> tuple[Floor, FloorsByAd | None]:
    """What every bid must reach, and, where that depends on the ad, on what.

    The floor is the higher of the imp's and the catalogue's, which is that of the most exact rule of the placement,
    else of its publisher, else the placement's plain one. An imp of no placement has its publisher's rules alone.
    """
    floor = terms.floor(floor_micros(imp), imp.bidfloorcur, THE_IMPS)
    stored = _stored_floors(placement, publisher, inventory, terms)
    by_duration = _floors_by_duration(imp, terms)
    if not by_duration and len(stored) <= 1:
        return (higher(floor, stored[0].floor) if stored else floor), None
    sizes: dict[MediaType, tuple[Size, ...]] = {"banner": listed_sizes(imp, placement)}
    if imp.video is not None and imp.video.w and imp.video.h:
        sizes["video"] = ((imp.video.w, imp.video.h),)
    by_ad = FloorsByAd(floor, by_duration, stored, sizes, imp.instl == 1)
    return (by_ad.lowest(media_types_of(imp)) if stored else floor), by_ad


def listed_sizes(imp: Imp, placement: Placement | None) -> tuple[Size, ...]:
    """The sizes that the imp's banner lists; the placement's, where it lists none."""
    if imp.banner is None:
        return ()
    if placement is None or states_sizes(imp.banner):
        return banner_sizes(imp.banner)
    return placement.sizes


def _stored_floors(
    placement: Placement | None, publisher: Publisher | None, inventory: Inventory, terms: FloorTerms
) -> tuple[StoredFloor, ...]:
    """In the order in which they count; the last, if any, is for all ads, and none behind it is kept."""
    if placement is None and (publisher is None or not publisher.floor_rules):
        return ()
    stored: list[StoredFloor] = []
    if placement is not None and placement.floor_rules:
        stored += fitting_rules(placement.floor_rules, inventory, "The placement's", terms)
    if publisher is not None and publisher.floor_rules:
        stored += fitting_rules(publisher.floor_rules, inventory, "The publisher's", terms)
    stored.append(StoredFloor(None, None, _NO_FLOOR if placement is None else _plain_floor(placement, terms)))
    for_all = next(place for place, each in enumerate(stored) if each.size is None and each.media_type is None)
    return tuple(stored[: for_all + 1])


def _plain_floor(placement: Placement, terms: FloorTerms) -> Floor:
    return terms.floor(placement.floor_micros, placement.currency, "The placement's")


def _floors_by_duration(imp: Imp, terms: FloorTerms) -> dict[MediaType, DurationFloors]:
    found: dict[MediaType, DurationFloors] = {}
    offers: tuple[tuple[MediaType, Video | Audio | None], ...] = (("video", imp.video), ("audio", imp.audio))
    for media_type, offered in offers:
        if offered is not None and (offered.durfloors or offered.mincpmpersec):
            found[media_type] = terms.by_duration(offered, imp.bidfloorcur, THE_IMPS, longest=longest_ad(offered))
    return found
