"""Logs what bidders answer after an auction's decision: too late to count, in time to tell them by how much."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog

from commands.ports import Clock, EventLog, Ids, LateAnswer
from domain.errors import GavelError
from domain.events import BidderAnsweredLate
from domain.late_answer import said_too_late

_log = structlog.get_logger(__name__)


class LateCall(NamedTuple):
    """A call that ran into its deadline and is still waited for."""

    answer: Awaitable[LateAnswer | None]
    asked_at: float
    """Monotonic seconds."""


class Decided(NamedTuple):
    """The auction that a late answer belongs to."""

    auction_id: str
    request_id: str
    cause_id: str
    """Of the event that it follows from."""
    test: bool


class LateAnswers:
    """Waits beside the auctions; the client bounds how long and for how many."""

    def __init__(self, *, log: EventLog, topic: str, clock: Clock, ids: Ids, logged: Callable[[], None]) -> None:
        """`logged` is told of every late answer in the log."""
        self._log = log
        self._topic = topic
        self._clock = clock
        self._ids = ids
        self._logged = logged
        self._waiting: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"LateAnswers(waiting={len(self._waiting)})"

    def expect(self, auction: Decided, bidder_id: str, call: LateCall) -> None:
        """Logs the bidder's answer when it comes; to be called once the auction's own events are in the log."""
        task = asyncio.create_task(self._log_answer(auction, bidder_id, call), name="late answer")
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def close(self) -> None:
        """Waits for nobody any more."""
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)

    async def _log_answer(self, auction: Decided, bidder_id: str, call: LateCall) -> None:
        late = await call.answer
        if late is None:
            return
        said = said_too_late(auction.request_id, late.answer.status, late.answer.body)
        event = BidderAnsweredLate(
            id=self._ids(),
            at=self._clock.now(),
            correlation_id=auction.auction_id,
            causation_id=auction.cause_id,
            auction_id=auction.auction_id,
            bidder_id=bidder_id,
            latency_ms=round((late.at - call.asked_at) * 1000, 3),
            http_status=late.answer.status,
            bids=said.bids,
            reason=said.reason,
            test=auction.test,
        )
        try:
            await self._log.append(self._topic, auction.auction_id, [event])
        except GavelError as error:
            # Nothing was promised: the auction itself is in the log, with the bidder's time-out.
            _log.warning("a late answer is not logged", bidder_id=bidder_id, error=str(error))
        else:
            self._logged()
