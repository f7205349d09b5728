"""Changes of the catalogue: decided by the domain, appended to the log."""

from __future__ import annotations

from commands.ports import Clock, EventLog, Ids, Position
from domain.bidder import register_bidder
from domain.market import RegisteredBidder
from domain.names import Names


class RegisterBidder:
    """`POST /v1/bidders`."""

    def __init__(self, *, log: EventLog, names: Names, clock: Clock, ids: Ids, allow_private: bool) -> None:
        self._log = log
        self._names = names
        self._clock = clock
        self._ids = ids
        self._allow_private = allow_private

    async def __call__(self, body: bytes) -> tuple[RegisteredBidder, Position]:
        """The bidder as it now stands in the log, and where. Raises InvalidInput, LogUnavailable, Overloaded."""
        event = register_bidder(
            body,
            bidder_id=self._ids(),
            command_id=self._ids(),
            event_id=self._ids(),
            at=self._clock.now(),
            allow_private=self._allow_private,
        )
        position = await self._log.append(self._names.catalogue, event.aggregate_id, [event])
        return RegisteredBidder(event.aggregate_id, event.version, "active", event.terms), position
