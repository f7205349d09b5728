"""Which addresses a bidder may have.

An endpoint is somebody else's text: without this check it could make the exchange post to its own database or to
the cloud's metadata service. What counts is the address that is connected to, so every answer of DNS is checked.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

NAT64 = IPv6Network("64:ff9b::/96")
IPV4_COMPATIBLE = IPv6Network("::/96")


def refusal(text: str, *, allow_private: bool) -> str | None:
    """Why the address must not be connected to, or None if it may be.

    Link-local addresses are never allowed; others that are not public only with `allow_private`.
    """
    address = _innermost(ip_address(text))
    if address.is_link_local:
        return f"{text} is link-local"
    if allow_private:
        return None
    for kind in ("loopback", "unspecified", "multicast", "private"):
        if getattr(address, f"is_{kind}"):
            return f"{text} is {kind}"
    return None if address.is_global else f"{text} is not public"


def _innermost(address: Address) -> Address:
    """The IPv4 address that an IPv6 address is another way of writing, or leads to; else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.is_loopback or address.is_unspecified:
        return address
    embedded = address.ipv4_mapped or address.sixtofour
    if embedded is None and (address in NAT64 or address in IPV4_COMPATIBLE):
        embedded = IPv4Address(int(address) & 0xFFFFFFFF)
    return embedded or address
