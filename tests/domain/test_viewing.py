"""What tokens remember of a viewer."""

from __future__ import annotations

from typing import Any

import pytest

from domain.openrtb.parse import parse_request
from domain.openrtb.restrictions import restrictions_of
from domain.viewing import person_of
from tests.domain.trading import request

KEY = b"k" * 32
BROWSER = {"ip": "192.0.2.17", "ua": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}
IFA = "7f7f4a1c-3c21-4a6e-8f55-16b7a55e1234"


def person(key: bytes = KEY, **members: Any) -> str:
    asked = parse_request(request(**members)).request
    return person_of(asked, key, restrictions_of(asked))


def test_a_device_is_the_same_wherever_it_is() -> None:
    """Its id goes before the person's, and both before the network that it is in."""
    known = person(device={**BROWSER, "ifa": IFA}, user={"id": "u-1"})
    assert known == person(device={"ifa": IFA, "ip": "198.51.100.1"})
    assert known != person(device={**BROWSER, "ifa": IFA[::-1]})
    assert person(device=BROWSER, user={"id": "u-1"}) == person(user={"id": "u-1"}) != known


def test_who_has_no_id_is_a_browser_in_a_network() -> None:
    """The last part of an address changes from day to day."""
    assert person(device=BROWSER) == person(device={**BROWSER, "ip": "192.0.2.99"})
    assert person(device=BROWSER) != person(device={**BROWSER, "ip": "198.51.100.1"})
    assert person(device=BROWSER) != person(device={**BROWSER, "ua": "Another"})


def test_a_person_is_nobody_without_the_key() -> None:
    """The pseudonym is short, holds nothing of an id, and under another key is another one."""
    known = person(device={**BROWSER, "ifa": IFA})
    assert len(known) == 12
    assert known != person(b"l" * 32, device={**BROWSER, "ifa": IFA})


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"device": {"ip": "192.0.2.17"}},
        {"device": {"ua": "Mozilla"}},
        {"device": {**BROWSER, "ifa": IFA, "lmt": 1}},
        {"device": {**BROWSER, "dnt": 1}},
        {"device": BROWSER, "regs": {"coppa": 1}},
        {"device": BROWSER, "regs": {"gdpr": 1}},
        {"device": BROWSER, "user": {"id": "u-1"}, "regs": {"us_privacy": "1YYN"}},
    ],
)
def test_nobody_is_known_where_nothing_is_or_may_be(members: dict[str, Any]) -> None:
    """Too little of a browser, or a law or wish that forbids it."""
    assert person(**members) == ""
