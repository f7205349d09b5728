"""Simulated publishers: an open-loop load, so that a slow exchange is not asked less and looks no better for it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from http import HTTPStatus

import msgspec

from domain.limits import MICROS_PER_UNIT
from gavel.simulate.arrivals import at_arrivals, observed
from gavel.simulate.bid_requests import SimulatedRequest
from gavel.simulate.exchange_client import Answer, ExchangeClient
from gavel.simulate.figures import Observations
from gavel.simulate.viewers import Award, Viewers

VERSION_HEADER = "x-openrtb-version: 2.6\r\n"


class _Bid(msgspec.Struct):
    impid: str
    price: Decimal
    adm: str = ""


class _SeatBid(msgspec.Struct):
    bid: list[_Bid]
    seat: str = ""


class _Response(msgspec.Struct):
    id: str
    seatbid: list[_SeatBid] = []
    """Absent in the answer to a test that nobody won: its `ext.debug` is all it has to say."""


_decode_response = msgspec.json.Decoder(_Response).decode


class Publishers:
    """Sends bid requests when they are due, whether or not earlier ones were answered."""

    def __init__(self, client: ExchangeClient, viewers: Viewers, observations: Observations) -> None:
        self._client = client
        self._viewers = viewers
        self._seen = observations

    def __repr__(self) -> str:
        return f"Publishers({self._client!r})"

    async def send(self, requests: Iterator[SimulatedRequest], gaps: Iterator[float]) -> None:
        """Sends a request after each gap (seconds), then waits for the answers that are outstanding."""
        await at_arrivals(gaps, lambda due: self._ask(next(requests), due))

    async def _ask(self, request: SimulatedRequest, due: float) -> None:
        answer = await observed(self._client.post("/openrtb2/auction", request.body, VERSION_HEADER), self._seen, due)
        if answer is None:
            return
        if answer.status == HTTPStatus.OK:
            self._read_awards(request, answer)
        elif answer.status == HTTPStatus.NO_CONTENT:
            self._saw_auction(request, answer)

    def _saw_auction(self, request: SimulatedRequest, answer: Answer) -> str:
        auction_id = answer.headers.get("gavel-auction", "")
        if auction_id:
            self._seen.saw_auction(auction_id, request.imps, test=request.test)
        return auction_id

    def _read_awards(self, request: SimulatedRequest, answer: Answer) -> None:
        try:
            response = _decode_response(answer.body)
        except msgspec.DecodeError:
            self._seen.figures.unreadable += 1
            return
        auction_id = self._saw_auction(request, answer)
        if not auction_id or response.id != request.id:
            self._seen.figures.unreadable += 1
            return
        for seatbid in response.seatbid:
            for bid in seatbid.bid:
                price_micros = int(bid.price * MICROS_PER_UNIT)
                if not request.test:
                    self._seen.saw_award(auction_id, bid.impid, seatbid.seat, price_micros)
                award = Award(
                    imp=(auction_id, bid.impid),
                    key=f"{request.id}/{bid.impid}",
                    seat=seatbid.seat,
                    clearing_price_micros=price_micros,
                    markup=bid.adm,
                    viewer=request.viewer,
                    test=request.test,
                )
                self._viewers.show(award)
