"""What a bidder's HTTP answer says: bids, a no-bid in one of its forms, or nothing that can be used."""

from __future__ import annotations

from typing import Final, NamedTuple

from domain.errors import InvalidInput
from domain.openrtb.codes import NonBidStatus
from domain.openrtb.parse import ParsedResponse, parse_response

OK: Final = 200
NO_CONTENT: Final = 204


class Unusable(NamedTuple):
    """An answer without a meaning."""

    code: NonBidStatus
    reason: str
    """A sentence for a person."""


def response_in(status: int, body: bytes) -> ParsedResponse | Unusable | None:
    """The bid response; None for a no-bid without one: 204, or 200 with an empty body (section 7.1)."""
    if status not in (OK, NO_CONTENT):
        return Unusable(NonBidStatus.ERROR, f"The bidder answered with the status {status}.")
    if status == NO_CONTENT or not body:
        return None
    try:
        return parse_response(body)
    except InvalidInput as fault:
        return Unusable(NonBidStatus.INVALID_RESPONSE, f"The answer is not a bid response: {fault}.")
