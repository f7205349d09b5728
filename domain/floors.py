"""Floors: what a bid must reach at least, in the auction's currency, and who asks for it.

OpenRTB 2.6 sections 3.2.4 (`bidfloor`), 3.2.7, 3.2.8 and 3.2.35 (`mincpmpersec`, `durfloors`), 3.2.12 and 7.11.2.
What a bid does not say of its ad, size or duration, counts as the dearest that the ad can be: hiding it never pays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import reduce
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from domain.catalogue import FloorRule, MediaType
from domain.currency import Rates, floor_converted, rate_text
from domain.event_parts import Inventory, StatedPrice
from domain.money import micros_from_decimal
from domain.openrtb.request import Audio, Deal, Video

Size = tuple[int, int]
THE_IMPS: Final = "The imp's"


class Floor(NamedTuple):
    """A bid is to reach it."""

    micros: int | None
    """In the auction's currency; None where no bid can reach it.

    Either there is no rate into that currency, or, with nothing stated, it is by the second for an ad of which nobody
    says how long it runs.
    """
    whose: str
    """Who asks for it, as a sentence begins: "The imp's"."""
    stated: StatedPrice | None = None
    """As it was stated, where that is in another currency."""

    @property
    def is_requested(self) -> bool:
        """Whether it is the imp's own, which bidders are told of anyway."""
        return self.whose == THE_IMPS


class FloorTerms(NamedTuple):
    """Turns stated floors into the auction's currency."""

    currency: str
    rates: Rates

    def floor(self, micros: int, stated_in: str, whose: str) -> Floor:
        """Rounded up; nothing is nothing in every currency."""
        if stated_in == self.currency or not micros:
            return Floor(micros, whose)
        rate = self.rates.between(stated_in, self.currency)
        if rate is None:
            return Floor(None, whose, StatedPrice(price_micros=micros, currency=stated_in, rate=""))
        stated = StatedPrice(price_micros=micros, currency=stated_in, rate=rate_text(rate))
        return Floor(floor_converted(micros, rate), whose, stated)

    def by_duration(
        self, asking: Video | Audio | Deal, stated_in: str, whose: str, *, longest: int | None
    ) -> DurationFloors:
        """What an object of the request asks by duration; `longest` is the longest ad that it takes, in seconds."""
        per_second = asking.mincpmpersec
        return DurationFloors(
            tuple(
                (each.mindur or 0, each.maxdur, self.floor(micros_from_decimal(each.bidfloor), stated_in, whose))
                for each in asking.durfloors or ()
            ),
            self.floor(micros_from_decimal(per_second), stated_in, whose) if per_second else None,
            longest,
        )


class DurationFloors(msgspec.Struct, frozen=True, gc=False):
    """The floors of ads that run for some time, by how long they run."""

    ranges: tuple[tuple[int, int | None, Floor], ...]
    """From how many seconds, to how many (both included, None: without end), the floor."""
    per_second: Floor | None
    """For each second."""
    longest: int | None
    """Seconds that an ad may run at most, where that is known."""

    def for_duration(self, seconds: int | None) -> Floor | None:
        """The highest that applies; None if none does. An ad that does not say how long it runs is the longest.

        Where that has no end, no price is known to do.
        """
        found = [
            floor
            for shortest, longest, floor in self.ranges
            if seconds is None or (shortest <= seconds and (longest is None or seconds <= longest))
        ]
        charged = self.longest if seconds is None else seconds
        if self.per_second is not None:
            whose = self.per_second.whose
            found.append(Floor(None, whose) if charged is None else _times(self.per_second, charged))
        return reduce(higher, found) if found else None


class StoredFloor(NamedTuple):
    """A floor of the catalogue for some of an imp's ads."""

    size: Size | None
    """None: all."""
    media_type: MediaType | None
    """None: all."""
    floor: Floor

    def fits(self, media_type: MediaType, size: Size | None) -> bool:
        return self.media_type in (None, media_type) and self.size in (None, size)


