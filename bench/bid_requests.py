"""The bid requests of the bench: about 1 KB each, as a page with one banner sends them."""

from __future__ import annotations

import random

import msgspec

SITES = ("news.example", "sport.example", "recipes.example", "travel.example", "forum.example")
SIZE = {"w": 300, "h": 250}
"""The one that the bench's bidders have an ad for."""
COUNTRIES = ("DEU", "FRA", "USA", "GBR", "ESP", "POL")
BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)


def bid_requests(count: int, *, seed: int = 20_26) -> list[bytes]:
    """Distinct OpenRTB 2.6 requests, the same for the same seed."""
    chance = random.Random(seed)
    return [msgspec.json.encode(_bid_request(number, chance)) for number in range(count)]


def _bid_request(number: int, chance: random.Random) -> dict[str, object]:
    site = chance.choice(SITES)
    return {
        "id": f"{number:06d}-{chance.getrandbits(64):016x}",
        "imp": [
            {
                "id": "1",
                "banner": {**SIZE, "format": [SIZE], "pos": 1, "btype": [4]},
                "tagid": f"{site}/article/top",
                "bidfloor": chance.choice([0.1, 0.25, 0.5]),
                "bidfloorcur": "USD",
                "secure": 1,
                "instl": 0,
            }
        ],
        "site": {
            "id": f"site-{site}",
            "domain": site,
            "name": site.split(".")[0],
            "cat": ["IAB12", "IAB12-2"],
            "page": f"https://{site}/2026/article-{chance.randrange(10_000)}.html",
            "ref": "https://search.example/",
            "publisher": {"id": f"pub-{site}", "name": "Example Media"},
            "content": {"language": "en", "keywords": "elections,economy,markets"},
        },
        "device": {
            "ua": BROWSER,
            "ip": f"203.0.113.{chance.randrange(1, 255)}",
            "language": "en",
            "devicetype": 2,
            "os": "Windows",
            "osv": "10",
            "js": 1,
            "w": 1920,
            "h": 1080,
            "geo": {"country": chance.choice(COUNTRIES), "city": "Berlin", "lat": 52.5, "lon": 13.4, "type": 2},
        },
        "user": {"id": f"{chance.getrandbits(96):024x}", "buyeruid": f"{chance.getrandbits(96):024x}"},
        "regs": {"coppa": 0, "ext": {"gdpr": 0}},
        "source": {"tid": f"{chance.getrandbits(96):024x}", "fd": 0},
        "at": 2,
        "tmax": 500,
        "cur": ["USD"],
        "bcat": ["IAB25", "IAB26"],
        "badv": ["casino.example"],
    }


def post(path: str, body: bytes) -> bytes:
    """A whole HTTP request with a JSON body."""
    head = f"POST {path} HTTP/1.1\r\nHost: exchange.example\r\nContent-Type: application/json\r\n"
    return f"{head}x-openrtb-version: 2.6\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
