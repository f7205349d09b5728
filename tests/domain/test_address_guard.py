"""Which addresses bidders may have."""

from __future__ import annotations

import pytest

from domain.address_guard import refusal


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "fe80::1", "fe80::1%lo", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"],
)
@pytest.mark.parametrize("allow_private", [False, True])
def test_link_local_is_never_allowed(address: str, *, allow_private: bool) -> None:
    """A cloud's metadata service cannot be reached in any spelling, whatever the settings."""
    assert "link-local" in (refusal(address, allow_private=allow_private) or "")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.0.9",
        "::1",
        "::ffff:127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "fd00:ec2::254",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "ff02::1",
        "ff0e::1",
        "100.64.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::7f00:1",
    ],
)
def test_what_is_not_public_needs_leave(address: str) -> None:
    """Loopback, private, shared, unspecified, reserved and multicast addresses are allowed only on request."""
    assert refusal(address, allow_private=False)
    assert refusal(address, allow_private=True) is None


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_allowed(address: str) -> None:
    """The internet needs no leave."""
    assert refusal(address, allow_private=False) is None
