"""Personal data made small enough to keep: addresses without their host part, ids behind a key."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import blake2b
from ipaddress import AddressValueError, IPv4Address, IPv6Address

PSEUDONYM_BYTES = 16
_IPV6_NETWORK = ((1 << 48) - 1) << 80


def truncate_ip(text: str) -> str:
    """The address with all but its first 24 (IPv4) or 48 (IPv6) bits zero; empty when it is no address.

    An IPv4 address written as IPv6 (`::ffff:192.0.2.1`) is cut as the IPv4 address it is.
    """
    try:
        if ":" not in text:
            IPv4Address(text)  # strict: what it takes is written in full
            return text.rpartition(".")[0] + ".0"
        address = IPv6Address(text)
    except AddressValueError:
        return ""
    if address.ipv4_mapped is not None:
        return truncate_ip(str(address.ipv4_mapped))
    return str(IPv6Address(int(address) & _IPV6_NETWORK))


def pseudonym(key: bytes, value: str) -> str:
    """A name for `value` that is the same under the same key, and says nothing without it: 22 characters.

    Keyed BLAKE2b, so destroying the key (1 to 64 bytes) makes every pseudonym under it anonymous.
    """
    assert key, "without a key anybody could try all values"
    digest = blake2b(value.encode(), digest_size=PSEUDONYM_BYTES, key=key).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
