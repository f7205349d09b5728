"""What kind of device a browser runs on, as far as its own words tell: for pages, which say no more."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from domain.limits import USER_AGENT_KEPT_MAX_CHARS, USER_AGENTS_REMEMBERED_MAX

PC: Final = 2
TV: Final = 3
PHONE: Final = 4
TABLET: Final = 5

# Looked for in this order: a television or tablet with Android also names what phones do.
_KINDS: Final = (
    (
        TV,
        re.compile(r"smart-?tv|hbbtv|web0s|apple ?tv|googletv|bravia|roku|crkey|\btizen\b(?!.*mobile)", re.IGNORECASE),
    ),
    (TABLET, re.compile(r"ipad|tablet|kindle|silk/|playbook|android(?!.*mobile)", re.IGNORECASE)),
    (PHONE, re.compile(r"mobi|iphone|ipod", re.IGNORECASE)),
    (PC, re.compile(r"windows nt|macintosh|x11|cros\b", re.IGNORECASE)),
)


def device_type_of(user_agent: str) -> int | None:
    """The AdCOM device type (list 'Device Types') that the user agent claims; None where it names none."""
    return _device_type_of(user_agent[:USER_AGENT_KEPT_MAX_CHARS])


@lru_cache(USER_AGENTS_REMEMBERED_MAX)
def _device_type_of(user_agent: str) -> int | None:
    return next((kind for kind, pattern in _KINDS if pattern.search(user_agent)), None)
