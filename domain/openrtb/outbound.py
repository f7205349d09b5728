"""The copies of a bid request that go to the bidders: all that the publisher said, unknown fields included.

Where nobody may learn who the person is, `minimised` has taken ids and precise place out.
"""

from __future__ import annotations

import msgspec

from domain.openrtb.minimised import members_for_bidders
from domain.openrtb.parse import ParsedRequest
from domain.openrtb.restrictions import Restriction

_encode = msgspec.json.Encoder().encode


class BidderRequestTemplate(msgspec.Struct, frozen=True):
    """The request as bidders get it, all but the number at its end."""

    head: bytes
    """An object, up to and including `"tmax":`."""

    def body(self, tmax_ms: int) -> bytes:
        """The request for a bidder that has `tmax_ms` left."""
        return b"%b%d}" % (self.head, tmax_ms)


def request_for_bidders(parsed: ParsedRequest, restricted_by: tuple[Restriction, ...]) -> BidderRequestTemplate:
    """The publisher's request, unknown fields included; without ids and precise place where it is restricted."""
    members = members_for_bidders(parsed, restricted_by)
    members.pop("tmax", None)
    return BidderRequestTemplate(_encode(members)[:-1] + b',"tmax":')
