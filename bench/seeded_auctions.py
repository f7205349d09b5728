"""Auctions of every rule, made from a seed and a number: what publishers ask, what bidders answer and in which order.

The exchange around them is the product's own; only the publishers, the bidders and the ids come from here.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any
from uuid import UUID

import msgspec

from commands.ports import BidderAnswer
from domain.catalogue import Bidder, CurrencyRate, Deal, FloorRule, Placement, Publisher
from domain.currency import Rates
from domain.market import Market, RegisteredBidder, RegisteredPlacement

STARTED_MS = 1_772_323_200_000
"""1 March 2026, the time in the first auction's id; the others follow a millisecond apart."""
CURRENCIES = ("USD", "EUR", "JPY")
PLACEMENT, REGISTERED_DEAL = "home-top", "house-deal"
BANNER = {"w": 300, "h": 250}
BANNER_MARKUP = '<a href="${GAVEL_CLICK_URL}"><img src="https://cdn.example/ad.png"></a>'
VAST = '<VAST version="4.0"><Ad id="1"><InLine><AdSystem>x</AdSystem><AdTitle>x</AdTitle></InLine></Ad></VAST>'
TURNS_MAX = 4
"""Of the event loop that a bidder takes for its answer, so that arrivals differ."""

MARKET = Market(
    bidders=tuple(
        RegisteredBidder(name, 1, "active", Bidder(name=name, endpoint=f"http://{name}.example/bid", **terms))
        for name, terms in {
            "atlas": {},
            "borealis": {"currency": "EUR"},
            "cetus": {"price_adjustment_bps": 9_000},
            "draco": {"media_types": ("banner",), "currency": "JPY"},
        }.items()
    ),
    placements={
        PLACEMENT: RegisteredPlacement(
            PLACEMENT,
            "active",
            Placement(
                publisher_id="pub-1",
                name="Top",
                sizes=((300, 250),),
                floor_micros=400_000,
                floor_rules=(FloorRule(floor_micros=900_000, currency="EUR", country="DEU"),),
            ),
        )
    },
    publishers={"pub-1": Publisher(name="Example Media", domain="news.example", share_bps=7_333)},
    deals={
        REGISTERED_DEAL: Deal(
            bidder_ids=("atlas", "borealis"), placement_ids=(PLACEMENT,), floor_micros=1_500_000, auction="fixed_price"
        )
    },
    rates=Rates(
        [
            CurrencyRate(base="EUR", quote="USD", rate="1.0843"),
            CurrencyRate(base="USD", quote="JPY", rate="151.37"),
        ]
    ),
)
_UNITS = {"USD": 1, "EUR": 1, "JPY": 150}
"""Prices of about the same worth."""


