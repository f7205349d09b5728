"""Lists of user agents and networks: what is understood, and how bad lines are named."""

from __future__ import annotations

import tracemalloc

import pytest

from domain.errors import InvalidInput
from domain.limits import PATTERN_MAX_CHARS, TRAFFIC_LIST_FAULTS_MAX, USER_AGENT_KEPT_MAX_CHARS
from domain.traffic_lists import KNOWN_BROWSERS, networks, user_agent_patterns

PATTERNS = """\
# robots of our own
HouseCrawler/\\d+

  ^Scanner\\b   # found by an auditor
C#Client
"""


@pytest.mark.parametrize(
    ("user_agent", "is_found"),
    [
        ("HouseCrawler/7", True),
        ("Mozilla/5.0 (compatible; housecrawler/12)", True),
        ("HouseCrawler", False),
        ("Scanner 1.0", True),
        ("A Scanner", False),
        ("MyC#Client", True),
        ("robots of our own", False),
        ("", False),
        ("x" * USER_AGENT_KEPT_MAX_CHARS + "HouseCrawler/7", False),
    ],
)
def test_patterns(user_agent: str, *, is_found: bool) -> None:
    """One expression a line, anywhere in the first characters, in capitals or not; comments are passed over."""
    assert bool(user_agent_patterns(PATTERNS, "robots.txt").match(user_agent)) is is_found


def test_what_strangers_send_is_not_kept() -> None:
    """A thousand user agents of 15 kB take no more room than their first characters."""
    known = user_agent_patterns(PATTERNS, "robots.txt")
    tracemalloc.start()
    try:
        for number in range(1_000):
            assert not known.match(f"{number} ".ljust(15_000, "x"))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000 * (USER_AGENT_KEPT_MAX_CHARS + 500)


def test_networks() -> None:
    """Networks and single addresses of both families, with comments behind them."""
    known = networks("192.0.2.0/24 # a cloud\n\n2001:db8::/32\n198.51.100.7\r\n", "clouds.txt")
    assert "192.0.2.9" in known
    assert "2001:db8::1" in known
    assert "198.51.100.7" in known
    assert "198.51.100.8" not in known


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("fine\n(unclosed", 2),
        ("[a-", 1),
        ("a{99999999999}", 1),
        ("\n\n.*", 3),
        ("x?", 1),
        ("(a", 1),
        ("a" * (PATTERN_MAX_CHARS + 1), 1),
    ],
)
def test_bad_patterns_are_named(text: str, line: int) -> None:
    """What does not compile, is too long, or would be found in everybody's user agent."""
    with pytest.raises(InvalidInput) as raised:
        user_agent_patterns(text, "robots.txt")
    assert [each.path for each in raised.value.faults] == [f"robots.txt:{line}"]


@pytest.mark.parametrize("line", ["192.0.2.1/24", "0.0.0.0/0", "::/0", "example.com", "10.0.0.0-10.0.0.9", '{"a": 1}'])
def test_bad_networks_are_named(line: str) -> None:
    """What is no network, and what is everybody."""
    with pytest.raises(InvalidInput) as raised:
        networks(f"192.0.2.0/24\n{line}\n198.51.100.0/24", "clouds.txt")
    assert [each.path for each in raised.value.faults] == ["clouds.txt:2"]


def test_a_file_of_something_else_is_not_told_line_by_line() -> None:
    """Of a thousand bad lines the first few are named and the others counted."""
    with pytest.raises(InvalidInput) as raised:
        networks("no network\n" * 1_000, "clouds.txt")
    *first, rest = raised.value.faults
    assert [each.path for each in first] == [f"clouds.txt:{line}" for line in range(1, TRAFFIC_LIST_FAULTS_MAX + 1)]
    assert (rest.path, rest.message) == ("clouds.txt", f"has {1_000 - TRAFFIC_LIST_FAULTS_MAX} more bad lines")


@pytest.mark.parametrize(
    ("user_agent", "is_browser"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0", True),
        ("Opera/9.80 (J2ME/MIDP; Opera Mini/9.80) Presto/2.12.423 Version/12.16", True),
        ("Dalvik/2.1.0 (Linux; U; Android 15; Pixel 9 Build/BP1A)", True),
        ("News/7.1 CFNetwork/1490.0.4 Darwin/23.2.0", True),
        ("AppleCoreMedia/1.0.0.20G81 (Apple TV; U; CPU OS 16_6 like Mac OS X; en_us)", True),
        ("Roku/DVP-12.0 (12.0.0.4182-88)", True),
        ("node", False),
        ("my script", False),
        ("<script>Mozilla/5.0</script>", False),
    ],
)
def test_what_people_look_at_ads_with(user_agent: str, *, is_browser: bool) -> None:
    """Browsers, apps and players are known without a list; what merely mentions one is none."""
    assert KNOWN_BROWSERS.match(user_agent) is is_browser
