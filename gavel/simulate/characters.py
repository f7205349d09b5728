"""What the three simulated bidders are like: what they bid, how fast, and in which ways one of them misbehaves."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from gavel.simulate.chance import chance


class Reply(NamedTuple):
    """What a bidder does with one bid request."""

    body: bytes | None
    """None: 204, no bid."""
    delay_ms: float = 0.0
    status: int = 200
    cut: bool = False
    """Half of the body, then the connection is closed."""
    hang_up: bool = False
    """The connection is closed without a word."""


class _Size(msgspec.Struct):
    w: int = 0
    h: int = 0


class _Banner(_Size):
    format: list[_Size] = []


class _Deal(msgspec.Struct):
    id: str
    bidfloor: float = 0.0


class _Pmp(msgspec.Struct):
    deals: list[_Deal] = []


class _Imp(msgspec.Struct):
    id: str
    bidfloor: float = 0.0
    banner: _Banner | None = None
    pmp: _Pmp | None = None


class _Request(msgspec.Struct):
    id: str
    imp: list[_Imp]
    tmax: int = 250


class Character(NamedTuple):
    """A bidder's name, habits and prices."""

    key: str
    name: str
    seat: str
    advertiser: str
    """Domain of the advertiser it buys for."""
    slogan: str
    colour: str
    appetite: float
    """Share of the imps it bids for."""
    price_cents: int
    """Median CPM of its bids."""
    price_spread: float
    """Standard deviation of the price's logarithm."""
    delay_ms: tuple[float, float]
    """Shortest and longest time it thinks."""
    deals: tuple[str, ...]
    """Deals that it takes up when they are offered."""
    currency: str = "USD"
    """What it bids in."""
    misbehaviours: tuple[tuple[str, int], ...] = ()
    """Names in `MISBEHAVIOURS` with their weight; what is missing to 100 is good behaviour."""


CHARACTERS = {
    each.key: each
    for each in (
        Character(
            key="swift",
            name="Swift Ads",
            seat="swift",
            advertiser="swiftshoes.example",
            slogan="Shoes that arrive before you do",
            colour="#0b7285",
            appetite=0.8,
            price_cents=75,
            price_spread=0.35,
            delay_ms=(0.0, 2.0),
            deals=(),
        ),
        Character(
            key="lumen",
            name="Lumen Premium",
            seat="lumen",
            advertiser="lumenwatches.example",
            slogan="A watch is a promise",
            colour="#862e9c",
            appetite=0.5,
            price_cents=240,
            price_spread=0.5,
            delay_ms=(15.0, 60.0),
            deals=("premium-display",),
            currency="EUR",
        ),
        Character(
            key="rogue",
            name="Rogue Traffic",
            seat="rogue",
            advertiser="roguedeals.example",
            slogan="You will not believe these deals",
            colour="#c92a2a",
            appetite=0.9,
            price_cents=120,
            price_spread=0.8,
            delay_ms=(2.0, 30.0),
            deals=(),
            misbehaviours=(
                ("late", 8),
                ("error_500", 6),
                ("garbage", 4),
                ("wrong_response_id", 4),
                ("negative_price", 2),
                ("price_not_a_number", 2),
                ("astronomic_price", 2),
                ("below_floor", 5),
                ("unknown_imp", 4),
                ("wrong_size", 3),
                ("unknown_deal", 2),
                ("no_markup", 2),
                ("cut", 3),
                ("hang_up", 4),
                ("empty_object", 3),
            ),
        ),
    )
}


