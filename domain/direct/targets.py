"""What campaigns target, and what of it an imp is: the names under which the ones stand and the other looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from domain.catalogue import SegmentTarget
from domain.direct.campaign import LiveAd, LiveCampaign, Size
from domain.limits import SIZES_LOOKED_AT_MAX

CAPPED: Final = "f"
"""Of all campaigns with a frequency cap."""

USUAL_SIZES: Final = frozenset(
    {
        *((88, 31), (120, 20), (120, 60), (120, 600), (160, 600), (168, 28), (200, 200), (216, 36), (234, 60)),
        *((240, 400), (250, 250), (300, 50), (300, 100), (300, 250), (300, 600), (300, 1050), (320, 50), (320, 100)),
        *((320, 480), (336, 280), (468, 60), (480, 320), (728, 90), (768, 1024), (800, 250), (930, 180), (970, 66)),
        *((970, 90), (970, 250), (980, 120), (1024, 768)),
    }
)
"""What nearly all banners are: the fixed sizes that the IAB lists, and those that many exchanges trade beside them."""


class Traffic(NamedTuple):
    """What campaigns target of an imp. Unknown is empty or 0, and no target."""

    placement_id: str
    sites: Sequence[str]
    """The site's domain and those above it, or the app."""
    country: str
    device_type: int
    allows_size: Callable[[int, int], bool] | None
    """None: any size is."""
    sizes: Sequence[Size] | None
    """All that are allowed; None: only `allows_size` knows."""
    segments: Sequence[SegmentTarget] = ()
    """That the viewer is known to be in."""


def names_of(campaign: LiveCampaign) -> Iterator[str]:
    """One for each of its targets, or for having none of a kind; none is another kind's. Sizes are not among them."""
    yield from [f"p{each}" for each in campaign.placement_ids] or ("p",)
    yield from [f"s{each}" for each in campaign.sites] or ("s",)
    yield from [f"c{each}" for each in campaign.countries] or ("c",)
    yield from [f"d{each}" for each in campaign.device_types] or ("d",)
    yield from [segment_name(each) for each in campaign.segments] or ("g",)
    yield advertiser_name(campaign)
    if campaign.terms.frequency_cap is not None:
        yield CAPPED


def advertiser_name(campaign: LiveCampaign) -> str:
    """Of all campaigns of the same advertiser."""
    return f"a{campaign.terms.advertiser_id}"


def segment_name(target: SegmentTarget) -> str:
    """Of all campaigns for the segment. No feed client's name has a line break, so that no two segments share one."""
    return f"g{target.client}\n{target.segment}"


def names_sought(traffic: Traffic) -> tuple[tuple[str, ...], ...]:
    """A campaign fits that stands under one name of each group, most selective first."""
    return (
        ("p", f"p{traffic.placement_id}") if traffic.placement_id else ("p",),
        ("s", *[f"s{each}" for each in traffic.sites]),
        ("d", f"d{traffic.device_type}") if traffic.device_type else ("d",),
        ("c", f"c{traffic.country}") if traffic.country else ("c",),
        ("g", *map(segment_name, traffic.segments)),
    )


class SizesSought:
    """The sizes of an imp. Whether it takes one is asked once, of all usual sizes and so many others at most."""

    __slots__ = ("_allows", "_known", "_listed")

    def __init__(self, traffic: Traffic) -> None:
        self._allows = traffic.allows_size
        self._listed = None if traffic.sizes is None else dict.fromkeys(traffic.sizes, True)
        self._known: dict[Size, bool] = {}

    def union(self, masks: Mapping[Size, int]) -> int:
        """Of the masks of those sizes that the imp takes."""
        if self._allows is None:
            return -1
        found = 0
        for size in self._among(masks):
            found |= masks[size]
        return found

    def ads_of(self, campaign: LiveCampaign) -> list[tuple[LiveAd, ...]]:
        """Of a campaign that has some, those of each size that the imp takes, in the order of their ids."""
        of_size = campaign.ads_of_size
        if len(of_size) == 1:
            return [*of_size.values()]
        return sorted([of_size[size] for size in self._among(of_size)], key=_first_id)

    def _among(self, sizes: Mapping[Size, object]) -> Iterable[Size]:
        allows, listed = self._allows, self._listed
        if allows is None:
            return sizes
        if listed is None:
            return [size for size in sizes if self._is_taken(size, allows)]
        # Either side may be long; the shorter one is gone through.
        return filter(sizes.__contains__, listed) if len(listed) <= len(sizes) else filter(listed.__contains__, sizes)

    def _is_taken(self, size: Size, allows: Callable[[int, int], bool]) -> bool:
        known = self._known.get(size)
        if known is None:
            if len(self._known) >= SIZES_LOOKED_AT_MAX and size not in USUAL_SIZES:
                return False
            known = self._known[size] = allows(*size)
        return known


def _first_id(ads: tuple[LiveAd, ...]) -> str:
    return ads[0].id