class FloorsByAd(msgspec.Struct, frozen=True, gc=False):
    """The floors of an imp that do not ask the same of all ads."""

    imps: Floor
    """Of ads that nothing more is stated for in the request."""
    by_duration: Mapping[MediaType, DurationFloors]
    """Stated in the request, in the place of the imp's."""
    stored: tuple[StoredFloor, ...]
    """The catalogue's, which the higher of both counts with: the first that fits an ad, and the last fits all."""
    sizes: Mapping[MediaType, tuple[Size, ...]]
    """That an ad may have, as far as they are listed."""
    is_interstitial: bool = False
    """A banner may be smaller than the listed sizes."""

    def for_ad(self, media_type: MediaType, size: Size | None, duration: int | None) -> Floor:
        """The floor of such an ad."""
        asked = self.imps
        if media_type in self.by_duration:
            asked = self.by_duration[media_type].for_duration(duration) or asked
        if not self.stored:
            return asked
        sizes = self._told_apart(self._sizes_of(media_type, size))
        return higher(asked, reduce(higher, (self._stored_for(media_type, each) for each in sizes)))

    def _sizes_of(self, media_type: MediaType, size: Size | None) -> tuple[Size | None, ...]:
        """The sizes that the ad counts as, of which the dearest is charged.

        A banner has the size that its bid says; a smaller one than the listed ones takes the place of those that it
        fits into, too. A video has its player's size, whatever its bid says.
        """
        listed = self.sizes.get(media_type) or ()
        if size is None or (listed and media_type != "banner"):
            return listed or (None,)
        if self.is_interstitial and size not in listed:
            return (size, *(each for each in listed if size[0] <= each[0] and size[1] <= each[1]))
        return (size,)

    def _told_apart(self, sizes: tuple[Size | None, ...]) -> Iterable[Size | None]:
        """Those that a floor names, and one of the others, which all have the same; a request lists hundreds."""
        if len(sizes) == 1:
            return sizes
        named = {each.size for each in self.stored}
        return {size if size in named else None: size for size in sizes}.values()

    def lowest(self, media_types: Iterable[MediaType]) -> Floor:
        """What all bids must reach, durations left aside."""
        found = [
            higher(self.imps, self._stored_for(media_type, size))
            for media_type in media_types
            for size in self.sizes.get(media_type) or (None,)
        ]
        return reduce(lambda first, second: second if higher(first, second) is first else first, found)

    def _stored_for(self, media_type: MediaType, size: Size | None) -> Floor:
        return next((each.floor for each in self.stored if each.fits(media_type, size)), self.imps)


def higher(first: Floor, second: Floor) -> Floor:
    """The one that counts where both are asked for; of equals the first, and one without a rate above all."""
    if first.micros is None or (second.micros is not None and second.micros <= first.micros):
        return first
    return second


def fitting_rules(rules: Iterable[FloorRule], inventory: Inventory, whose: str, terms: FloorTerms) -> list[StoredFloor]:
    """The rules for this country and device, the most exact first.

    More exact is who states more; of equals who states the country, the device, the size, the media type, who is
    earlier in the list.
    """
    fitting = [
        rule
        for rule in rules
        if rule.country in (None, inventory.country) and rule.device_type in (None, inventory.device_type)
    ]
    return [
        StoredFloor(rule.size, rule.media_type, terms.floor(rule.floor_micros, rule.currency, whose))
        for rule in sorted(fitting, key=_exactness)
    ]


def _exactness(rule: FloorRule) -> tuple[int, tuple[bool, ...]]:
    """Lower is more exact."""
    wildcards = tuple(each is None for each in (rule.country, rule.device_type, rule.size, rule.media_type))
    return sum(wildcards), wildcards


def _times(floor: Floor, seconds: int) -> Floor:
    """The floor of a second for an ad of so many, rounded once."""
    if floor.stated is None:
        return floor._replace(micros=(floor.micros or 0) * seconds)
    stated = replace(floor.stated, price_micros=floor.stated.price_micros * seconds)
    micros = None if floor.micros is None else floor_converted(stated.price_micros, Decimal(stated.rate))
    return Floor(micros, floor.whose, stated)
