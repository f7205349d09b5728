"""The impression pixel in a bidder's markup: it is there, and nothing is broken."""

from __future__ import annotations

import time
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.markup import dress, takes_tracker

PIXEL = "http://gavel.test/impression?t=abc-_"
CLICK = "http://gavel.test/click?t=def-_"


def dressed(markup: str) -> str:
    return dress(markup, impression_url=PIXEL, click_url=CLICK)


class Page(HTMLParser):
    """What a browser sees: the images, and what encloses each of them."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[tuple[str | None, list[str]]] = []
        self.scripts = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append((dict(attrs).get("src"), list(self.open)))
        else:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            self.open.remove(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts += data


@pytest.mark.parametrize(
    ("markup", "enclosing"),
    [
        ("<div>ad</div>", []),
        ("just text", []),
        ("<html><body><p>ad</p></body></html>", ["html", "body"]),
        ("<HTML><BODY>ad</BODY >\n</HTML>\n", ["html", "body"]),
        ("<body>ad</body>", ["body"]),
    ],
)
def test_html(markup: str, enclosing: list[str]) -> None:
    """One pixel, inside the body where there is one."""
    assert Page(dressed(markup)).images == [(PIXEL, enclosing)]


def test_a_closing_tag_inside_a_script_is_text() -> None:
    """A script that writes a whole document stays as it was."""
    script = 'document.write("<html><body>ad</body></html>");'
    page = Page(dressed(f"<script>{script}</script>"))
    assert page.scripts == script
    assert page.images == [(PIXEL, [])]


FIRST = ["", "<html><head><title>t</title></head><body class='a>b'>", "<!DOCTYPE html>", "<!-- x --><!doctype html>"]
OPEN = [
    "<!--", "<!-- --!><textarea><!-- -->", "<!--><script><!-- -->", "<!x", "<?x", "</x", "<div", '<div class="',
    "<a title='", "<a x=y'><textarea z='>", '<a ="><textarea b=">', '<a x=y="><xmp b=">', "<title>", "<textarea x>",
    "<noscript>", "<script>", "<ScRiPt x>", "<script></scripty>", "<script><!--<script></script>", "<style>",
    "<iframe>", "<xmp>", "<plaintext>", "<template>", "<select>", "<noframes>", "<frameset>", "<svg><![CDATA[",
    "<math><!--",
]  # fmt: skip


@pytest.mark.parametrize("start", FIRST)
@pytest.mark.parametrize("end", OPEN)
def test_nothing_that_html_leaves_open_hides_the_pixel(start: str, end: str) -> None:
    """It stands before all that is open at the end, behind what has to be first in a document."""
    result = dressed(f"{start}<p>ad</p>{end}")
    assert result.startswith(f'{start}<img src="{PIXEL}"')
    assert result.endswith(f"<p>ad</p>{end}")


@pytest.mark.parametrize(
    "markup",
    [
        "<div a=b'>it's 1 < 2</div>",
        "<!-- a > b --><p title='>'>ad</p><!-- -->",
        "<script async src=https://a.example/x?a=b></script><style>a > b {}</style><ScRiPt>'<p>'</sCrIpT >",
        "<!--[if IE]><p><![endif]--><br/><input disabled value=''><iframe src='https://a.example/'></iframe>",
    ],
)
def test_what_html_closes_again_keeps_its_pixel_at_the_end(markup: str) -> None:
    """A complete fragment is shown first, and seen then."""
    assert dressed(markup).startswith(f'{markup}<img src="{PIXEL}"')


def test_the_click_macro() -> None:
    """Replaced wherever it stands; by nothing when there is nowhere to go."""
    markup = "<a href='${GAVEL_CLICK_URL}'>1</a><a href='${GAVEL_CLICK_URL}'>2</a>"
    assert dressed(markup).count(f"href='{CLICK}'") == 2
    assert "href=''" in dress(markup, impression_url=PIXEL, click_url=None)


VAST = (
    '<?xml version="1.0"?><!-- made by hand --><VAST version="4.0"><Ad id="1"><InLine><AdSystem>x</AdSystem>'
    "<AdTitle><![CDATA[<Impression> in a title]]></AdTitle>{impression}<Creatives/></InLine></Ad></VAST>"
)


@pytest.mark.parametrize("own", ["", "<Impression>http://i.example/</Impression>"], ids=["without", "with"])
def test_vast_inline(own: str) -> None:
    """One more impression element of the ad, beside the bidder's own ones."""
    document = ET.fromstring(dressed(VAST.replace("{impression}", own)))
    urls = [each.text for each in document.findall("Ad/InLine/Impression")]
    assert sorted(filter(None, urls)) == sorted([PIXEL] + ["http://i.example/"] * bool(own))
    assert document.findtext("Ad/InLine/AdTitle") == "<Impression> in a title"


