"""Sets of networks: whether an address is in one of many thousands, found by bisection."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
)
from typing import Final

Network = IPv4Network | IPv6Network

_SUBSCRIBER_BITS: Final = 64
"""What a provider gives to one household: whoever has one IPv6 address has all of such a network."""


class Networks:
    """Addresses of both families; immutable."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        every = list(networks)
        self._v4 = _Ranges(each for each in every if isinstance(each, IPv4Network))
        self._v6 = _Ranges(each for each in every if isinstance(each, IPv6Network))

    def __repr__(self) -> str:
        return f"Networks({len(self._v4)} IPv4 ranges, {len(self._v6)} IPv6 ranges)"

    def __bool__(self) -> bool:
        return bool(len(self._v4) or len(self._v6))

    def __contains__(self, address: str) -> bool:
        """False for what is no address. An IPv4 address written as IPv6 (`::ffff:192.0.2.1`) is what it stands for."""
        try:
            if ":" not in address:
                return int(IPv4Address(address)) in self._v4
            long = IPv6Address(address)
        except AddressValueError:
            return False
        mapped = long.ipv4_mapped
        return int(long) in self._v6 if mapped is None else int(mapped) in self._v4


def is_nobodys(address: str) -> bool:
    """Whether nobody on the internet can have the address: a machine's own, a home's or office's inner one, or none."""
    return address in _NOBODYS


def network_of(text: str) -> Network:
    """A network in CIDR form, or a single address. Raises ValueError, also for a network with host bits."""
    return ip_network(text)


def subscriber_of(address: str) -> str:
    """Whom the address stands for: an IPv4 address itself, of IPv6 the /64; what is no address stays as it is."""
    if ":" not in address:
        return address
    try:
        long = IPv6Address(address)
    except AddressValueError:
        return address
    if long.ipv4_mapped is not None:
        return str(long.ipv4_mapped)
    return str(IPv6Network((int(long), _SUBSCRIBER_BITS), strict=False))


class _Ranges:
    """Disjoint ranges of one family, sorted; neighbours are one."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in sorted((int(each.network_address), int(each.broadcast_address)) for each in networks):
            if self._lasts and first <= self._lasts[-1] + 1:
                self._lasts[-1] = max(last, self._lasts[-1])
            else:
                self._firsts.append(first)
                self._lasts.append(last)

    def __len__(self) -> int:
        return len(self._firsts)

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._firsts, number) - 1
        return place >= 0 and number <= self._lasts[place]


_NOBODYS: Final = Networks(
    network_of(each)
    for each in (
        *("0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"),
        *("::/127", "fc00::/7", "fe80::/10"),
    )
)
"""Loopback, private, link-local and unspecified addresses of both families."""
