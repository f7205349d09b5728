"""What the simulated publishers have to sell, and who looks at it. All names are made up."""

from __future__ import annotations

import math
from typing import NamedTuple

Size = tuple[int, int]


class Property(NamedTuple):
    """A site or an app of a publisher."""

    publisher_id: str
    publisher: str
    name: str
    domain: str
    """A site's domain or an app's bundle."""
    is_app: bool
    category: str
    sizes: tuple[Size, ...]
    floor_cents: int
    """CPM, of the plainest slot."""
    weight: int
    """Its part of all traffic."""


class Country(NamedTuple):
    code: str
    """ISO 3166-1 alpha-3."""
    city: str
    latitude: float
    longitude: float
    gdpr: bool
    language: str
    weight: int


class Device(NamedTuple):
    user_agent: str
    kind: int
    """AdCOM device type."""
    os: str
    is_phone: bool
    weight: int


class Viewer(NamedTuple):
    """A person in front of a screen: always the same country, device and address."""

    number: int
    country: Country
    device: Device
    ip: str


BANNERS: tuple[Size, ...] = ((300, 250), (728, 90), (160, 600), (300, 600), (970, 250))
MOBILE_BANNERS: tuple[Size, ...] = ((320, 50), (300, 250), (320, 100))

PROPERTIES = (
    Property(
        "pub-harbour", "Harbour Press", "The Harbour Daily", "harbourdaily.example", False, "IAB12", BANNERS, 40, 22
    ),
    Property("pub-harbour", "Harbour Press", "Harbour Sport", "harboursport.example", False, "IAB17", BANNERS, 30, 14),
    Property("pub-kettle", "Kettle Media", "Kettle and Pan", "kettleandpan.example", False, "IAB8", BANNERS, 25, 12),
    Property("pub-kettle", "Kettle Media", "Slow Gardens", "slowgardens.example", False, "IAB10", BANNERS[:3], 20, 6),
    Property("pub-orbit", "Orbit Tech", "Orbit Review", "orbitreview.example", False, "IAB19", BANNERS, 60, 10),
    Property("pub-orbit", "Orbit Tech", "Orbit Forum", "forum.orbitreview.example", False, "IAB19", BANNERS[:2], 10, 8),
    Property("pub-lantern", "Lantern Shops", "Lantern Market", "lanternmarket.example", False, "IAB22", BANNERS, 50, 8),
    Property(
        "pub-meadow", "Meadow Games", "Cloud Farm", "com.meadow.cloudfarm", True, "IAB9-30", MOBILE_BANNERS, 15, 9
    ),
    Property("pub-meadow", "Meadow Games", "Word Tide", "com.meadow.wordtide", True, "IAB9-30", MOBILE_BANNERS, 15, 6),
    Property("pub-ferry", "Ferry Apps", "Ferry Weather", "app.ferry.weather", True, "IAB15-10", MOBILE_BANNERS, 35, 5),
)

COUNTRIES = (
    Country("USA", "Chicago", 41.8781, -87.6298, False, "en", 34),
    Country("DEU", "Hamburg", 53.5511, 9.9937, True, "de", 16),
    Country("GBR", "Leeds", 53.8008, -1.5491, False, "en", 14),
    Country("FRA", "Lyon", 45.7640, 4.8357, True, "fr", 10),
    Country("BRA", "Recife", -8.0476, -34.8770, False, "pt", 9),
    Country("JPN", "Osaka", 34.6937, 135.5023, False, "ja", 9),
    Country("NLD", "Utrecht", 52.0907, 5.1214, True, "nl", 5),
    Country("KEN", "Nairobi", -1.2921, 36.8219, False, "en", 3),
)

_WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36"
)
_MAC = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_6) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15"
)
_LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"
_ANDROID = (
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/139.0.0.0 Mobile Safari/537.36"
)
_IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)
_IPAD = (
    "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)

DEVICES = (
    Device(_WINDOWS, 2, "Windows", False, 30),
    Device(_ANDROID, 4, "Android", True, 30),
    Device(_IPHONE, 4, "iOS", True, 22),
    Device(_MAC, 2, "macOS", False, 10),
    Device(_IPAD, 5, "iOS", False, 5),
    Device(_LINUX, 2, "Linux", False, 3),
)

ROBOT_USER_AGENTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
)

VIEWERS = 50_000
"""So many people there are."""
_FLATNESS = 50
"""Offset of the Zipf–Mandelbrot law: the most faithful viewer makes 0.3 % of the traffic, not a tenth of it."""
_ADDRESSES = (198 << 24) + (18 << 16)
"""198.18.0.0/15 is set aside for measurements (RFC 2544)."""


def viewer_at(fraction: float) -> Viewer:
    """The viewer at this point of the distribution, 0 ≤ fraction < 1: a few are seen often, most seldom."""
    number = int(_FLATNESS * math.exp(fraction * math.log((VIEWERS + _FLATNESS) / _FLATNESS)) - _FLATNESS)
    country = COUNTRIES[_by_weight(number, _COUNTRY_STEPS)]
    device = DEVICES[_by_weight(number * 7 + 3, _DEVICE_STEPS)]
    address = _ADDRESSES + number
    ip = ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))
    return Viewer(number, country, device, ip)


def _by_weight(number: int, steps: list[int]) -> int:
    # Fibonacci hashing spreads neighbouring numbers evenly over the steps.
    return steps[(number * 2_654_435_761 % 2**32) * len(steps) // 2**32]


def _steps(weights: list[int]) -> list[int]:
    return [index for index, weight in enumerate(weights) for _ in range(weight)]


_COUNTRY_STEPS = _steps([country.weight for country in COUNTRIES])
_DEVICE_STEPS = _steps([device.weight for device in DEVICES])
