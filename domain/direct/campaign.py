"""A campaign that may bid, made ready for matching: with its advertiser, its ads by size and its flight in seconds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from itertools import groupby
from math import inf
from typing import NamedTuple

import msgspec

from domain.catalogue import Ad, Advertiser, Campaign, SegmentTarget
from domain.domain_names import domain_names, is_within_any
from domain.endpoint import web_host

Size = tuple[int, int]
_ALL: frozenset[str] = frozenset()
_EVERY_DEVICE: frozenset[int] = frozenset()
_EVERYBODY: frozenset[SegmentTarget] = frozenset()


class LiveAd(NamedTuple):
    """An active ad of a campaign."""

    id: str
    terms: Ad
    advertisers: tuple[str, ...]
    """The advertiser's domain, and where the ad leads elsewhere the landing page's host: block lists judge both."""


class LiveCampaign(msgspec.Struct, frozen=True, gc=False):
    """An active campaign of an active advertiser, with its active ads."""

    id: str
    terms: Campaign
    ads: tuple[LiveAd, ...]
    """Oldest first."""
    ads_of_size: Mapping[Size, tuple[LiveAd, ...]]
    """The same ones."""
    starts_at: float
    """Unix seconds, as `ends_at`: of its flight, or since when it has been active, where that is later."""
    ends_at: float
    countries: frozenset[str]
    """Empty, here and below: all."""
    placement_ids: frozenset[str]
    device_types: frozenset[int]
    sites: frozenset[str]
    """Websites' domains, which stand for all below them, and apps."""
    segments: frozenset[SegmentTarget]

    @property
    def pays_for_clicks(self) -> bool:
        return self.terms.click_bid_nanos > 0

    def runs_at(self, now: float) -> bool:
        """Whether its flight includes this moment, in Unix seconds."""
        return self.starts_at <= now < self.ends_at


def live_campaign(
    campaign_id: str, terms: Campaign, advertiser: Advertiser, ads: Iterable[tuple[str, Ad]], active_since: float = 0
) -> LiveCampaign:
    """The campaign with these ads, by their ids; `active_since` is that of its entity."""
    targeting = terms.targeting
    domain = advertiser.domain
    live_ads = tuple(LiveAd(ad_id, ad, _advertisers(ad, domain)) for ad_id, ad in sorted(ads, key=lambda each: each[0]))
    return LiveCampaign(
        campaign_id,
        terms,
        live_ads,
        _of_size(live_ads),
        max(active_since, 0 if terms.starts_at is None else datetime.fromisoformat(terms.starts_at).timestamp()),
        inf if terms.ends_at is None else datetime.fromisoformat(terms.ends_at).timestamp(),
        frozenset(targeting.countries) or _ALL,
        frozenset(targeting.placement_ids) or _ALL,
        frozenset(targeting.device_types) or _EVERY_DEVICE,
        _sites(targeting.sites) or _ALL,
        frozenset(targeting.segments) or _EVERYBODY,
    )


def _of_size(ads: Iterable[LiveAd]) -> dict[Size, tuple[LiveAd, ...]]:
    return {size: tuple(same) for size, same in groupby(sorted(ads, key=_size), key=_size)}


def _size(ad: LiveAd) -> Size:
    return ad.terms.width, ad.terms.height


def _advertisers(ad: Ad, domain: str) -> tuple[str, ...]:
    host = web_host(ad.landing_url)
    return (domain,) if is_within_any(host, domain_names((domain,))) else (domain, host)


def _sites(stated: Collection[str]) -> frozenset[str]:
    """Websites without those that are below another one, and so mean nothing more; apps as they are stated."""
    names = domain_names(stated)
    return frozenset(site for site in names if not is_within_any(site.partition(".")[2], names)).union(stated)