def test_vast_wrapper() -> None:
    """A wrapper counts as well, and a click address in it keeps the document well-formed."""
    markup = (
        "<VAST version='3.0'><Ad><Wrapper><VASTAdTagURI>http://v.example/</VASTAdTagURI><VideoClicks><ClickTracking>"
        "${GAVEL_CLICK_URL}</ClickTracking></VideoClicks></Wrapper></Ad></VAST>"
    )
    document = ET.fromstring(dressed(markup))
    assert document.findtext("Ad/Wrapper/Impression") == PIXEL
    assert document.findtext("Ad/Wrapper/VideoClicks/ClickTracking") == CLICK


@pytest.mark.parametrize(
    "markup",
    [
        "\ufeff<?xml version='1.0'?><VAST version='2.0'><Ad><InLine></InLine></Ad><Ad><InLine></InLine></Ad></VAST>",
        "<DAAST version='1.0'><Ad><Wrapper></Wrapper></Ad></DAAST>",
    ],
    ids=["a pod behind a byte order mark", "audio before VAST 4.1"],
)
def test_every_ad_of_a_document_counts(markup: str) -> None:
    """One pixel in each of its ads, whatever stands before the document: the player chooses which one it shows."""
    ads = ET.fromstring(dressed(markup).lstrip("\ufeff")).findall("Ad/*")
    assert [[each.text for each in ad.findall("Impression")] for ad in ads] == [[PIXEL]] * len(ads)


IN_AD = "<VAST><Ad><InLine>{}</InLine></Ad></VAST>"


@pytest.mark.parametrize(
    "markup",
    [
        IN_AD.format("<Extensions><Extension><Impression>x</Impression></Extension></Extensions><AdTitle/>"),
        IN_AD.format("<AdSystem>s</AdSystem><Extensions a='>'><InLine><AdTitle/></InLine></Extensions><Creatives/>"),
        IN_AD.format(
            "<Creatives><Creative><CreativeExtensions><Impression/></CreativeExtensions></Creative></Creatives>"
        ),
        IN_AD.format("<x><Impression>i</Impression></x>"),
        IN_AD.format("<Extensions/>").replace("</VAST>", "<Ad><Wrapper a='>'/></Ad><Extensions></Extensions></VAST>"),
        "<VAST><?x <InLine><Impression?><Ad><InLine><?y <Impression ?></InLine></Ad></VAST>",
        "<VAST><!-- <InLine> --><Ad><InLine><AdTitle><![CDATA[</AdTitle><Impression>]]></AdTitle></InLine></Ad></VAST>",
        "<VAST><Ad><Wrapper><Extensions><![CDATA[</Extensions><!--]]></Extensions></Wrapper></Ad></VAST>",
    ],
)
def test_no_part_of_vast_hides_the_pixel(markup: str) -> None:
    """It is the ad's own child, and in nothing else that looks like a place for it."""
    document = ET.fromstring(dressed(markup))
    found = document.findall("Ad/InLine/Impression") + document.findall("Ad/Wrapper/Impression")
    assert [each.text for each in found] == [PIXEL]
    assert [each.text for each in document.iter("Impression")].count(PIXEL) == 1


