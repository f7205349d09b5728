"""What an ad shows, in which words and sizes, and over which addresses it comes."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.domain.bid_rules.judging import assert_admitted, assert_refused, on_imp, verdict
from tests.domain.trading import imp, market, placement

SECURE = imp(secure=1)
WITH_PLACEMENT = imp(tagid="top")


@pytest.mark.parametrize(
    "markup",
    [
        '<img src="http://i.example/a.png">',
        "<IMG SRC='HTTP://i.example/a.png'>",
        "<div style='background:url(http://i.example/a.png)'>",
        "<script>load('http:\\/\\/i.example/a.js')</script>",
        '<a href="https://shop.example"><img src="http://i.example/a.png"></a>',
        '<iframe src="http://i.example/"></iframe>',
        '<img src="http:/i.example/a.png">',
        '<img src="http:\\\\i.example/a.png">',
        '<img src="http:&#47;/i.example/a.png">',
        '<img src="&#x68;ttp&colon;//i.example/a.png">',
        '<img src="h\nttp:\t//i.example/a.png">',
        '<a href="http://shop.example" style="background:url(http://i.example/a.png)">buy</a>',
        '<a title=" href=\'" style="background:url(http://i.example/a.png)" x="\'">buy</a>',
        '<a href="https://shop.example" ping="http://i.example/">buy</a>',
    ],
)
def test_an_ad_that_loads_over_plain_http(markup: str) -> None:
    """Refused where the page is secure, naming the address; taken where nobody asks."""
    assert_refused(verdict({"adm": markup}, on=SECURE), 207, "i.example", "secure")
    assert_admitted(verdict({"adm": markup}))
    assert_admitted(verdict({"adm": markup}, on=imp(secure=0)))


@pytest.mark.parametrize(
    "markup",
    [
        '<img src="https://i.example/a.png">',
        '<a class="x" href="http://shop.example/">buy</a>',
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1.dtd"><p>ad</p>',
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:x="http://www.w3.org/1999/xlink"></svg>',
        '<img src="https://i.example/?next=http%3A%2F%2Fshop.example">',
        "<a class=x title='a > b' HREF = http://shop.example/?a=b>buy</a>",
        "<script>if (/^http:/.test(location.href)) go()</script>",
        f"<p>&#{'9' * 5_000};</p>",
    ],
)
def test_what_is_not_loaded_may_be_plain(markup: str) -> None:
    """Where a click leads, names of schemas, and addresses inside of others."""
    assert_admitted(verdict({"adm": markup}, on=SECURE))


@pytest.mark.parametrize(
    ("part", "is_secure"),
    [
        ("<Impression>http://i.example/</Impression>", False),
        ("<MediaFile><![CDATA[http://i.example/a.mp4]]></MediaFile>", False),
        ("<ClickThrough id='1'><![CDATA[http://shop.example/]]></ClickThrough>", True),
        ("<CompanionClickThrough> http://shop.example/ </CompanionClickThrough>", True),
    ],
)
def test_addresses_in_vast(part: str, is_secure: bool) -> None:
    """Media and trackers are loaded, a click's target is not."""
    markup = (
        '<VAST version="4.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:noNamespaceSchemaLocation="http://www.iab.example/vast.xsd"><Ad><InLine>{part}</InLine></Ad></VAST>'
    )
    judged = verdict({"adm": markup}, on={**on_imp("video"), "secure": 1})
    if is_secure:
        assert_admitted(judged)
    else:
        assert_refused(judged, 207, "i.example")


def test_addresses_in_native_markup() -> None:
    """Images and trackers are loaded, a link is followed."""
    on = {**on_imp("native"), "secure": 1}
    image = '{"native":{"assets":[{"img":{"url":"http:\\/\\/i.example\\/a.png"}}]}}'
    escaped = '{"native":{"assets":[{"img":{"url":"\\u0068ttp://i.example/a.png"}}]}}'
    link = '{"native":{"assets":[],"link":{"url":"http://shop.example"},"privacy":"http://shop.example/p"}}'
    assert_refused(verdict({"adm": image}, on=on), 207, "http://i.example/a.png")
    assert_refused(verdict({"adm": escaped}, on=on), 207, "http://i.example/a.png")
    assert_admitted(verdict({"adm": link}, on=on))


