"""Robots that the crawler-user-agents list knows, by user agent."""

from __future__ import annotations

from functools import lru_cache

import crawleruseragents

from domain.limits import USER_AGENT_KEPT_MAX_CHARS, USER_AGENTS_REMEMBERED_MAX


def compile_list() -> None:
    """Once, at start-up: the 40 ms that it takes must not fall into somebody's auction."""
    _is_listed("")


def is_known_robot(user_agent: str) -> bool:
    """Whether the list knows it; an empty one is not known.

    Only the beginning is looked at: the cost grows with the length, and who wants to be known says so early.
    """
    return bool(user_agent) and _is_listed(user_agent[:USER_AGENT_KEPT_MAX_CHARS])


@lru_cache(USER_AGENTS_REMEMBERED_MAX)
def _is_listed(user_agent: str) -> bool:
    return bool(crawleruseragents.is_crawler(user_agent))
