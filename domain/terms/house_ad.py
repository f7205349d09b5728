"""The house ads of a placement as their owner states them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from domain import catalogue
from domain.errors import Fault
from domain.terms.creative import LOOKS, Creative


class HouseAd(Creative, frozen=True, kw_only=True):
    """Shown where nothing was sold. Either `html`, or `image_url`: a picture that leads to the landing page."""


def house_ad_faults(given: Mapping[str, Any]) -> Iterator[Fault]:
    """Faults of `house_ads` with both looks or none, or of a size that the placement does not have."""
    sizes = [tuple(size) for size in given.get("sizes", ())]
    for index, stated in enumerate(given.get("house_ads", ())):
        path = f"house_ads[{index}]"
        looks = [name for name in LOOKS if stated.get(name) is not None]
        if len(looks) != 1:
            yield Fault(path, f"states {' and '.join(looks) or 'no look'}: it has one of {' and '.join(LOOKS)}")
        size = (stated["width"], stated["height"])
        if sizes and size not in sizes:
            yield Fault(path, f"is {size[0]}x{size[1]}, which is no size of the placement")


def house_ads_to_terms(stated: Iterable[HouseAd]) -> tuple[catalogue.HouseAd, ...]:
    return tuple(catalogue.HouseAd(**msgspec.structs.asdict(each)) for each in stated)


def house_ads_to_stated(terms: Iterable[catalogue.HouseAd]) -> tuple[HouseAd, ...]:
    return tuple(HouseAd(**msgspec.structs.asdict(each)) for each in terms)
