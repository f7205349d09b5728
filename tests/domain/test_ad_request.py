"""The bid request that is held for a page: a good OpenRTB request that says what the page and the browser say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from domain.ad_request import AdRequest, bid_request
from domain.catalogue import Placement, Publisher
from domain.device_type import device_type_of
from domain.errors import InvalidInput
from domain.openrtb.parse import parse_request
from domain.openrtb.restrictions import restrictions_of

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PLACEMENT = Placement(publisher_id="pub-1", name="Top", sizes=((300, 250), (728, 90)), currency="EUR")
PUBLISHER = Publisher(name="Daily", domain="daily.example", share_bps=8_000)


def asked(**changes: Any) -> AdRequest:
    return AdRequest(placement_id="pl-1", **changes)


def request_of(
    ad: AdRequest, placement: Placement = PLACEMENT, publisher: Publisher | None = PUBLISHER, *, is_secure: bool = False
) -> dict[str, Any]:
    body = bid_request(ad, placement, publisher, request_id="r-1", is_secure=is_secure)
    parse_request(body)
    return msgspec.json.decode(body, type=dict[str, Any])


def test_it_says_what_is_known() -> None:
    """The placement's sizes and currency, the page, the browser, the person's choices."""
    ad = asked(
        page="https://www.daily.example/news?id=1",
        ip="192.0.2.7",
        user_agent=BROWSER,
        language="de",
        country="DEU",
        user_id="viewer-17",
        do_not_track=True,
        gdpr=1,
        consent="CQbOE4A",
        coppa=0,
        us_privacy="1YNN",
        gpp="DBAA~x",
        gpp_sid=(2, 6),
        test=True,
    )
    assert request_of(ad) == {
        "id": "r-1",
        "imp": [
            {
                "id": "1",
                "tagid": "pl-1",
                "banner": {"format": [{"w": 300, "h": 250}, {"w": 728, "h": 90}]},
                "secure": 1,
            }
        ],
        "site": {
            "domain": "www.daily.example",
            "page": "https://www.daily.example/news?id=1",
            "publisher": {"id": "pub-1"},
        },
        "device": {
            "ua": BROWSER,
            "ip": "192.0.2.7",
            "language": "de",
            "devicetype": 2,
            "dnt": 1,
            "geo": {"country": "DEU"},
        },
        "user": {"id": "viewer-17", "consent": "CQbOE4A"},
        "regs": {"us_privacy": "1YNN", "gpp": "DBAA~x", "gpp_sid": [2, 6], "gdpr": 1, "coppa": 0},
        "cur": ["EUR"],
        "test": 1,
    }


def test_what_is_not_known_is_left_out() -> None:
    """The publisher's domain stands for the page's; the auction's kind and floors are the placement's own."""
    request = request_of(asked())
    assert request["site"] == {"domain": "daily.example", "publisher": {"id": "pub-1"}}
    assert request["imp"][0]["secure"] == 0
    assert request.keys() == {"id", "imp", "site", "cur"}
    assert request_of(asked(), publisher=None)["site"] == {"publisher": {"id": "pub-1"}}


def test_an_address_of_either_family() -> None:
    """IPv6 has a field of its own."""
    assert request_of(asked(ip="2001:db8::7"))["device"] == {"ipv6": "2001:db8::7"}


def test_a_frame_over_https_takes_nothing_insecure() -> None:
    """Not even on a page without it: browsers would block it."""
    assert request_of(asked(page="http://daily.example/"), is_secure=True)["imp"][0]["secure"] == 1


def test_a_size_that_is_asked_for() -> None:
    """It is the only one on offer, and must be one of the placement's; without any all are good."""
    assert request_of(asked(size=(728, 90)))["imp"][0]["banner"] == {"format": [{"w": 728, "h": 90}]}
    with pytest.raises(InvalidInput, match="w: the placement has no size 90x728, only 300x250, 728x90"):
        request_of(asked(size=(90, 728)))
    free = Placement(publisher_id="pub-1", name="Top", sizes=())
    assert request_of(asked(size=(90, 728)), free)["imp"][0]["banner"] == {"format": [{"w": 90, "h": 728}]}
    with pytest.raises(InvalidInput, match="w: is needed, and h too"):
        request_of(asked(), free)


@pytest.mark.parametrize(
    ("changes", "restricted"),
    [
        ({}, ()),
        ({"coppa": 1}, ("coppa",)),
        ({"do_not_track": True}, ("dnt",)),
        ({"gdpr": 1}, ("gdpr",)),
        ({"gdpr": 0}, ()),
        ({"us_privacy": "1YYN"}, ("us_privacy",)),
    ],
)
def test_a_persons_choices_hold(changes: dict[str, Any], restricted: tuple[str, ...]) -> None:
    """They are read as those of any other bid request."""
    body = bid_request(asked(**changes), PLACEMENT, PUBLISHER, request_id="r-1", is_secure=True)
    assert restrictions_of(parse_request(body).request) == restricted


@pytest.mark.parametrize(
    ("user_agent", "device_type"),
    [
        (BROWSER, 2),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/139.0.0.0 Safari/537.36", 2),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_6) AppleWebKit/605.1.15 Version/18.0 Safari/605.1.15", 2),
        ("Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/139.0.0.0 Mobile Safari/537.36", 4),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Mobile/15E148 Safari/604.1", 4),
        ("Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) Version/18.5 Mobile/15E148 Safari/604.1", 5),
        ("Mozilla/5.0 (Linux; Android 14; SM-X910) AppleWebKit/537.36 Chrome/139.0.0.0 Safari/537.36", 5),
        ("Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) AppleWebKit/537.36 Version/7.0 TV Safari/537.36", 3),
        ("Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 Chrome/108.0.0.0 Safari/537.36", 3),
        ("curl/8.5.0", None),
        ("", None),
        (" " * 100_000 + "Windows NT", None),
    ],
)
def test_device_types(user_agent: str, device_type: int | None) -> None:
    """What a campaign may be targeted at, as far as a user agent tells."""
    assert device_type_of(user_agent) == device_type
