"""What a page shows: the ad of the auction's answer, else a house ad, in a frame that nothing breaks out of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ad_markup import ad_markup
from domain.ad_page import ad_page
from domain.catalogue import Ad, HouseAd
from domain.markup import dress
from domain.shown_ad import ShownAd, house_ad, sold_ad

AUCTION = "01936f2a-5c1e-7cc3-98c4-dc0c0c07398f"
PIXEL, CLICK = "https://ads.example/impression?t=p", "https://ads.example/click?t=c"
SIZES = ((300, 250), (728, 90))


def ad(**changes: Any) -> Ad:
    return Ad(
        **{"campaign_id": "c", "name": "A", "width": 300, "height": 250, "landing_url": "https://shop.example/"}
        | changes
    )


def house(width: int, height: int, landing_url: str = "https://daily.example/join", **looks: str) -> HouseAd:
    return HouseAd(width=width, height=height, landing_url=landing_url, **(looks or {"html": "<b>Join</b>"}))


def answer(**bid: Any) -> bytes:
    addresses = {"impression_url": PIXEL, "click_url": CLICK}
    return msgspec.json.encode({"id": "r", "seatbid": [{"bid": [{"ext": {"gavel": addresses}, **bid}]}]})


class Frames(HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.frames: list[dict[str, str | None]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "iframe":
            self.frames.append(dict(attrs))


def frames_of(page: str) -> tuple[Sequence[str], Sequence[dict[str, str | None]]]:
    found = Frames(page)
    return found.tags, found.frames


def test_a_picture_is_a_link_to_the_click_address() -> None:
    """Its address is escaped, and it has its size."""
    assert ad_markup(ad(image_url="https://cdn.example/a.png?x=1&y=2")) == (
        '<a href="${GAVEL_CLICK_URL}" target="_blank" rel="noopener"><img src="https://cdn.example/a.png?x=1&amp;y=2" '
        'width="300" height="250" alt="" style="border:0;display:block"></a>'
    )


def test_html_leads_to_the_click_address() -> None:
    """By its own macro where it has one, else as a whole."""
    own = '<a href="${GAVEL_CLICK_URL}">Buy</a>'
    assert ad_markup(ad(html=own)) == own
    wrapped = ad_markup(ad(html="<b>Buy</b>"))
    assert wrapped.startswith('<a href="${GAVEL_CLICK_URL}" target="_blank" rel="noopener"')
    assert wrapped.endswith("><b>Buy</b></a>")


def test_the_auctions_ad() -> None:
    """Its size as the bid states it, else the first that was on offer."""
    shown = sold_ad(answer(adm="<b>Ad</b>", w=728, h=90), AUCTION, SIZES)
    assert shown == ShownAd(
        auction_id=AUCTION, width=728, height=90, markup="<b>Ad</b>", impression_url=PIXEL, click_url=CLICK
    )
    unsized = sold_ad(answer(adm="<b>Ad</b>"), AUCTION, SIZES)
    assert unsized is not None
    assert (unsized.width, unsized.height) == (300, 250)


def test_markup_that_is_fetched_from_its_bidder() -> None:
    """The browser fetches it in a frame, and the pixel beside it."""
    shown = sold_ad(answer(nurl='https://dsp.example/adm?a="b"&c=1'), AUCTION, SIZES)
    assert shown is not None
    assert 'src="https://dsp.example/adm?a=&quot;b&quot;&amp;c=1"' in shown.markup
    assert f'<img src="{PIXEL}"' in shown.markup


@pytest.mark.parametrize("response", [b"", b'{"id":"r","nbr":0,"ext":{"debug":{}}}', b'{"id":"r","seatbid":[]}'])
def test_nothing_sold(response: bytes) -> None:
    """Whether the answer has a body or not."""
    assert sold_ad(response, AUCTION, SIZES) is None


def test_a_house_ad_that_fits() -> None:
    """It leads to its page itself, with the macros that can be known; nobody counts it."""
    landing = "https://daily.example/join?a=${AUCTION_ID}&p=${PLACEMENT_ID}&c=${CLICK_ID}"
    shown = house_ad([house(160, 600), house(728, 90, landing)], AUCTION, "pl-1", SIZES)
    assert shown is not None
    filled = f"https://daily.example/join?a={AUCTION}&p=pl-1&c="
    assert (shown.width, shown.height, shown.click_url, shown.house) == (728, 90, filled, True)
    assert shown.impression_url is None
    assert f'href="{filled}"' in shown.markup
    assert "${" not in shown.markup
    assert house_ad([house(160, 600)], AUCTION, "pl-1", SIZES) is None


def test_house_ads_take_turns() -> None:
    """Each of three is shown for about a third of a thousand auctions."""
    ads = [house(300, 250, html=f"<b>{name}</b>") for name in "abc"]
    turns = dict.fromkeys("abc", 0)
    for number in range(1_000):
        shown = house_ad(ads, f"01936f2a-5c1e-7cc3-98c4-{number * 7_919:012x}", "pl-1", SIZES)
        assert shown is not None
        turns[re.findall("<b>(.)</b>", shown.markup)[0]] += 1
    assert all(250 < each < 420 for each in turns.values()), turns


@pytest.mark.parametrize("landing", ["https://daily.example/'-alert(1)-'", 'https://daily.example/"><script>'])
def test_a_landing_page_cannot_end_what_it_stands_in(landing: str) -> None:
    """Neither an attribute nor a script's text."""
    ad = house(300, 250, landing, html="<a onclick=\"open('${GAVEL_CLICK_URL}')\">Go</a>")
    shown = house_ad([ad], AUCTION, "pl-1", SIZES)
    assert shown is not None
    url = shown.markup.partition("open('")[2].partition("')")[0]
    assert not set(url) & {"'", '"', "<", ">"}
    assert url.startswith("https://daily.example/")


