"""How many auctions each address asks for: counted in the process, because an auction is not to wait for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from domain.errors import RateLimited
from domain.limits import ADDRESSES_COUNTED_MAX
from domain.networks import subscriber_of

MINUTE_SECONDS: Final = 60


class AuctionRates:
    """Fixed windows of a minute, for each process alone: so many times as often an address may ask all of them.

    Addresses stay in memory, for a minute at most.
    """

    def __init__(self, limit: int, *, is_unlimited: Callable[[str], bool]) -> None:
        """`limit` is what an address may ask for in a minute; `is_unlimited` says of one that it is one of our own."""
        self._limit = limit
        self._is_unlimited = is_unlimited
        self._minute = 0
        self._auctions: dict[str, int] = {}
        """By address, in this minute."""

    def __repr__(self) -> str:
        return f"AuctionRates({self._limit}, addresses={len(self._auctions)})"

    def check(self, ip: str, seconds: float) -> None:
        """Counts one auction at this time of whatever clock. Raises RateLimited once the address has had its share.

        An address that is not known is nobody's.
        """
        if not ip or self._is_unlimited(ip):
            return
        minute = int(seconds) // MINUTE_SECONDS
        if minute != self._minute:
            self._minute, self._auctions = minute, {}
        address = subscriber_of(ip)
        held = self._auctions.get(address, 0)
        if held >= self._limit:
            raise RateLimited(
                f"More than {self._limit} auctions were asked for from this address within a minute.",
                retry_after_seconds=MINUTE_SECONDS - int(seconds) % MINUTE_SECONDS,
            )
        # Past the bound new addresses are not limited: that costs less than refusing everybody.
        if held or len(self._auctions) < ADDRESSES_COUNTED_MAX:
            self._auctions[address] = held + 1
