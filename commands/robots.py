"""Known robots, by user agent."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import crawleruseragents

USER_AGENTS_REMEMBERED: Final = 4_096
"""Looking one up in the list costs 150 µs and more, and most hits share few user agents."""
USER_AGENT_MAX_CHARS: Final = 512
"""The cost grows with the length, and whoever wants to be known as a robot says so early."""


def compile_list() -> None:
    """Once, at start-up: the 40 ms that it takes must not fall into somebody's auction."""
    _is_listed("")


def is_known_robot(user_agent: str) -> bool:
    """Whether the crawler-user-agents list knows it; an empty one is not known."""
    return bool(user_agent) and _is_listed(user_agent[:USER_AGENT_MAX_CHARS])


@lru_cache(USER_AGENTS_REMEMBERED)
def _is_listed(user_agent: str) -> bool:
    return bool(crawleruseragents.is_crawler(user_agent))