class SeededAuction:
    """One auction: the request's `body`, and what each bidder does. The same for the same seed and number."""

    def __init__(self, seed: int, number: int, attempt: int = 0) -> None:
        """Another `attempt` is the same auction under another id."""
        self._chance = random.Random(seed << 32 | number)
        self._id_bits = (STARTED_MS + number) << 80 | 7 << 76 | 2 << 62 | self._chance.getrandbits(56) << 6 | attempt
        self._ids = 0
        imps = [self._imp(str(place)) for place in range(1, self._chance.choice((1, 1, 1, 2, 3)) + 1)]
        self._request = {
            "id": f"request-{number}",
            "imp": imps,
            "site": {"domain": "news.example", "publisher": {"id": "pub-1"}},
            "device": {"devicetype": self._chance.choice((1, 2, 4)), "geo": {"country": self._country()}},
            "at": self._chance.choice((1, 2)),
            "cur": [self._chance.choice(CURRENCIES)],
            "tmax": 5_000,
        }
        self.body = msgspec.json.encode(self._request)
        self._answers = {each.terms.endpoint: self._answer(each.id) for each in MARKET.bidders}
        self._turns = {each.terms.endpoint: self._chance.randrange(TURNS_MAX) for each in MARKET.bidders}

    def __repr__(self) -> str:
        return f"SeededAuction({self._request['id']})"

    def new_id(self) -> str:
        """The auction's id, then those of its events: UUIDv7, in order."""
        self._ids += 1
        return str(UUID(int=self._id_bits | self._ids << 64))

    async def answer(self, endpoint: str) -> BidderAnswer:
        """What the bidder says, when its turn has come."""
        for _ in range(self._turns[endpoint]):
            await asyncio.sleep(0)
        return self._answers[endpoint]

    def _country(self) -> str:
        return self._chance.choice(("DEU", "FRA", "USA"))

    def _imp(self, imp_id: str) -> dict[str, Any]:
        chance = self._chance
        currency = chance.choice(CURRENCIES)
        imp: dict[str, Any] = {"id": imp_id, "bidfloor": self._price(currency, 4), "bidfloorcur": currency}
        if chance.random() < 0.8:
            imp["banner"] = BANNER
        else:
            imp["video"] = {"mimes": ["video/mp4"], "protocols": [2, 3, 7], "minduration": 5, "maxduration": 30}
        if chance.random() < 0.3:
            imp["tagid"] = PLACEMENT
        if chance.random() < 0.4:
            imp["pmp"] = {
                "private_auction": int(chance.random() < 0.2),
                "deals": [self._deal(f"deal-{place}") for place in range(1, chance.choice((1, 1, 2)) + 1)],
            }
        return imp

    def _deal(self, deal_id: str) -> dict[str, Any]:
        currency = self._chance.choice(CURRENCIES)
        deal = {"id": deal_id, "bidfloor": self._price(currency, 8), "bidfloorcur": currency}
        at = self._chance.choice((None, 1, 2, 3))
        return deal if at is None else {**deal, "at": at}

    def _price(self, currency: str, steps: int) -> float:
        """Few different prices, so that many are the same."""
        return self._chance.randint(1, steps) * _UNITS[currency] / 4

    def _answer(self, bidder_id: str) -> BidderAnswer:
        chance = self._chance
        if chance.random() < 0.15:
            return BidderAnswer(204, b"")
        currency = self._request["cur"][0] if chance.random() < 0.5 else chance.choice(CURRENCIES)
        bids = [
            self._bid(imp, f"{bidder_id}-{imp['id']}-{place}", currency)
            for imp in self._request["imp"]
            for place in range(chance.choice((0, 1, 1, 1, 2)))
        ]
        seats = [{"seat": "seat-1", "bid": bids}]
        if len(self._request["imp"]) > 1 and len(bids) > 1 and chance.random() < 0.3:
            seats = [{"seat": "seat-1", "group": 1, "bid": list({bid["impid"]: bid for bid in bids}.values())}]
        response = {"id": self._request["id"], "cur": currency, "seatbid": [each for each in seats if each["bid"]]}
        return BidderAnswer(200, msgspec.json.encode(response))

    def _bid(self, imp: Mapping[str, Any], bid_id: str, currency: str) -> dict[str, Any]:
        bid: dict[str, Any] = {
            "id": bid_id,
            "impid": imp["id"],
            "price": self._price(currency, 16),
            "adomain": ["brand.example"],
            "crid": "creative-1",
        }
        bid |= {"adm": BANNER_MARKUP, "mtype": 1, **BANNER} if "banner" in imp else {"adm": VAST, "mtype": 2, "dur": 15}
        deals = [each["id"] for each in imp.get("pmp", {}).get("deals", ())]
        if imp.get("tagid") == PLACEMENT:
            deals.append(REGISTERED_DEAL)
        if deals and self._chance.random() < 0.5:
            bid["dealid"] = self._chance.choice(deals)
        return bid


_held: ContextVar[SeededAuction] = ContextVar("auction")


class SeededWorld:
    """Implements the ports that differ from a running exchange: the catalogue, the bidders and fresh ids.

    Each task that holds an auction, and each that it starts, meets its own auction's bidders and ids.
    """

    @property
    def market(self) -> Market:
        return MARKET

    def hold(self, auction: SeededAuction) -> None:
        """From now on this task is about that auction."""
        _held.set(auction)

    def new_id(self) -> str:
        return _held.get().new_id()

    async def post(self, url: str, _headers: Sequence[tuple[str, str]], _body: bytes, _deadline: float) -> BidderAnswer:
        return await _held.get().answer(url)
