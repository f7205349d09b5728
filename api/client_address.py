"""Whose request is it: the peer, or whom a trusted proxy says it speaks for."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from litestar.types import HTTPScope

PEERS_REMEMBERED = 1_024


class ClientAddresses:
    """Believes `X-Forwarded-For` from trusted proxies only, and only up to the first hop that is none."""

    def __init__(self, trusted_proxies: Iterable[str]) -> None:
        self._networks = tuple(ip_network(each, strict=False) for each in trusted_proxies)
        self.is_trusted = lru_cache(PEERS_REMEMBERED)(self._is_within_networks)
        """Whether an address is one of our own proxies, or our own machine."""

    def __repr__(self) -> str:
        return f"ClientAddresses({[str(each) for each in self._networks]})"

    def of(self, scope: HTTPScope) -> str:
        """The client's address as text; empty when it came over a Unix socket."""
        client = scope.get("client")
        believed = client[0] if client else ""
        if not self.is_trusted(believed):
            return believed
        for hop in reversed(_hops(scope)):
            address = _parse(hop)
            if address is None:
                break
            believed = str(address)
            if not self.is_trusted(believed):
                break
        return believed

    def _is_within_networks(self, text: str) -> bool:
        address = _parse(text)
        return address is not None and any(address in network for network in self._networks)


def _hops(scope: HTTPScope) -> list[str]:
    values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return ",".join(values).split(",") if values else []


def _parse(hop: str) -> IPv4Address | IPv6Address | None:
    """An address with or without a port, an IPv6 one with or without brackets; None if it is neither."""
    text = hop.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
