"""A catalogue, a request and what an auction makes of them, for tests of what is on sale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from domain.catalogue import Bidder, CurrencyRate, Deal, Placement, Publisher
from domain.currency import Rates
from domain.invitation import Guests, invite
from domain.market import Market, RegisteredBidder, RegisteredPlacement
from domain.openrtb.outbound import BidderRequestTemplate, RequestsForBidders
from domain.openrtb.parse import ParsedRequest, parse_request
from domain.openrtb.restrictions import Restriction, restrictions_of
from domain.sale import ImpOnSale, Sale, on_sale

DEFAULT_SHARE_BPS = 8_000


def imp(**members: Any) -> dict[str, Any]:
    """An imp for a banner of any size, with these members more or otherwise."""
    return {"id": "1", "banner": {}, **members}


def request(*imps: dict[str, Any], **members: Any) -> bytes:
    return msgspec.json.encode({"id": "r", "imp": imps or [imp()], **members})


def bidder(bidder_id: str = "alfa", **terms: Any) -> RegisteredBidder:
    return RegisteredBidder(
        bidder_id, 1, "active", Bidder(**{"name": bidder_id, "endpoint": "https://dsp.example/bid", **terms})
    )


def placement(placement_id: str = "top", *, paused: bool = False, **terms: Any) -> RegisteredPlacement:
    terms = {"publisher_id": "p", "name": placement_id, "sizes": ((300, 250),), **terms}
    return RegisteredPlacement(placement_id, "paused" if paused else "active", Placement(**terms))


def publisher(**terms: Any) -> Publisher:
    return Publisher(**{"name": "News", "domain": "news.example", "share_bps": 7_500, **terms})


def market(
    *,
    bidders: Iterable[RegisteredBidder] = (),
    placements: Iterable[RegisteredPlacement] = (),
    publishers: Mapping[str, Publisher] | None = None,
    deals: Mapping[str, Deal] | None = None,
    rates: Mapping[str, str] | None = None,
) -> Market:
    """`rates` by pair: {"EUR/USD": "1.10"}."""
    pairs = ((pair.split("/"), rate) for pair, rate in (rates or {}).items())
    return Market(
        tuple(bidders),
        {each.id: each for each in placements},
        publishers if publishers is not None else {"p": publisher()},
        deals or {},
        Rates(CurrencyRate(base=base, quote=quote, rate=rate) for (base, quote), rate in pairs),
    )


def sale_of(body: bytes, catalogue: Market) -> Sale:
    return _sale(parse_request(body), catalogue)


def sold(body: bytes, catalogue: Market) -> ImpOnSale:
    """The one imp of the request."""
    [for_sale] = sale_of(body, catalogue).imps.values()
    return for_sale


def guests_of(body: bytes, catalogue: Market, *, is_robot: bool = False) -> Guests:
    parsed = parse_request(body)
    sale = _sale(parsed, catalogue)
    requests = RequestsForBidders(parsed, restrictions_of(parsed.request), sale)
    return invite(catalogue.bidders, sale, requests, is_robot=is_robot)


def told(body: bytes, catalogue: Market) -> dict[str, dict[str, Any]]:
    """By bidder, the request that it is sent."""
    return {
        each.bidder.id: msgspec.json.decode(each.template.body(100)) for each in guests_of(body, catalogue).invitations
    }


def told_to_anybody(parsed: ParsedRequest, restricted_by: tuple[Restriction, ...]) -> BidderRequestTemplate:
    """What any bidder is sent where the catalogue knows nothing of the imps."""
    sale = _sale(parsed, Market())
    return RequestsForBidders(parsed, restricted_by, sale).template(bidder(), tuple(sale.imps))


def _sale(parsed: ParsedRequest, catalogue: Market) -> Sale:
    return on_sale(parsed.request, parsed.members, catalogue, default_share_bps=DEFAULT_SHARE_BPS)
