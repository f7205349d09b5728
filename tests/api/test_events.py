"""`POST /openrtb2/event`: what a server reports is judged as what a browser fetches."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from domain.limits import ENGAGEMENTS_PER_IP_MINUTE_MAX, EVENTS_PER_REQUEST_MAX
from domain.privacy import pseudonym
from tests.api.conftest import LANDING_URL, PSEUDONYM_KEY, Auction, hold
from tests.api.running_api import ADMIN_KEY, RunningApi
from tests.api.tenants import Key, seller
from tests.api.test_engagements import logged_engagements, verdicts

VIEWER = {
    "ip": "198.51.100.7",
    "ua": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
}


SERVER = "203.0.113.80"
JSON = {"Content-Type": "application/json"}


def event(url: str, **changes: Any) -> dict[str, Any]:
    return {"token": parse_qs(urlsplit(url).query)["t"][0], **VIEWER, **changes}


async def use_up_the_share_of(api: RunningApi, ip: str) -> None:
    """Of this minute and the next."""
    hidden = pseudonym(bytes.fromhex(PSEUDONYM_KEY), ip)
    minute = int(time.time()) // 60
    for near in (minute, minute + 1):
        key = api.services.names.rate_key("engagements", hidden, near)
        await api.services.redis.set(key, ENGAGEMENTS_PER_IP_MINUTE_MAX, ex=180)


async def report(api: RunningApi, body: Any, status: int = 200) -> Any:
    async with api.http.post("/openrtb2/event", json=body) as response:
        content = await response.read()
        assert response.status == status, content
        return msgspec.json.decode(content)


async def test_an_impression_that_a_server_reports(api: RunningApi, auction: Auction) -> None:
    """It counts once, whoever reports it: the player's server first, then the pixel."""
    before = await logged_engagements(api)
    assert await report(api, event(auction.impression_url)) == {"verdict": "valid", "kind": "impression"}
    assert await report(api, event(auction.impression_url)) == {"verdict": "duplicate", "kind": "impression"}
    before_pixel = verdicts(api)["duplicate"]
    async with api.http.get(auction.impression_url, headers={"User-Agent": VIEWER["ua"]}):
        pass
    assert verdicts(api)["duplicate"] == before_pixel + 1
    assert await logged_engagements(api) == before + 3


async def test_many_at_once(api: RunningApi) -> None:
    """Each has its own verdict, in the order of the list; a click tells where to send the viewer."""
    first, second = await asyncio.gather(hold(api), hold(api))
    before = await logged_engagements(api)
    told = await report(
        api,
        [
            event(first.impression_url),
            event(first.click_url),
            event(second.impression_url, ua="Googlebot/2.1 (+http://www.google.com/bot.html)"),
            event(second.impression_url[:-6] + "AAAAAA"),
            event(second.impression_url),
        ],
    )
    assert told == [
        {"verdict": "valid", "kind": "impression"},
        {"verdict": "valid", "kind": "click", "landing_url": LANDING_URL},
        {"verdict": "bot", "kind": "impression"},
        {"verdict": "forged"},
        {"verdict": "valid", "kind": "impression"},
    ]
    assert await logged_engagements(api) == before + 4


async def test_the_same_event_twice_in_a_list(api: RunningApi, auction: Auction) -> None:
    """One of them counts."""
    told = await report(api, [event(auction.impression_url)] * 5)
    assert sorted(each["verdict"] for each in told) == ["duplicate"] * 4 + ["valid"]


async def test_a_viewer_of_whom_nothing_is_said(api: RunningApi, auction: Auction) -> None:
    """The caller stands for it: a program is no browser."""
    told = await report(api, {"token": event(auction.impression_url)["token"]})
    assert told["verdict"] == "bot"


async def test_an_access_key_says_who_reports(api: RunningApi) -> None:
    """A publisher speaks for the viewers of its own placements, the operator for all; a wrong key is refused."""
    herald, tribune = await seller(api, "Herald"), await seller(api, "Tribune")
    keys = {"nobody": None, "a rival": tribune.key, "the publisher": herald.key, "the operator": Key("", ADMIN_KEY)}
    await use_up_the_share_of(api, SERVER)
    told = {}
    for name, key in keys.items():
        shown = await hold(api, site={"domain": "herald.example", "publisher": {"id": herald.publisher["id"]}})
        # As a proxy on this machine says.
        headers = {"X-Forwarded-For": SERVER} | ({} if key is None else {"Authorization": f"Bearer {key.secret}"})
        async with api.http.post("/openrtb2/event", json=event(shown.impression_url), headers=headers) as response:
            told[name] = (await response.json())["verdict"]
    assert told == {
        "nobody": "rate_limited",
        "a rival": "rate_limited",
        "the publisher": "valid",
        "the operator": "valid",
    }
    async with api.http.post(
        "/openrtb2/event", json={"token": "x"}, headers={"Authorization": "Bearer wrong"}
    ) as response:
        assert (response.status, response.headers["WWW-Authenticate"][:6]) == (401, "Bearer")


async def test_a_forged_token_alone(api: RunningApi, auction: Auction) -> None:
    """It is a problem as at the click address, and is not logged."""
    before = await logged_engagements(api)
    for forged in (auction.impression_url[:-6] + "AAAAAA", auction.impression_url[:-20], "/impression?t=x"):
        assert (await report(api, event(forged), 400))["type"] == "/problems/invalid-token"
    assert await logged_engagements(api) == before


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "$"),
        ({"token": 7}, "token"),
        ({"token": "x" * 20_000}, "token"),
        ({"token": "x", "ip": "daily.example"}, "ip"),
        *[({"token": "x", "ip": ip}, "ip") for ip in ("127.0.0.1", "::1", "0.0.0.0", "192.168.7.1", "10.0.0.1")],
        *[({"token": "x", "ip": ip}, "ip") for ip in ("172.16.1.1", "fd00::1", "fe80::1", "::", "::ffff:127.0.0.1")],
        ([{"token": "x", "ip": "127.0.0.1"}, {"token": "x", "ip": "198.51.100.7"}], "[0].ip"),
        ({"token": "x", "ua": "x" * 5_000}, "ua"),
        ([], ""),
        ([{"token": "x"}] * (EVENTS_PER_REQUEST_MAX + 1), ""),
        ([{"token": "x"}, {"token": "x", "ip": "1.2.3"}], "[1].ip"),
        ([{"token": "x"}, 7], "[1]"),
        ("x", "$"),
    ],
)
async def test_a_wrong_body(api: RunningApi, body: Any, path: str) -> None:
    """400 with the path of what is wrong; nothing of it is logged."""
    before = await logged_engagements(api)
    problem = await report(api, body, 400)
    assert problem["type"] == "/problems/invalid-input"
    assert [fault["path"] for fault in problem["errors"]] == [path]
    assert await logged_engagements(api) == before


async def test_what_is_no_json(api: RunningApi) -> None:
    """Neither by its content nor by its type."""
    async with api.http.post("/openrtb2/event", data=b"{", headers=JSON) as response:
        assert response.status == 400
    async with api.http.post("/openrtb2/event", data=b"t=x", headers={"Content-Type": "text/plain"}) as response:
        assert response.status == 415
    async with api.http.get("/openrtb2/event") as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