@pytest.mark.parametrize(
    "markup",
    [
        '"></iframe><script>parent.document.body.remove()</script>',
        "'></iframe><img src=x onerror=alert(1)>",
        "</iframe></body></html><script>alert(1)</script>",
        "&quot;></iframe><script>",
        "<!--",
        "<script>",
    ],
)
def test_no_markup_ends_the_frame(markup: str) -> None:
    """Whatever it holds stays in one attribute of one sandboxed frame."""
    tags, frames = frames_of(ad_page(shown_ad(markup)))
    assert tags == ["html", "head", "meta", "title", "style", "body", "img", "iframe", "script"]
    [frame] = frames
    assert (frame["srcdoc"] or "").endswith(markup)
    assert (frame["sandbox"] or "").split() == [
        "allow-scripts",
        "allow-forms",
        "allow-popups",
        "allow-popups-to-escape-sandbox",
    ]


def test_the_page_loads_the_pixel_itself() -> None:
    """Once, outside of what an ad may govern; a house ad has none."""
    markup = dress("<b>Ad</b>", impression_url=PIXEL, click_url=CLICK)
    assert PIXEL in markup
    page = ad_page(shown_ad(markup))
    assert page.count(PIXEL) == 1
    assert f'<img src="{PIXEL}"' in page
    _, [frame] = frames_of(page)
    assert (frame["srcdoc"] or "").endswith("<b>Ad</b>")
    own = house_ad([house(300, 250)], AUCTION, "pl-1", SIZES)
    assert own is not None
    assert "img" not in frames_of(ad_page(own))[0]


@given(st.text(st.characters(exclude_characters="\0\r", exclude_categories=("Cs",))))
def test_any_markup_comes_out_as_it_went_in(markup: str) -> None:
    """The frame's document is the ad's own, to the character."""
    _, [frame] = frames_of(ad_page(shown_ad(markup)))
    assert (frame["srcdoc"] or "").endswith(markup)


def shown_ad(markup: str) -> ShownAd:
    return ShownAd(auction_id=AUCTION, width=300, height=250, markup=markup, impression_url=PIXEL, click_url=CLICK)
