"""Shows an ad on a stored placement: an auction like any other, and a house ad where nothing was sold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from commands.hold_auction import AuctionResult, HoldAuction
from commands.ports import Catalogue, Clock, Ids
from commands.quota import MINUTE_SECONDS, Quota
from domain.ad_request import AdRequest, bid_request, sizes_of
from domain.errors import NotFound, RateLimited
from domain.market import RegisteredPlacement
from domain.shown_ad import ShownAd, house_ad, sold_ad


class AdResult(NamedTuple):
    auction: AuctionResult
    ad: ShownAd | None
    """None: there is nothing to show."""


class ShowAd:
    """`GET /ad`."""

    def __init__(
        self,
        *,
        hold_auction: HoldAuction,
        catalogue: Catalogue,
        quota: Quota,
        clock: Clock,
        ids: Ids,
        base_url: str,
    ) -> None:
        """`base_url` is where viewers reach the exchange."""
        self._hold_auction = hold_auction
        self._catalogue = catalogue
        self._quota = quota
        self._clock = clock
        self._ids = ids
        self._is_secure = base_url.startswith("https:")

    async def __call__(self, asked: AdRequest, *, received_at_monotonic: float) -> AdResult:
        """The ad, once its auction is logged; an auction that sells nothing is in the log as unsold.

        A paused placement sells nothing and goes on showing its house ads. Raises NotFound for an unknown or archived
        placement, InvalidInput, RateLimited for an address that asks too often, Overloaded, LogUnavailable.
        """
        market = self._catalogue.market
        placement = market.placements.get(asked.placement_id)
        if placement is None:
            raise NotFound(f"There is no placement {asked.placement_id!r}.")
        sizes = sizes_of(asked, placement.terms)
        now = self._clock.now()
        if not await self._quota.allows_ad(asked.ip, now):
            raise RateLimited(
                "Too many ads were asked for from this address within a minute.",
                retry_after_seconds=MINUTE_SECONDS - now.second,
            )
        body = bid_request(
            asked,
            placement.terms,
            market.publishers.get(placement.terms.publisher_id),
            request_id=self._ids(),
            is_secure=self._is_secure,
        )
        result = await self._hold_auction(body, received_at_monotonic=received_at_monotonic)
        return AdResult(result, _ad_of(result, placement, sizes))


def _ad_of(result: AuctionResult, placement: RegisteredPlacement, sizes: Sequence[tuple[int, int]]) -> ShownAd | None:
    sold = sold_ad(result.body, result.auction_id, sizes)
    return sold or house_ad(placement.terms.house_ads, result.auction_id, placement.id, sizes)
