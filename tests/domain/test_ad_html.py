"""HTML that keeps to itself, and HTML that would break the page around it; a real browser has the last word."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice

import pytest
from playwright.async_api import Browser

from domain.ad_html import html_fault

WELL_BEHAVED = (
    "Just words, a < b & c > d",
    '<a href="${GAVEL_CLICK_URL}" target="_blank"><img src="https://shop.example/a.png" alt="Coats"></a>',
    "<!doctype html><html><head><title>Coats</title></head><body><p>One<p>Two</body></html>",
    "<table><tr><td>Coats<td>Hats</table><ul><li>One<li>Two</ul>",
    "<div><br><hr/><input disabled></div>",
    "<script>if (a < b && c > d) { run('<div>') }</script><style>b > i { color: red }</style>",
    '<iframe src="https://shop.example/player"></iframe>',
    "<IFRAME></iframe >",
    '<svg viewBox="0 0 1 1"><path d="M0 0"/><g><title>Coat</title></g></svg>',
    "<svg><foreignObject><div>Words</div></foreignObject></svg>",
    "<noscript><img src='https://shop.example/pixel'></noscript>",
    "<!-- a comment --><b title='>'>x</b>",
    '<meta charset="utf-8"><meta name="ad.size" content="http-equiv"><meta data-http-equiv="x" property=http-equiv>',
    "<base-line></base-line><b data-base>x</b>",
)


@pytest.mark.parametrize("html", WELL_BEHAVED)
def test_what_an_ad_may_be(html: str) -> None:
    """What people write, with the tags that may stay open left open."""
    assert html_fault(html) is None


@pytest.mark.parametrize(
    ("html", "why"),
    [
        ("</iframe>", "closes </iframe>, which it has not opened"),
        ("x</html>", "closes </html>"),
        ("</BODY\n>", "closes </body>"),
        ("<iframe></iframe></iframe>", "closes </iframe>"),
        ("<div></div></div>", "closes </div>, which it has not opened"),
        ("<p></p></p>", "closes </p>"),
        ("<div><span></div></span>", "closes </div> out of turn"),
        ("<svg></div></svg>", "out of turn"),
        ("<svg><g></svg>", "out of turn"),
        ("<div>", "leaves <div> open"),
        ("<div/>", "leaves <div> open"),
        ("<svg><div/></svg>", "out of turn"),
        ("<svg><foreignObject><a/></foreignObject></svg>", "out of turn"),
        ("<svg><foreignObject><rp></foreignObject></svg>", "out of turn"),
        ("<noscript><div></noscript>", "out of turn"),
        ("<plaintext>", "takes over the whole document"),
        ("<frameset></frameset>", "takes over"),
        ("<!-- ", "not complete, at character 0: '<!-- '"),
        ("ok<!-->", "not complete, at character 2"),
        ("<script>", "not complete"),
        ("<textarea>x", "not complete"),
        ("<style></style", "not complete"),
        ("<img src='x", "not complete"),
        ("<a", "not complete"),
        ("x<", "not complete"),
        ("<svg><![CDATA[ </svg> ]]></svg>", "not complete"),
        ("<script><!-- <script></script>", "not complete"),
        ("<script>var end = '</iframe>'</script>", "has </iframe inside a comment, a script"),
        ("<!-- </html> -->", "has </html inside"),
        ("<!-- </noscript> -->", "has </noscript inside"),
        ("<svg><style><div></style></svg>", "has tags inside <style> inside <svg>"),
        ('<meta http-equiv="Content-Security-Policy" content="img-src none">', "<meta http-equiv>, which would govern"),
        ("<META/content=x\tHTTP-Equiv = refresh>", "<meta http-equiv>"),
        ("<p><meta name='a>b' http-equiv></p>", "<meta http-equiv>"),
        ("<svg><meta http-equiv=refresh></svg>", "<meta http-equiv>"),
        ("<base href='https://evil.example/'>", "<base>"),
        ("<BASE>", "<base>"),
        ("a\0b", "NUL"),
    ],
)
def test_what_no_ad_may_be(html: str, why: str) -> None:
    """It is told what is wrong, and where or with which element."""
    fault = html_fault(html)
    assert fault is not None
    assert why in fault


@pytest.mark.parametrize(
    "piece",
    ["<p>", "<", "<!--", "<a ", "<script>", "</iframe", "<iframe>", "<svg><a/>", "<div>", "<a/>", "<svg><g>", "a='"],
)
def test_the_time_it_takes_grows_with_the_length_alone(piece: str) -> None:
    """A body full of anything is judged in a moment; a search that goes back again and again would take minutes."""
    html_fault(piece * (60_000 // len(piece)))


PIECES = (
    *(f"<{name}>" for name in ("b", "i", "p", "div", "table", "tr", "td", "ul", "li", "select", "option", "svg", "g")),
    *(f"</{name}>" for name in ("b", "i", "p", "div", "table", "tr", "td", "ul", "li", "select", "option", "svg", "g")),
    *(f"<{name}>" for name in ("math", "mi", "foreignObject", "desc", "template", "form", "button", "h1", "noscript")),
    *(f"</{name}>" for name in ("math", "mi", "foreignObject", "desc", "template", "form", "button", "h1", "noscript")),
    *("<a/>", "<div/>", "<g/>", "<svg/>", "<title/>", "<image>", "<nobr>", "</nobr>", "<rp>", "<dd>", "<caption>"),
    *("<title>t</title>", "<style>a{}</style>", "<script>1</script>", "<textarea>x</textarea>", "<xmp><b></xmp>"),
    *("<script>", "</script>", "<style>", "</style>", "<!--", "-->", "<!-- c -->", "<!---->", "<?x?>", "<!x>", "<"),
    *("<html>", "</html>", "<head>", "<body>", "</body>", "<a title='>'>", "</a>", "<br>", "text", "'", '"', " >"),
)


def accepted(rng: random.Random) -> Iterator[str]:
    """HTML thrown together of pieces, most of it inside an element, that is let in."""
    while True:
        html = "".join(rng.choices(PIECES, k=rng.randint(1, 7)))
        if rng.random() < 0.7:
            name = rng.choice(("b", "div", "svg", "math", "table", "noscript", "template", "ul"))
            html = f"<{name}>{html}</{name}>"
        if html_fault(html) is None:
            yield html


KEEPS_TO_ITSELF = """all => all.filter(html => {
    const page = `<!doctype html><body><div id=around>${html}<s id=last></s></div><p id=behind>seen</p></body>`;
    const document = new DOMParser().parseFromString(page, "text/html");
    const [around, last, behind] = ["around", "last", "behind"].map(id => document.getElementById(id));
    return !(around?.parentNode === document.body && last && around.contains(last)
        && behind?.parentNode === document.body && behind.textContent === "seen");
})"""
"""Of many pieces of HTML, those that break out of their element or swallow what follows it."""


async def test_a_browser_agrees(browser: Browser) -> None:
    """Whatever is let in stays inside of its element, and what stands behind it is seen."""
    page = await browser.new_page()
    tried = [*islice(accepted(random.Random(7)), 2_000), *WELL_BEHAVED]
    assert await page.evaluate(KEEPS_TO_ITSELF, tried) == []
    assert await page.evaluate(KEEPS_TO_ITSELF, ["</div>", "<!--", "<b>fine</b>"]) == ["</div>", "<!--"]
    await page.close()
