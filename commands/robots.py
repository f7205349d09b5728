"""Known robots, by user agent."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import crawleruseragents

USER_AGENTS_REMEMBERED: Final = 4_096
"""Looking one up in the list costs about 200 µs, and most hits share few user agents."""


@lru_cache(USER_AGENTS_REMEMBERED)
def is_known_robot(user_agent: str) -> bool:
    """Whether the crawler-user-agents list knows it; an empty one is not known."""
    return bool(user_agent) and bool(crawleruseragents.is_crawler(user_agent))
