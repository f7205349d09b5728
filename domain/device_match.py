"""Whether an engagement came from the device that the auction was about.

An auction knows the device by the user agent, the client hints or the name of its system. Of these a token keeps one
word, the platform; the user agent of the pixel's or the click's request tells another one. Only platforms that cannot
be one device speak against the engagement: the same device may call itself by several names. An iPad's browser says
Macintosh, an app's own requests say only that they come from Apple, a tablet that asks for desktop pages says Linux.
Browsers are not compared at all: a click in an app opens in whatever browser the person prefers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Literal, cast, get_args

from domain.limits import USER_AGENT_KEPT_MAX_CHARS, USER_AGENTS_REMEMBERED_MAX
from domain.openrtb.person import Device

Platform = Literal["windows", "mac", "iphone", "ipad", "apple", "android", "linux", "chromeos"]
"""`apple` is any device of Apple's. What is none of these, a television for one, is not told apart."""

_UNTOLD = re.compile(
    r"Xbox|PlayStation|Nintendo|SMART-TV|SmartTV|Tizen|Web0S|webOS|Roku|AppleTV|Apple TV|Windows Phone"
)
_TOLD = re.compile(
    r"(?P<iphone>\((?:iPhone|iPod))|(?P<ipad>\(iPad)|(?P<android>Android)|(?P<chromeos>\(X11; CrOS )"
    r"|(?P<windows>Windows (?:NT|\d))|(?P<mac>\(Macintosh;)|(?P<apple>CFNetwork/|Darwin/|AppleCoreMedia/)"
    r"|(?P<linux>\((?:X11|Wayland);|Linux (?:x86_64|i686|aarch64))"
)
_SYSTEMS: Final[Mapping[str, Platform]] = MappingProxyType(
    {
        "windows": "windows",
        "macos": "mac",
        "mac os": "mac",
        "mac os x": "mac",
        "os x": "mac",
        "ios": "apple",
        "ipados": "apple",
        "iphone os": "apple",
        "android": "android",
        "fire os": "android",
        "linux": "linux",
        "ubuntu": "linux",
        "chrome os": "chromeos",
        "chromeos": "chromeos",
        "chromium os": "chromeos",
    }
)
"""`device.os` and the platform's brand of client hints, in small letters."""
_MAY_BE_ONE: Final = frozenset(
    frozenset(pair)
    for pair in (
        ("apple", "mac"),
        ("apple", "iphone"),
        ("apple", "ipad"),
        ("ipad", "mac"),
        ("android", "linux"),
        ("android", "chromeos"),
    )
)
_PLATFORMS: Final = frozenset(get_args(Platform))


def agent_of(device: Device | None) -> str:
    """What a token is to keep of the device: a `Platform`, or nothing where it cannot be told."""
    if device is None:
        return ""
    if device.ua:
        return platform_of(device.ua)
    brand = device.sua.platform.brand if device.sua is not None and device.sua.platform is not None else device.os
    return _SYSTEMS.get(brand.strip().lower(), "") if brand else ""


def is_another_device(agent: str, user_agent: str) -> bool:
    """Whether the request's user agent cannot be that of the auction's device; False where either is not known."""
    if agent not in _PLATFORMS:
        return False
    met = platform_of(user_agent)
    return met not in ("", agent) and frozenset((agent, met)) not in _MAY_BE_ONE


def platform_of(user_agent: str) -> Platform | Literal[""]:
    """The platform that a user agent tells of; empty for one that is not told apart."""
    return _platform_of(user_agent[:USER_AGENT_KEPT_MAX_CHARS])


@lru_cache(USER_AGENTS_REMEMBERED_MAX)
def _platform_of(user_agent: str) -> Platform | Literal[""]:
    told = _TOLD.search(user_agent)
    if told is None or _UNTOLD.search(user_agent):
        return ""
    return cast("Platform", told.lastgroup)
