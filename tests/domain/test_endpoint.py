"""Which addresses may be called, and where a click may lead."""

from __future__ import annotations

import pytest

from domain.endpoint import endpoint_fault, is_landing_page_of, web_page_fault


@pytest.mark.parametrize(
    "url",
    ["https://dsp.example/bid", "http://dsp.example:8080/bid?x=1", "http://93.184.215.14/", "https://[2606:2800::1]/"],
)
def test_good_endpoints(url: str) -> None:
    """Public names and addresses, with any port and path."""
    assert endpoint_fault(url, allow_private=False) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9000/", "http://localhost/", "http://a.localhost/", "http://10.1.2.3/", "http://192.168.1.1/",
        "http://[::1]/", "http://[fd00::1]/", "http://[::ffff:127.0.0.1]/", "http://0.0.0.0/", "http://224.0.0.1/",
    ],
)  # fmt: skip
def test_private_endpoints_are_opened_by_a_setting(url: str) -> None:
    """Loopback and private ranges are refused, and allowed when the installation says so."""
    assert endpoint_fault(url, allow_private=False)
    assert endpoint_fault(url, allow_private=True) is None


@pytest.mark.parametrize(
    "url",
    [
        "", "dsp.example/bid", "ftp://dsp.example/", "file:///etc/passwd", "http://", "http:///bid", "http://:80/",
        "http://user:secret@dsp.example/", "http://user@dsp.example/", "http://dsp.example/#part", "http://dsp.example/#",
        "http://dsp.example:99999/", "http://dsp.example:0/", "http://dsp.example:x/", "http://dsp example/",
        "http://dsp.example/\r\nX: y", "http://dsp.example\\@evil.example/", "http://[::1/", "http://127.1/",
        "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/", "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/", "http://[::ffff:169.254.169.254]/",
        "http://dsp.example/" + "x" * 3_000,
    ],
)  # fmt: skip
def test_bad_endpoints_are_refused_whatever_is_allowed(url: str) -> None:
    """No URL, no host, credentials, a fragment, an address in disguise, or link-local: never."""
    assert endpoint_fault(url, allow_private=True)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://shop.example/", True),
        ("http://www.shop.example:8443/a?b=c#d", True),
        ("https://SHOP.example./", True),
        ("https://shop.example.evil.example/", False),
        ("https://notshop.example/", False),
        ("https://evil.example/shop.example", False),
        ("https://shop.example@evil.example/", False),
        ("https://evil.example\\.shop.example/", False),
        ("javascript:alert(1)//shop.example", False),
        ("//shop.example/", False),
        ("https://shop.example/\r\nSet-Cookie: x", False),
    ],
)
def test_landing_pages(url: str, allowed: bool) -> None:
    """A click leads to a page of the advertiser and nowhere else."""
    assert is_landing_page_of(url, ("shop.example",)) is allowed


@pytest.mark.parametrize("domain", ["127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "", ".", "2130706433"])
def test_an_advertiser_is_never_a_machine_of_the_network(domain: str) -> None:
    """An address in `adomain` opens nothing."""
    assert not is_landing_page_of(f"http://{domain}/", (domain,))


@pytest.mark.parametrize(
    "host",
    [
        "shop.example", "www.shop-online.example", "SHOP.example.", "2shop.example", "a_b.shop.example",
        "shop.xn--p1ai", "m\u00fcnchen.example", "home.example", "mail.example", "shop.co-op", "private.example",
    ],
)  # fmt: skip
def test_websites_that_people_may_be_shown(host: str) -> None:
    """Names as the public DNS has them, whatever else a label means at the end of one."""
    assert web_page_fault(f"https://{host}/") is None


@pytest.mark.parametrize(
    "host",
    [
        "router.home", "a.corp", "shop.private", "localhost.localdomain", "x.test", "a.invalid", "x.onion", "x.alt",
        "relay.mail", "printer.local", "nas.lan", "a.home.arpa", "_._", "a-.example", "-a.example", "a.b-", "a.-b",
        "shop.1-2", "shop._", "shop",
    ],
)  # fmt: skip
def test_what_is_no_public_website(host: str) -> None:
    """Names set aside for tests, for other networks and for nobody, and what is no name at all."""
    assert "is not on a public website" in (web_page_fault(f"http://{host}/") or "")
