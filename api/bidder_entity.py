"""A bidder as `/v1/bidders` shows it."""

from __future__ import annotations

import msgspec

from domain.catalogue import Bidder, Status


class BidderEntity(Bidder, frozen=True, kw_only=True, omit_defaults=False):
    """The bidder's terms beside what Gavel adds."""

    id: str
    version: int
    status: Status

    @property
    def etag(self) -> str:
        return f'"{self.version}"'


def bidder_entity(bidder_id: str, version: int, status: Status, terms: Bidder) -> BidderEntity:
    """What a command or a query knows of a bidder, in the API's shape."""
    return BidderEntity(id=bidder_id, version=version, status=status, **msgspec.structs.asdict(terms))
