"""Which devices may be one, and which may not."""

from __future__ import annotations

import pytest

from domain.device_match import agent_of, is_another_device, platform_of
from domain.openrtb.person import BrandVersion, Device, UserAgent

CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36"
SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15"
WINDOWS = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME}"
MAC = f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {SAFARI}"
IPHONE = f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) {SAFARI}"
IPAD = f"Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) {SAFARI}"
APPLE_APP = "News/7.1 CFNetwork/1490.0.4 Darwin/23.2.0"
ANDROID = f"Mozilla/5.0 (Linux; Android 15; Pixel 9) {CHROME}"
ANDROID_APP = "Dalvik/2.1.0 (Linux; U; Android 15; Pixel 9 Build/BP1A)"
LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"
LINUX_CHROME = f"Mozilla/5.0 (X11; Linux x86_64) {CHROME}"
CHROMEBOOK = f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {CHROME}"
XBOX = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) {CHROME}"
TELEVISION = f"Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) {CHROME}"


@pytest.mark.parametrize(
    ("user_agent", "platform"),
    [
        (WINDOWS, "windows"),
        (MAC, "mac"),
        (IPHONE, "iphone"),
        (IPAD, "ipad"),
        (APPLE_APP, "apple"),
        (ANDROID, "android"),
        (ANDROID_APP, "android"),
        (LINUX, "linux"),
        (CHROMEBOOK, "chromeos"),
        (XBOX, ""),
        (TELEVISION, ""),
        ("Mozilla/5.0", ""),
        ("", ""),
        (" " * 600 + "Windows NT 10.0", ""),
    ],
)
def test_platforms(user_agent: str, platform: str) -> None:
    """A user agent tells of its platform, early, or of none."""
    assert platform_of(user_agent) == platform
    assert agent_of(Device(ua=user_agent)) == platform


@pytest.mark.parametrize(
    ("auctions", "hits", "is_another"),
    [
        (WINDOWS, WINDOWS, False),
        (WINDOWS, MAC, True),
        (WINDOWS, LINUX, True),
        (IPHONE, WINDOWS, True),
        (IPHONE, ANDROID, True),
        (IPHONE, MAC, True),
        (IPHONE, IPAD, True),
        (MAC, LINUX, True),
        (ANDROID, WINDOWS, True),
        (LINUX, CHROMEBOOK, True),
        # One device that calls itself by two names.
        (IPAD, MAC, False),
        (IPHONE, APPLE_APP, False),
        (APPLE_APP, MAC, False),
        (ANDROID, ANDROID_APP, False),
        (ANDROID, LINUX_CHROME, False),
        (ANDROID, CHROMEBOOK, False),
        # A link that opens in another browser.
        (LINUX, LINUX_CHROME, False),
        # Nothing is known of one of them.
        (WINDOWS, XBOX, False),
        (TELEVISION, WINDOWS, False),
        ("", WINDOWS, False),
        (WINDOWS, "News/7.1", False),
    ],
)
def test_other_devices(auctions: str, hits: str, *, is_another: bool) -> None:
    """Only platforms that cannot be one device speak against a hit, from either side."""
    assert is_another_device(agent_of(Device(ua=auctions)), hits) is is_another
    assert is_another_device(agent_of(Device(ua=hits)), auctions) is is_another


@pytest.mark.parametrize(
    ("device", "agent"),
    [
        (None, ""),
        (Device(), ""),
        (Device(os="iOS"), "apple"),
        (Device(os=" ANDROID "), "android"),
        (Device(os="Plan 9"), ""),
        (Device(sua=UserAgent(platform=BrandVersion(brand="Windows")), os="Android"), "windows"),
        (Device(sua=UserAgent(platform=BrandVersion(brand="macOS"))), "mac"),
        (Device(sua=UserAgent(), os="Windows"), "windows"),
        (Device(ua=ANDROID, os="Windows"), "android"),
    ],
)
def test_what_the_auction_knows(device: Device | None, agent: str) -> None:
    """The user agent comes first, then the client hints, then the name of the system."""
    assert agent_of(device) == agent


def test_a_word_of_another_version_is_no_reason() -> None:
    """A token with a word that this version does not know is not held against anybody."""
    assert not is_another_device("amiga", WINDOWS)
