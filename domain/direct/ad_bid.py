"""The bid of a campaign's ad, in the form that every bid has, so that it is judged by the same rules."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from domain.ad_markup import ad_markup
from domain.direct.campaign import LiveAd, LiveCampaign
from domain.limits import IMPRESSION_EXPIRY_SECONDS
from domain.openrtb.fields import Cpm
from domain.openrtb.parse import ParsedBid
from domain.openrtb.response import Bid

_BANNER = 1
"""`Bid.mtype`."""
_NO_MEMBERS = msgspec.Raw(b"{}")
_encode = msgspec.json.Encoder().encode


def bid_of(ad: LiveAd, campaign: LiveCampaign, imp_id: str, price_micros: int) -> ParsedBid:
    """The ad's bid of so many CPM micros in the campaign's currency; as JSON it has no members yet."""
    terms = ad.terms
    bid = Bid(
        id=ad.id,
        impid=imp_id,
        price=Cpm(Decimal(price_micros).scaleb(-6)),
        adm=ad_markup(terms),
        adomain=ad.advertisers,
        cid=campaign.id,
        crid=ad.id,
        w=terms.width,
        h=terms.height,
        mtype=_BANNER,
        # Whoever asks for ads may state a day: for so long it would hold the campaign's money.
        exp=IMPRESSION_EXPIRY_SECONDS,
    )
    return ParsedBid(bid, _NO_MEMBERS, "", 0)


def with_members(parsed: ParsedBid) -> ParsedBid:
    """The bid with what an answer passes on of it; the price is the award's."""
    bid = parsed.bid
    members = {
        name: value
        for name in ("id", "impid", "adm", "adomain", "cid", "crid", "w", "h", "mtype", "exp")
        if (value := getattr(bid, name)) is not None
    }
    return msgspec.structs.replace(parsed, raw=msgspec.Raw(_encode(members)))
