"""The parameters of `GET /ad` and the headers beside them, without a server."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest

from api.write.ad_query import ad_query
from domain.ad_request import AdRequest
from domain.errors import Fault, InvalidInput

VIEWER = "192.0.2.7"


def asked(query: str, headers: dict[bytes, bytes] | None = None) -> AdRequest:
    return ad_query(query.encode(), headers or {}, ip=VIEWER).asked


def faults(query: bytes) -> list[Fault]:
    with pytest.raises(InvalidInput) as raised:
        ad_query(query, {}, ip=VIEWER)
    return list(raised.value.faults)


def test_everything_that_a_page_can_say() -> None:
    """Unknown parameters are passed over, of a repeated one the first counts."""
    stated = {
        "placement": "pl-1",
        "w": "300",
        "h": "250",
        "url": "https://daily.example/news?id=1#comments",
        "country": "deu",
        "user": "viewer-17",
        "gdpr": "1",
        "consent": "CQbOE4A",
        "coppa": "0",
        "us_privacy": "1YNN",
        "gpp": "DBAA~x",
        "gpp_sid": "2, 6",
        "test": "1",
        "cachebuster": "123",
    }
    assert asked(urlencode(stated) + "&w=728") == AdRequest(
        placement_id="pl-1",
        size=(300, 250),
        page="https://daily.example/news?id=1",
        ip=VIEWER,
        country="DEU",
        user_id="viewer-17",
        gdpr=1,
        consent="CQbOE4A",
        coppa=0,
        us_privacy="1YNN",
        gpp="DBAA~x",
        gpp_sid=(2, 6),
        test=True,
    )


def test_an_id_is_not_put_where_an_ad_could_read_it() -> None:
    """In the address of the page around the ad; nor is one taken that no record could stand under."""
    assert [each.path for each in faults(b"placement=p&format=html&user=viewer-17")] == ["user"]
    assert [each.path for each in faults(b"placement=p&user=a%09b")] == ["user"]
    assert [each.path for each in faults(b"placement=p&user=" + b"u" * 513)] == ["user"]


def test_what_a_browser_says_of_itself() -> None:
    """Its name, its language, the page it is on; either signal against tracking counts."""
    headers = {
        b"user-agent": b"Mozilla/5.0",
        b"accept-language": b"de-AT,de;q=0.9,en;q=0.5",
        b"referer": b"https://daily.example/news#top",
    }
    assert asked("placement=p", headers) == AdRequest(
        placement_id="p", page="https://daily.example/news", ip=VIEWER, user_agent="Mozilla/5.0", language="de"
    )
    assert asked("placement=p", {b"dnt": b"1"}).do_not_track
    assert asked("placement=p", {b"sec-gpc": b"1"}).do_not_track
    assert not asked("placement=p", {b"dnt": b"0"}).do_not_track


@pytest.mark.parametrize(
    "referer", [b"android-app://com.example", b"javascript:alert(1)", b"\xff\xfe", b"https://", b""]
)
def test_a_referer_that_is_no_page_says_nothing(referer: bytes) -> None:
    """The page cannot help what its browser sends."""
    assert asked("placement=p", {b"referer": referer}).page == ""


def test_what_the_page_says_of_itself_counts_more() -> None:
    """Most browsers tell a frame no more of the page around it than its host."""
    headers = {b"referer": b"https://daily.example/"}
    assert asked("placement=p&url=https://daily.example/news", headers).page == "https://daily.example/news"


@pytest.mark.parametrize(
    "url",
    [
        "about:srcdoc", "blob:https://daily.example/0193", "file:///sdcard/app/index.html", "capacitor://localhost",
        "javascript:alert(1)", "https://me:you@daily.example/", "https://daily.example/?q=a\\b",
        "https://daily.example/\0", "https://daily.example/" + "a" * 3_000, "https://", "x",
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["html", "json"])
def test_a_page_that_stands_nowhere_still_gets_its_ad(url: str, form: str) -> None:
    """What it says of itself is passed over, like a header: where the browser knows better that counts."""
    query = urlencode({"placement": "p", "format": form, "url": url})
    assert asked(query).page == ""
    assert asked(query, {b"referer": b"https://daily.example/"}).page == "https://daily.example/"


def test_a_page_with_a_long_query_loses_it() -> None:
    """No ad is lost to somebody's campaign parameters."""
    assert asked("placement=p&url=" + quote("https://daily.example/news?" + "x" * 5_000)).page == (
        "https://daily.example/news"
    )


@pytest.mark.parametrize(
    ("query", "path", "message"),
    [
        (b"", "placement", "is required"),
        (b"placement=", "placement", "is required"),
        (b"placement=" + b"p" * 65, "placement", "is longer than 64 characters"),
        (b"placement=%00", "placement", "holds a zero byte"),
        (b"placement=p&format=xml", "format", "is none of json, html"),
        (b"placement=p&w=300", "h", "is needed beside the other of w and h"),
        (b"placement=p&h=250", "w", "is needed beside the other of w and h"),
        (b"placement=p&w=0&h=250", "w", "is not 1 to 100000 pixels"),
        (b"placement=p&w=-1&h=250", "w", "is not a whole number"),
        (b"placement=p&w=%D9%A3&h=250", "w", "is not a whole number"),
        (b"placement=p&w=1e9&h=250", "w", "is not a whole number"),
        (b"placement=p&w=300&h=100001", "h", "is not 1 to 100000 pixels"),
        (b"placement=p&gdpr=yes", "gdpr", "is neither 0 nor 1"),
        (b"placement=p&coppa=2", "coppa", "is neither 0 nor 1"),
        (b"placement=p&test=true", "test", "is neither 0 nor 1"),
        (b"placement=p&country=DE", "country", "is not a country's three letters (ISO 3166-1 alpha-3)"),
        (b"placement=p&gpp_sid=2,x", "gpp_sid", "is not a whole number"),
        (b"placement=p&gpp_sid=" + b"2," * 300, "gpp_sid", "lists more than 256 sections"),
        (b"&".join(b"p%d=1" % number for number in range(100)), "", "the query has more than 64 parameters"),
    ],
)
def test_a_wrong_parameter_is_named(query: bytes, path: str, message: str) -> None:
    """With what is wrong about it."""
    assert faults(query) == [Fault(path, message)]


def test_all_that_is_wrong_is_told_at_once() -> None:
    """Whoever writes a tag by hand mends it once."""
    assert [each.path for each in faults(b"format=xml&w=300&gdpr=2")] == ["format", "placement", "h", "gdpr"]