@pytest.mark.parametrize(
    ("media_type", "markup", "words"),
    [
        ("video", "<VAST version='4.0'/>", ("InLine", "Wrapper")),
        ("audio", "<VAST><Error>e</Error></VAST>", ("InLine", "Wrapper")),
        ("native", "{oops", ("native", "imptrackers")),
        ("native", '{"assets":[],"imptrackers":{}}', ("native", "imptrackers")),
    ],
)
def test_an_ad_that_could_not_be_counted(media_type: str, markup: str, words: tuple[str, ...]) -> None:
    """It is refused before it is sold, because nobody would pay for it."""
    assert_refused(verdict({"adm": markup}, on=on_imp(media_type)), 204, *words)
    assert_admitted(verdict({"adm": None, "nurl": "https://n.example/"}, on=on_imp(media_type)))


def test_an_address_that_serves_the_markup() -> None:
    """A win notice is the ad's own address only where there is no markup."""
    assert_refused(verdict({"adm": None, "nurl": "http://n.example/"}, on=SECURE), 207, "n.example")
    assert_admitted(verdict({"nurl": "http://n.example/"}, on=SECURE))


@pytest.mark.parametrize(
    "part",
    [
        "<a ",
        "<a x='",
        "<a x=",
        "&#0",
        "&",
        "http:/",
        "<!DOCTYPE ",
        "xmlns=",
        "<ClickThrough>",
        "http:",
        "xsi:",
        "schemaLocation",
    ],
)
def test_hostile_markup_costs_little(part: str) -> None:
    """A quarter of a megabyte made to be searched again and again takes milliseconds."""
    markup = "http:" + part * (250_000 // len(part))
    started = time.process_time()
    verdict({"adm": markup}, on=SECURE)
    assert time.process_time() - started < 0.25


@pytest.mark.parametrize(
    ("allowed", "bid", "is_fine"),
    [
        ({"wlang": ["en", "de"]}, {"language": "de"}, True),
        ({"wlang": ["en", "de"]}, {"language": "fr"}, False),
        ({"wlang": ["en"]}, {"langb": "en-GB"}, True),
        ({"wlang": ["en"]}, {"language": "xx"}, True),
        ({"wlang": ["en"]}, {}, True),
        ({"wlangb": ["zh-Hant"]}, {"langb": "zh-Hant-TW"}, True),
        ({"wlangb": ["zh-Hant"]}, {"langb": "zh-Hans"}, False),
        ({"wlangb": ["zh-Hant"]}, {"language": "zh"}, True),
        ({"wlangb": ["en-US"]}, {"langb": "EN-us"}, True),
        ({"wlangb": ["en"]}, {"language": "enx"}, False),
        ({}, {"language": "fr"}, True),
    ],
)
def test_languages(allowed: dict[str, Any], bid: dict[str, Any], is_fine: bool) -> None:
    """A stated language is an allowed one or a part of it."""
    judged = verdict(bid, **allowed)
    if is_fine:
        assert_admitted(judged)
    else:
        assert_refused(judged, 208, *bid.values(), *allowed)


@pytest.mark.parametrize(
    ("offer", "bid", "is_fine"),
    [
        ({"w": 300, "h": 250}, {"w": 300, "h": 250}, True),
        ({"w": 300, "h": 250}, {"w": 320, "h": 50}, False),
        ({"w": 300, "h": 250}, {}, True),
        ({"format": [{"wratio": 16, "hratio": 9, "wmin": 320}]}, {"wratio": 32, "hratio": 18}, True),
        ({"format": [{"wratio": 16, "hratio": 9, "wmin": 320}]}, {"wratio": 4, "hratio": 3}, False),
        ({"w": 300, "h": 250}, {"wratio": 4, "hratio": 3}, True),
    ],
)
def test_sizes(offer: dict[str, Any], bid: dict[str, Any], is_fine: bool) -> None:
    """What a banner says of its size must be offered."""
    judged = verdict(bid, on=on_imp("banner", **offer))
    if is_fine:
        assert_admitted(judged)
    else:
        assert_refused(judged, 203, *map(str, bid.values()))


@pytest.mark.parametrize(
    ("field", "filled", "code"), [("crid", "c1", 8), ("adomain", ["shop.example"], 6), ("cat", ["IAB1"], 10)]
)
def test_what_a_placement_requires(field: str, filled: Any, code: int) -> None:
    """A bid that leaves it out or empty is refused, one that has it is not."""
    catalogue = market(placements=[placement(required_bid_fields=(field,))])
    for bid in ({}, {field: type(filled)()}):
        assert_refused(verdict(bid, on=WITH_PLACEMENT, catalogue=catalogue), code, field, "placement")
    assert_admitted(verdict({field: filled}, on=WITH_PLACEMENT, catalogue=catalogue))