class Bidder:
    """Answers bid requests in a character's way; the same seed and request id give the same answer."""

    def __init__(self, character: Character, seed: int, own_url: str) -> None:
        self.character = character
        self._seed = seed
        self._own_url = own_url
        names = [name for name, _ in character.misbehaviours]
        weights = [weight for _, weight in character.misbehaviours]
        self._conducts = ["", *names]
        self._weights = [100 - sum(weights), *weights]

    def __repr__(self) -> str:
        return f"Bidder({self.character.name!r})"

    def reply(self, body: bytes) -> Reply:
        try:
            request = _decode_request(body)
        except msgspec.DecodeError:
            return Reply(b"", status=400)
        rng = chance(self._seed, self.character.key, request.id)
        bids = [bid for imp in request.imp if (bid := self._bid(request, imp, rng)) is not None]
        delay_ms = rng.uniform(*self.character.delay_ms)
        response = {
            "id": request.id,
            "cur": self.character.currency,
            "seatbid": [{"seat": self.character.seat, "bid": bids}],
        }
        (conduct,) = rng.choices(self._conducts, self._weights)
        if conduct:
            return MISBEHAVIOURS[conduct](request, response, delay_ms)
        if not bids:
            return Reply(None, delay_ms)
        return Reply(msgspec.json.encode(response), delay_ms)

    def _bid(self, request: _Request, imp: _Imp, rng: random.Random) -> dict[str, Any] | None:
        character = self.character
        wanted = rng.random() < character.appetite
        price_cents = round(character.price_cents * math.exp(rng.gauss(0.0, character.price_spread)))
        if not wanted or imp.banner is None:
            return None
        offered = imp.pmp.deals if imp.pmp is not None else []
        deal = next((deal for deal in offered if deal.id in character.deals), None)
        if deal is not None:
            price_cents = max(price_cents, round(deal.bidfloor * 100) + 5)
        elif price_cents < imp.bidfloor * 100:
            return None
        size = imp.banner.format[0] if imp.banner.format else imp.banner
        bid_id = f"{request.id}-{imp.id}-{character.key}"
        bid = {
            "id": bid_id,
            "impid": imp.id,
            "price": price_cents / 100,
            "adid": f"{character.key}-{size.w}x{size.h}",
            "cid": f"{character.key}-spring",
            "crid": f"{character.key}-{size.w}x{size.h}-1",
            "adomain": [character.advertiser],
            "w": size.w,
            "h": size.h,
            "mtype": 1,
            "adm": self._markup(size),
            "nurl": f"{self._own_url}/win?bid={bid_id}&price=${{AUCTION_PRICE}}",
            "burl": f"{self._own_url}/billing?bid={bid_id}&price=${{AUCTION_PRICE}}",
            "lurl": f"{self._own_url}/loss?bid={bid_id}&reason=${{AUCTION_LOSS}}",
            "ext": {"landing_url": f"https://www.{character.advertiser}/spring?bid={bid_id}"},
        }
        if deal is not None:
            bid["dealid"] = deal.id
        return bid

    def _markup(self, size: _Size) -> str:
        character = self.character
        style = (
            f"display:block;box-sizing:border-box;width:{size.w}px;height:{size.h}px;padding:8px;overflow:hidden;"
            f"background:{character.colour};color:#fff;font:bold 16px sans-serif;text-decoration:none"
        )
        return f'<a href="${{GAVEL_CLICK_URL}}" target="_blank" rel="noopener" style="{style}">{character.slogan}</a>'


_decode_request = msgspec.json.Decoder(_Request).decode
_Response = dict[str, Any]


def _bids(response: _Response) -> list[dict[str, Any]]:
    bids: list[dict[str, Any]] = response["seatbid"][0]["bid"]
    return bids


def _with_every_bid(change: dict[str, Any]) -> Callable[[_Request, _Response, float], Reply]:
    """The same response with these members in each of its bids."""

    def misbehave(_request: _Request, response: _Response, delay_ms: float) -> Reply:
        for bid in _bids(response):
            bid.update(change)
        return Reply(msgspec.json.encode(response), delay_ms)

    return misbehave


def _below_floor(request: _Request, response: _Response, delay_ms: float) -> Reply:
    floors = {imp.id: imp.bidfloor for imp in request.imp}
    for bid in _bids(response):
        bid["price"] = round(floors[bid["impid"]] / 2, 2) or 0.01
    return Reply(msgspec.json.encode(response), delay_ms)


def _without_markup(_request: _Request, response: _Response, delay_ms: float) -> Reply:
    for bid in _bids(response):
        del bid["adm"], bid["nurl"]
    return Reply(msgspec.json.encode(response), delay_ms)


def _wrong_response_id(request: _Request, response: _Response, delay_ms: float) -> Reply:
    return Reply(msgspec.json.encode(response | {"id": f"not-{request.id}"}), delay_ms)


def _late(request: _Request, response: _Response, delay_ms: float) -> Reply:
    return Reply(msgspec.json.encode(response), request.tmax + 20 + delay_ms)


MISBEHAVIOURS: dict[str, Callable[[_Request, _Response, float], Reply]] = {
    "late": _late,
    "error_500": lambda _request, _response, delay_ms: Reply(b"out of memory", delay_ms, status=500),
    "garbage": lambda _request, _response, delay_ms: Reply(b"<html>It works!</html>", delay_ms),
    "empty_object": lambda _request, _response, delay_ms: Reply(b"{}", delay_ms),
    "wrong_response_id": _wrong_response_id,
    "negative_price": _with_every_bid({"price": -1}),
    "price_not_a_number": _with_every_bid({"price": "NaN"}),
    "astronomic_price": _with_every_bid({"price": 1e30}),
    "unknown_imp": _with_every_bid({"impid": "no-such-imp"}),
    "wrong_size": _with_every_bid({"w": 1, "h": 1}),
    "unknown_deal": _with_every_bid({"dealid": "no-such-deal"}),
    "below_floor": _below_floor,
    "no_markup": _without_markup,
    "cut": lambda _request, response, delay_ms: Reply(msgspec.json.encode(response), delay_ms, cut=True),
    "hang_up": lambda _request, _response, delay_ms: Reply(None, delay_ms, hang_up=True),
}
"""Ways to misbehave: the request, the honest response and the time it would take, to the reply."""
