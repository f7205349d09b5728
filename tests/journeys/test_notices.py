"""A bidder's view: it bids over HTTP, and is told what became of its bids, whatever dies in between."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.commands.notice_receiver import Behaviour, NoticeReceiver
from tests.journeys.running_exchange import RunningExchange, eventually, running_exchange

HEARD_SECONDS = 90
MACROS = {"id": "ID", "p": "PRICE", "c": "CURRENCY", "m": "MIN_TO_WIN", "l": "LOSS", "t": "IMP_TS"}
TOLD = "?" + "&".join(f"{key}=${{AUCTION_{macro}}}" for key, macro in MACROS.items())
REQUEST = {
    "imp": [{"id": "1", "bidfloor": 0.85, "banner": {"w": 300, "h": 250}}],
    "site": {"domain": "news.example"},
    "device": {"ua": "Mozilla/5.0", "ip": "203.0.113.7"},
}
VIEWER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", "X-Forwarded-For": "203.0.113.7"}


def bidding(price: float) -> Behaviour:
    """Bids so much for every request, and takes every notice but the first one."""
    told = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal told
        if request.method != "POST":
            told += 1
            return web.Response(status=503 if told == 1 else 204)
        asked = await request.json()
        base = f"http://{request.host}"
        bid = {
            "id": "b1", "impid": "1", "price": price, "adm": "<div></div>", "adomain": ["shop.example"], "crid": "c1",
            "w": 300, "h": 250, "nurl": f"{base}/win{TOLD}", "burl": f"{base}/bill{TOLD}", "lurl": f"{base}/loss{TOLD}",
        }  # fmt: skip
        return web.json_response({"id": asked["id"], "seatbid": [{"seat": "s1", "bid": [bid]}]})

    return answer


async def register(exchange: RunningExchange, http: aiohttp.ClientSession, name: str, url: str) -> None:
    headers = {"Authorization": f"Bearer {exchange.installation['admin_key']}"}
    terms = {"name": name, "endpoint": f"{url}/bid", "timeout_ms": 2_000}
    async with http.post(f"{exchange.url}/v1/bidders", json=terms, headers=headers) as answer:
        assert answer.status == 201, await answer.text()


async def auction(exchange: RunningExchange, http: aiohttp.ClientSession, name: str) -> tuple[str, dict[str, Any]]:
    """The auction's id and the answer to the request of that id."""
    async with http.post(f"{exchange.url}/openrtb2/auction", json=REQUEST | {"id": name, "tmax": 3_000}) as answer:
        assert answer.status == 200, answer.status
        return answer.headers["Gavel-Auction"], await answer.json()


def notices(receiver: NoticeReceiver, name: str) -> list[str]:
    """The addresses that were called about the request of that id, each once."""
    return sorted({path for path in receiver.paths if f"?id={name}&" in path})


async def test_every_bidder_hears_what_became_of_its_bid(data_folder: Path) -> None:
    """Winner, loser and one below the floor; billing after the impression; a killed notifier is no excuse."""
    async with AsyncExitStack() as stack:
        exchange = await stack.enter_async_context(running_exchange(data_folder / "notices"))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        high, low, below = [
            await stack.enter_async_context(NoticeReceiver(bidding(price)).listening()) for price in (1.0, 0.9, 0.8)
        ]
        for name, receiver in (("high", high), ("low", low), ("below", below)):
            await register(exchange, http, name, receiver.url)

        async def everybody_bids() -> bool:
            await auction(exchange, http, "first")
            return all("/bid" in each.paths for each in (high, low, below))

        await eventually(everybody_bids, HEARD_SECONDS)
        await eventually(lambda: heard(high, "first", 1), HEARD_SECONDS)

        exchange.kill("gavel notify")
        auction_id, answer = await auction(exchange, http, "second")
        [bid] = answer["seatbid"][0]["bid"]
        assert not {"nurl", "burl", "lurl"} & bid.keys()
        await eventually(lambda: heard(high, "second", 1), HEARD_SECONDS)
        assert notices(high, "second") == ["/win?id=second&p=0.91&c=USD&m=0.90&l=0&t="]
        async with http.get(bid["ext"]["gavel"]["impression_url"], headers=VIEWER) as pixel:
            assert pixel.status == 200
        for receiver, count in ((high, 2), (low, 1), (below, 1)):
            await eventually(partial(heard, receiver, "second", count), HEARD_SECONDS)

        billing = notices(high, "second")[0]
        assert billing.startswith("/bill?id=second&p=0.91&c=USD&m=0.90&l=0&t=1")
        headers = next(each.headers for each in high.calls if each.path == billing)
        assert headers["X-Forwarded-For"] == "203.0.113.0"
        assert headers["X-Device-User-Agent"] == VIEWER["User-Agent"]
        assert notices(low, "second") == ["/loss?id=second&p=&c=USD&m=0.91&l=102&t="]
        assert notices(below, "second") == ["/loss?id=second&p=&c=USD&m=&l=100&t="]
        await eventually(partial(told_in_the_story, exchange, auction_id, 4), HEARD_SECONDS)


async def heard(receiver: NoticeReceiver, name: str, count: int) -> bool:
    return len(notices(receiver, name)) >= count


async def told_in_the_story(exchange: RunningExchange, auction_id: str, count: int) -> bool:
    """The auction's story has so many notices that came to an end."""
    story = await exchange.get(f"/v1/auctions/{auction_id}")
    return len(story.get("notices", ())) == count
