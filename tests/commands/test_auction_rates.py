"""How many auctions an address may ask for."""

from __future__ import annotations

import pytest

from commands.auction_rates import AuctionRates
from domain.errors import RateLimited
from domain.limits import ADDRESSES_COUNTED_MAX

OWN = "127.0.0.1"


def rates(limit: int = 3) -> AuctionRates:
    return AuctionRates(limit, is_unlimited=lambda ip: ip == OWN)


def allowed(counted: AuctionRates, ip: str, times: int, seconds: float = 600.0) -> int:
    held = 0
    for _ in range(times):
        try:
            counted.check(ip, seconds)
        except RateLimited:
            continue
        held += 1
    return held


def test_an_address_has_its_share_of_each_minute() -> None:
    """The next minute counts anew, and who waits as long as it is told to is in it."""
    counted = rates()
    assert allowed(counted, "203.0.113.7", 5) == 3
    with pytest.raises(RateLimited, match="More than 3 auctions") as refused:
        counted.check("203.0.113.7", 612.9)
    assert refused.value.retry_after_seconds == 48
    assert allowed(counted, "203.0.113.7", 5, 612.9 + 48) == 3


def test_addresses_are_counted_apart() -> None:
    """One that asks too often keeps no other from asking; a network of IPv6 is one."""
    counted = rates()
    assert allowed(counted, "203.0.113.7", 5) + allowed(counted, "203.0.113.8", 5) == 6
    assert allowed(counted, "2001:db8::1", 2) + allowed(counted, "2001:db8::2", 2) == 3


def test_our_own_proxies_and_unknown_peers_are_not_limited() -> None:
    """A Unix socket has no address."""
    assert allowed(rates(), OWN, 10) + allowed(rates(), "", 10) == 20


def test_addresses_without_end_take_no_memory_without_end() -> None:
    """Those that came first keep their limit."""
    counted = rates(1)
    counted.check("203.0.113.7", 600.0)
    for number in range(ADDRESSES_COUNTED_MAX + 10):
        counted.check(f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1", 600.0)
    assert f"addresses={ADDRESSES_COUNTED_MAX}" in repr(counted)
    assert allowed(counted, "203.0.113.7", 1) == 0