def test_native_trackers_that_are_null() -> None:
    """A list that is null is an empty one."""
    assert msgspec.json.decode(dressed('{"assets":[],"imptrackers":null}')) == {"assets": [], "imptrackers": [PIXEL]}


def test_the_event_trackers_of_a_native_ad_stay_as_they_are() -> None:
    """The tracker goes into `imptrackers` beside them."""
    trackers = [{"event": 1, "method": 1, "url": "https://i.example/"}]
    document = msgspec.json.decode(dressed(msgspec.json.encode({"eventtrackers": trackers}).decode()))
    assert document == {"eventtrackers": trackers, "imptrackers": [PIXEL]}


@pytest.mark.parametrize(
    "markup",
    [
        "<VAST version='4.0'/>",
        "<VAST>",
        "<?xml version='1.0'?><VAST><Error>e</Error></VAST>",
        "<VAST><Ad><InLine/></Ad></VAST>",
        "<VAST><Extensions><InLine></InLine></Extensions></VAST>",
        '{"native":[]}',
        '{"native":"{}"}',
        '{"assets":[],"imptrackers":{}}',
        '{"native":{},"assets":[]}',
        "{ ... }",
    ],
)
def test_what_has_no_place_for_it_is_left_as_it_came(markup: str) -> None:
    """An empty VAST and native JSON that does not tell which ad it is are not touched, and can be told."""
    assert dressed(markup) == markup
    assert not takes_tracker(markup, "native" if markup.startswith("{") else "video")


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("own", [[], ["http://i.example/"]], ids=["without", "with"])
def test_native(wrapped: bool, own: list[str]) -> None:
    """One more impression tracker, in the object itself or under `native`; all else as it came."""
    native = {"ver": "1.2", "assets": [{"id": 1, "price": 1.50}], **({"imptrackers": own} if own else {})}
    markup = msgspec.json.encode({"native": native, "other": 1} if wrapped else native).decode()
    document = msgspec.json.decode(dressed(markup))
    expected = native | {"imptrackers": [*own, PIXEL]}
    assert document == ({"native": expected, "other": 1} if wrapped else expected)


@given(st.text(alphabet="<>!-[]{}/\"' aVASTvImpresionbdyhtml?x", max_size=200))
def test_no_markup_breaks_it(markup: str) -> None:
    """Whatever comes in, the bidder's own characters stay, in their order."""
    result = dressed(markup)
    at = -1
    if not result.startswith("{"):
        for character in markup:
            at = result.index(character, at + 1)


@pytest.mark.parametrize(
    "hostile",
    [
        "<!---->" * 40_000,
        "<VAST>" + "<!--" * 60_000,
        "<VAST>" + "<![CDATA[" * 28_000,
        " " * 250_000,
        "</body " * 36_000,
        "<a b=" * 50_000,
        "<a b='" * 40_000,
        "<script>" * 30_000,
        "<script></script" * 15_000,
        "<script>" + "</script><script>" * 15_000,
        "<title></title><InLine><![CDATA[]]>" * 7_000,
        "<!--" * 60_000,
        "<!-- -" * 40_000,
        "<VAST>" + "<InLine>" * 30_000,
        "<VAST>" + "<InLine><a>" * 20_000,
        "<VAST>" + "<InLine a='" * 20_000,
        "<VAST>" + "<Extensions>" * 20_000,
        "<VAST>" + "<Extensions a='" * 16_000,
        "<VAST>" + "<?" * 120_000,
        '{"a":' + "[" * 250_000,
        '{"native":{"imptrackers":' + "[" * 250_000,
    ],
    ids=lambda hostile: hostile[:24],
)
def test_hostile_markup_costs_little(hostile: str) -> None:
    """A quarter of a megabyte made to be searched again and again takes milliseconds."""
    started = time.process_time()
    dressed(hostile)
    takes_tracker(hostile, "video")
    assert time.process_time() - started < 0.25
