"""What is kept of an answer that came after the auction's decision."""

from __future__ import annotations

from typing import NamedTuple

from domain.event_parts import LateBid
from domain.money import micros_from_decimal
from domain.openrtb.http_answer import Unusable, response_in


class SaidTooLate(NamedTuple):
    """The bids, as they were stated, and what is wrong with the answer where something is."""

    bids: tuple[LateBid, ...]
    reason: str


def said_too_late(request_id: str, status: int, body: bytes) -> SaidTooLate:
    """Reads a late answer. Its bids are not judged: they could not have been placed anyway."""
    response = response_in(status, body)
    if response is None:
        return SaidTooLate((), "")
    if isinstance(response, Unusable):
        return SaidTooLate((), response.reason)
    currency = response.response.cur
    bids = tuple(
        LateBid(bid_id=bid.id, imp_id=bid.impid, price_micros=micros_from_decimal(bid.price), currency=currency)
        for bid in (parsed.bid for parsed in response.bids)
    )
    if bids and response.response.id != request_id:
        return SaidTooLate(bids, "The answer's id is not the id of the request.")
    return SaidTooLate(bids, "".join(f"{each.path}: {each.reason}." for each in response.malformed[:1]))
