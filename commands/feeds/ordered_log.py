"""Events of one client on their way into the log: in order, without gaps, and no faster than the log takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from commands.ports import AppendUndecided, Clock, EventLog, Position
from domain.errors import LogUnavailable, Overloaded
from domain.feed_events import FeedEvent
from domain.limits import FEED_BATCH_MAX_BYTES, FEED_LOG_PATIENCE_SECONDS

RETRY_SECONDS = 0.1
LINGER_SECONDS = 0.2
"""So long an event waits for others to be written with it."""


class OrderedLog:
    """One batch is under way while the next is gathered; an event is written only once all before it are.

    What was gathered goes when it is a batch, or after LINGER_SECONDS if nothing is under way by then. The order is
    what lets a resumed upload go on behind the last line that was seen of it. A log that is away is waited
    for up to FEED_LOG_PATIENCE_SECONDS, and the sender with it, whose chunks nobody takes meanwhile.
    """

    def __init__(self, log: EventLog, topic: str, client: str, clock: Clock) -> None:
        self._log = log
        self._topic = topic
        self._client = client
        self._clock = clock
        self._gathered: list[FeedEvent] = []
        self._gathered_bytes = 0
        self._lingering: asyncio.TimerHandle | None = None
        self._under_way: asyncio.Task[Position | None] | None = None
        """The latest, also once it is written."""
        self.written_at: Position | None = None
        """Of the last event that is written, where the log has said so."""
        self.unwritten = 0
        """How many of the records that were gathered are not written, as far as the log has said."""
        self._unsent = 0
        """How many of these were not even sent."""

    def __repr__(self) -> str:
        return f"OrderedLog({self._topic!r}, {self._client!r}, {len(self._gathered)} gathered)"

    def gather(self, event: FeedEvent, size_bytes: int, *, is_record: bool = True) -> bool:
        """Takes an event of about that size; True when it is time to `send`."""
        if not self._gathered:
            self._lingering = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._hurry)
        self._gathered.append(event)
        self.unwritten += is_record
        self._unsent += is_record
        self._gathered_bytes += size_bytes
        return self._gathered_bytes >= FEED_BATCH_MAX_BYTES

    async def send(self) -> None:
        """Starts writing what was gathered, once the batch before is written. Raises LogUnavailable, Overloaded."""
        await self.settle()
        if self._gathered:
            self._start()

    async def settle(self) -> None:
        """Returns when what was sent is written. Raises LogUnavailable, Overloaded."""
        if self._under_way is not None:
            self.written_at = await self._under_way

    async def write(self, *events: FeedEvent) -> None:
        """Writes what was gathered, then these. Raises as `settle`."""
        self._gathered += events
        await self.send()
        await self.settle()

    async def place(self, event: FeedEvent) -> int:
        """Writes the event, and answers its offset; it may come to stand there more than once. Raises as `settle`."""
        position = await self._append([event], placed=True)
        assert position is not None
        return position.offset

    async def abandon(self) -> None:
        """Waits for nothing any more: what is under way may be written or not."""
        self._gathered.clear()
        if self._under_way is not None:
            self._under_way.cancel()
            await asyncio.gather(self._under_way, return_exceptions=True)

    def _start(self) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
        self._under_way = asyncio.create_task(self._write(self._gathered, self._unsent))
        self._gathered, self._gathered_bytes, self._unsent = [], 0, 0

    def _hurry(self, _written: object = None) -> None:
        """Starts writing what was gathered once nothing is under way; behind what has failed nothing may stand."""
        under_way = self._under_way
        if under_way is not None and not under_way.done():
            under_way.add_done_callback(self._hurry)
        elif self._gathered and (under_way is None or _is_written(under_way)):
            self._start()

    async def _write(self, events: Sequence[FeedEvent], records: int) -> Position | None:
        position = await self._append(events, placed=False)
        self.unwritten -= records
        return position

    async def _append(self, events: Sequence[FeedEvent], *, placed: bool) -> Position | None:
        until = self._clock.monotonic() + FEED_LOG_PATIENCE_SECONDS
        while True:
            try:
                position = await self._log.append(self._topic, self._client, events)
                if position.offset >= 0 or not placed:
                    return position
            except AppendUndecided as undecided:
                if await self._is_written(undecided, until) and not placed:
                    return None
            except (LogUnavailable, Overloaded):
                if self._clock.monotonic() >= until:
                    raise
            if placed and self._clock.monotonic() >= until:
                raise LogUnavailable("The event log does not say where it has written something.")
            await asyncio.sleep(RETRY_SECONDS)

    async def _is_written(self, undecided: AppendUndecided, until: float) -> bool:
        try:
            async with asyncio.timeout(until - self._clock.monotonic()):
                return await undecided.decision()
        except TimeoutError:
            raise LogUnavailable from undecided


def _is_written(task: asyncio.Task[Position | None]) -> bool:
    return not task.cancelled() and task.exception() is None
