"""Addresses and ids that may be kept."""

from __future__ import annotations

from base64 import b64encode
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.privacy import pseudonym, truncate_ip


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("203.0.113.0", "203.0.113.0"),
        ("2001:db8:abcd:12:34:56:78:9a", "2001:db8:abcd::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
        ("203.0.113", ""),
        ("203.0.113.077", ""),
        ("203.0.113.77:8080", ""),
        ("٢٠٣.0.113.77", ""),
        ("anna@example.com", ""),
        ("1:2", ""),
    ],
)
def test_addresses(address: str, kept: str) -> None:
    """24 bits of IPv4, 48 of IPv6, and nothing of what is no address."""
    assert truncate_ip(address) == kept


@given(st.ip_addresses())
def test_a_cut_address_is_the_network_s(address: IPv4Address | IPv6Address) -> None:
    """The result is the first address of the network of 24 or 48 bits."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    network = ip_network(f"{address}/{24 if address.version == 4 else 48}", strict=False)
    assert ip_address(truncate_ip(str(address))) == network.network_address


@given(st.text(), st.text(), st.binary(min_size=1, max_size=64))
def test_pseudonyms_tell_values_apart(one: str, other: str, key: bytes) -> None:
    """The same for the same value, another for another, always of one length."""
    assert (pseudonym(key, one) == pseudonym(key, other)) == (one == other)
    assert len(pseudonym(key, one)) == 22


def test_pseudonyms_depend_on_the_key() -> None:
    """Who has not the key cannot try values."""
    assert pseudonym(b"one key", "viewer") != pseudonym(b"other key", "viewer")


def test_a_known_pseudonym() -> None:
    """What was logged last year is recognised this year; the figure is OpenSSL's (`openssl mac … BLAKE2BMAC`)."""
    digest = bytes.fromhex("E07AFB7A30F6032E2C86EC93A07788CD")
    assert b64encode(digest, altchars=b"-_") == pseudonym(bytes(range(32)), "viewer-1").encode() + b"=="
