"""Whether an address is in one of many networks."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.networks import Networks, network_of, subscriber_of

SOME = Networks(map(ip_network, ["192.0.2.0/24", "192.0.2.128/25", "198.51.100.7/32", "2001:db8:1::/48"]))
CORNER_OF_V4 = st.integers(0, 2**10 - 1).map(lambda number: IPv4Address(2**31 + number))
CORNER_OF_V6 = st.integers(0, 2**10 - 1).map(lambda number: IPv6Address(2**127 + number))


@pytest.mark.parametrize(
    ("address", "is_in"),
    [
        ("192.0.2.0", True),
        ("192.0.2.255", True),
        ("192.0.1.255", False),
        ("192.0.3.0", False),
        ("198.51.100.7", True),
        ("198.51.100.8", False),
        ("::ffff:192.0.2.1", True),
        ("2001:db8:1:ffff::1", True),
        ("2001:db8:2::1", False),
        ("::c000:201", False),
        ("", False),
        ("192.0.2.1:443", False),
        ("192.0.2", False),
        ("anna@example.com", False),
        ("::g", False),
    ],
)
def test_membership(address: str, *, is_in: bool) -> None:
    """First and last addresses are in, their neighbours and what is no address are not."""
    assert (address in SOME) is is_in
    assert SOME
    assert not Networks()
    assert address not in Networks()


@given(
    st.lists(st.tuples(CORNER_OF_V4 | CORNER_OF_V6, st.integers(0, 6))),
    CORNER_OF_V4 | CORNER_OF_V6,
)
def test_it_agrees_with_looking_at_every_network(
    given_networks: list[tuple[IPv4Address | IPv6Address, int]], address: IPv4Address | IPv6Address
) -> None:
    """Overlapping, repeated and neighbouring networks hold an address if one of them does."""
    networks = [
        ip_network((int(each), each.max_prefixlen - bits), strict=False)
        if each.version == 6
        else ip_network((str(each), 32 - bits), strict=False)
        for each, bits in given_networks
    ]
    assert (str(address) in Networks(networks)) == any(address in each for each in networks)


def test_a_household_counts_as_one() -> None:
    """An IPv4 address stands for itself, of an IPv6 address the network that its provider gave it."""
    assert subscriber_of("192.0.2.1") == "192.0.2.1"
    assert subscriber_of("2001:db8:1:2:3:4:5:6") == subscriber_of("2001:db8:1:2:ffff::1") == "2001:db8:1:2::/64"
    assert subscriber_of("2001:db8:1:3::1") != subscriber_of("2001:db8:1:2::1")
    assert subscriber_of("::ffff:192.0.2.1") == subscriber_of("192.0.2.1")
    assert subscriber_of("::g") == "::g"
    assert subscriber_of("") == ""


@pytest.mark.parametrize("text", ["192.0.2.1/24", "192.0.2.0/33", "example.com", "1", ""])
def test_what_is_no_network(text: str) -> None:
    """Host bits behind the prefix are a slip of the pen, as is what is no address at all."""
    with pytest.raises(ValueError, match=r"does not appear|has host bits|not"):
        network_of(text)
