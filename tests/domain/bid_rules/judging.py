"""One bid, held to the rules against one imp."""

from __future__ import annotations

from typing import Any

import msgspec

from domain.bid_rules.refusal import Refusal
from domain.bids import Admitted, judge
from domain.market import Market, RegisteredBidder
from domain.openrtb.parse import parse_response
from tests.domain.trading import bidder, imp, market, request, sale_of

HTML = "<b>ad</b>"
VAST = '<VAST version="4.0"><Ad><InLine><Creatives/></InLine></Ad></VAST>'
NATIVE = '{"native":{"assets":[]}}'
VIDEO = {"mimes": ["video/mp4"]}
AUDIO = {"mimes": ["audio/mp4"]}
SITE = {"site": {"domain": "news.example"}}


def on_imp(media_type: str, **members: Any) -> dict[str, Any]:
    """An imp for one media type, whose object has these members."""
    required = {"banner": {}, "video": VIDEO, "audio": AUDIO, "native": {"request": "{}"}}[media_type]
    offer = imp()
    del offer["banner"]
    return offer | {media_type: required | members}


def verdict(
    bid: dict[str, Any] | None = None,
    *,
    on: dict[str, Any] | None = None,
    seat: str | None = None,
    cur: str = "USD",
    by: RegisteredBidder | None = None,
    catalogue: Market | None = None,
    **members: Any,
) -> Admitted | Refusal:
    """What is thought of a bid on an imp, in a request with these members more."""
    whole = {"id": "b", "impid": "1", "price": 1, "adm": HTML, **(bid or {})}
    answer = {"id": "r", "cur": cur, "seatbid": [{"bid": [whole], **({} if seat is None else {"seat": seat})}]}
    [parsed] = parse_response(msgspec.json.encode(answer)).bids
    sale = sale_of(request(on or imp(), **SITE, **members), catalogue or market())
    [for_sale] = sale.imps.values()
    return judge(parsed, by or bidder(), sale, for_sale, cur)


def assert_refused(judged: Admitted | Refusal, code: int, *words: str) -> None:
    """Refused with this loss reason, in a sentence that names these things."""
    assert isinstance(judged, Refusal), judged
    assert judged.code == code, judged
    missing = [word for word in words if word not in judged.reason]
    assert not missing, judged.reason
    assert judged.reason.endswith("."), judged.reason


def assert_admitted(judged: Admitted | Refusal) -> Admitted:
    assert isinstance(judged, Admitted), judged
    return judged
