"""What tells people's traffic from the rest: lists of user agents and networks, as text that operators keep.

One entry a line; blank lines and what follows `#` at the start of a line or behind a blank are passed over.
A list is good as a whole or not at all: half a list would count what it was meant to keep out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Final, TypeVar

from domain.errors import Fault, InvalidInput
from domain.limits import (
    PATTERN_MAX_CHARS,
    TRAFFIC_LIST_FAULTS_MAX,
    USER_AGENT_KEPT_MAX_CHARS,
    USER_AGENTS_REMEMBERED_MAX,
)
from domain.networks import Network, Networks, network_of

BROWSERS: Final = (
    r"^Mozilla/\d",
    r"^Opera/\d",
    # What apps send for themselves: Android's and Apple's own clients, and players of video and sound.
    r"^Dalvik/\d",
    r"CFNetwork/\d",
    r"^AppleCoreMedia/\d",
    r"^ExoPlayer|ExoPlayerLib/",
    r"^stagefright/\d",
    r"^Roku/DVP",
    r"^AppleTV",
    r"^VLC/\d",
    # Browsers of simple phones.
    r"^(BlackBerry|Nokia|SAMSUNG|SonyEricsson|LG|MOT|KDDI|DoCoMo|UCWEB)",
)
"""What the programs that people look at pages and ads with say of themselves, unless the operator's list says it."""

_COMMENT = re.compile(r"(^|\s)#.*")
Entry = TypeVar("Entry")


class UserAgentPatterns:
    """Regular expressions, searched for anywhere in a user agent, in capital or small letters; immutable."""

    def __init__(self, patterns: Iterable[re.Pattern[str]] = ()) -> None:
        self._patterns = tuple(patterns)
        # It remembers what it has seen: what strangers send is cut before it gets there.
        self._is_found = lru_cache(USER_AGENTS_REMEMBERED_MAX)(self._find)

    def __repr__(self) -> str:
        return f"UserAgentPatterns({len(self._patterns)})"

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def match(self, user_agent: str) -> bool:
        """Whether one of them is found in the first USER_AGENT_KEPT_MAX_CHARS characters."""
        return self._is_found(user_agent[:USER_AGENT_KEPT_MAX_CHARS])

    def _find(self, told: str) -> bool:
        return any(each.search(told) for each in self._patterns)


def user_agent_patterns(text: str, source: str) -> UserAgentPatterns:
    """The list in `text`. Raises InvalidInput with the bad lines as `source:line`."""
    return UserAgentPatterns(_entries(text, source, _pattern))


def networks(text: str, source: str) -> Networks:
    """The list in `text`, networks in CIDR form and single addresses. Raises InvalidInput as above."""
    return Networks(_entries(text, source, _network))


KNOWN_BROWSERS: Final = UserAgentPatterns(re.compile(each, re.IGNORECASE) for each in BROWSERS)


def _entries(text: str, source: str, read: Callable[[str], Entry]) -> list[Entry]:
    entries: list[Entry] = []
    faults: list[Fault] = []
    for number, line in _lines(text):
        try:
            entries.append(read(line))
        except ValueError as error:
            faults.append(Fault(f"{source}:{number}", str(error)))
    if faults:
        raise InvalidInput(_some_of(faults, source))
    return entries


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        entry = _COMMENT.sub("", line).strip()
        if entry:
            yield number, entry


def _some_of(faults: list[Fault], source: str) -> list[Fault]:
    more = len(faults) - TRAFFIC_LIST_FAULTS_MAX
    rest = [Fault(source, f"has {more} more bad lines")] if more > 0 else []
    return [*faults[:TRAFFIC_LIST_FAULTS_MAX], *rest]


def _pattern(line: str) -> re.Pattern[str]:
    if len(line) > PATTERN_MAX_CHARS:
        raise ValueError(f"is longer than {PATTERN_MAX_CHARS} characters")
    try:
        pattern = re.compile(line, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{line!r} is no regular expression: {error}") from None
    if pattern.search(""):
        raise ValueError(f"{line!r} is found in an empty text, so it tells nothing apart")
    return pattern


def _network(line: str) -> Network:
    network = network_of(line)
    if network.prefixlen == 0:
        raise ValueError(f"{line!r} is every address")
    return network
