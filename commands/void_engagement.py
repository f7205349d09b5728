"""Void an engagement: the one that counts is looked up in the log, and a refund of it is logged, once."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from commands.once import Once
from commands.ports import Clock, EngagementHistory, Position, RefusingLog
from domain.events import EngagementVoided
from domain.names import Names
from domain.voiding import VoidOrder, void


class Voided(NamedTuple):
    """The refund, and where in the log it stands."""

    event: EngagementVoided
    position: Position | None
    """None for one that the version before has kept for its retries."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Voided).decode


class VoidEngagement:
    """The command of `POST /v1/auctions/{id}/void` and `gavel ledger void`."""

    def __init__(self, *, log: RefusingLog, history: EngagementHistory, once: Once, names: Names, clock: Clock) -> None:
        self._log = log
        self._history = history
        self._once = once
        self._names = names
        self._clock = clock

    async def __call__(self, auction_id: str, order: VoidOrder) -> Voided:
        """Run again, it answers with the refund of the first time, whatever the reason is now.

        Raises what `domain.voiding.void` raises, StillRunning while somebody else voids the same, Unavailable without
        Redis, LogUnavailable and Overloaded.
        """

        async def run(command_id: str) -> bytes:
            return _encode(await self._void(auction_id, order, command_id))

        # Two at the same time would both find no refund in the log. No key that is sent has blanks.
        return _decode(await self._once(f"void {auction_id} {order.imp_id} {order.kind}", b"", run))

    async def _void(self, auction_id: str, order: VoidOrder, command_id: str) -> Voided:
        self._log.check(self._names.engagements, auction_id)
        history = await self._history.of(auction_id)
        events = [each.event for each in history]
        refund = void(events, auction_id, order, at=self._clock.now(), command_id=command_id)
        for each in history:
            if each.event.id == refund.id:
                return Voided(refund, Position(each.topic, each.partition, each.offset))
        return Voided(refund, await self._log.append(self._names.engagements, auction_id, [refund]))
