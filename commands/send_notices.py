"""Sends the notices of the outbox: at least once each, many at a time, retried while their receiver refuses them.

How each one ended becomes an event, and only when the log has that, the notice is settled. A notifier that dies
before leaves a lease behind; when that has run out, the notice is sent again: receivers know one from another by the
ids in it (OpenRTB 2.6 section 7.8).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Literal

import structlog

from commands.notice_client import NoticeClient, NoticeRefused, NoticeUndelivered
from commands.ports import AppendUndecided, Clock, Ids, Outbox, RefusingLog
from commands.settlements import Settlements
from domain.errors import Unavailable
from domain.event_parts import NoticeKind
from domain.events import NoticeDelivered, NoticeFailed
from domain.limits import NOTICE_RETRY_SECONDS, NOTICES_IN_FLIGHT_MAX
from domain.names import Names
from domain.notices import ClaimedNotice, Notice, NoticeKey, Receiver

POLL_SECONDS: Final = 0.2
"""Between two looks into the outbox."""
PACE_SECONDS: Final = 0.02
"""The same while calls are under way: each that ends makes room for another."""
AWAY_SECONDS: Final = 1.0
FORGET_SECONDS: Final = 3_600.0
STOP_SECONDS: Final = 5.0
"""For calls that are under way when a stop is asked for."""
DELIVERED: Final = range(200, 300)
PROLONGED_MAX: Final = 0.5
"""By what part chance prolongs the time before a retry."""

_log = structlog.get_logger(__name__)


class SendNotices:
    """`gavel notify`."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        client: NoticeClient,
        log: RefusingLog,
        names: Names,
        clock: Clock,
        ids: Ids,
        chance: Callable[[], float],
        attempted: Callable[[NoticeKind, Literal["delivered", "failed", "retried"]], None],
        retry_seconds: Sequence[float] = NOTICE_RETRY_SECONDS,
    ) -> None:
        """`chance` gives numbers from 0 to 1, so that retries do not come all at once; `attempted` counts."""
        self._outbox = outbox
        self._client = client
        self._events = log
        self._topic = names.engagements
        self._clock = clock
        self._ids = ids
        self._chance = chance
        self._attempted = attempted
        self._retry_seconds = retry_seconds
        self._settlements = Settlements(outbox)
        self._under_way: dict[NoticeKey, asyncio.Task[None]] = {}
        self._calls: Counter[Receiver] = Counter()
        """Under way."""

    def __repr__(self) -> str:
        return f"SendNotices({len(self._under_way)} under way)"

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; servers that are away are waited for."""
        async with asyncio.TaskGroup() as tasks:
            settling = tasks.create_task(self._settlements.run())
            forgetting = tasks.create_task(self._forget_old_days())
            async with asyncio.TaskGroup() as calls:
                while not stop.is_set():
                    pause = await self._start_some(calls)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), pause)
                await self._finish()
            forgetting.cancel()
            settling.cancel()

    async def _start_some(self, calls: asyncio.TaskGroup) -> float:
        """Starts to send what is due, as far as there is room; in how many seconds to look again."""
        room = NOTICES_IN_FLIGHT_MAX - len(self._under_way)
        # Never more than half of what is free: however many bidders do not answer, there is room left for another.
        half = (room + 1) // 2
        try:
            self._events.check(self._topic, "")
            claimed = await self._outbox.claim(self._calls, at_most=half) if half else ()
        except Unavailable as away:
            _log.warning("notices wait for a server", error=str(away))
            return AWAY_SECONDS
        for each in claimed:
            # One of ours, whose lease has run out while the log was away: it is under way still.
            if each.notice.key not in self._under_way:
                self._start(each, calls)
        return PACE_SECONDS if self._under_way else POLL_SECONDS

    def _start(self, claimed: ClaimedNotice, calls: asyncio.TaskGroup) -> None:
        notice = claimed.notice
        task = calls.create_task(self._send(notice, claimed.attempt))
        self._under_way[notice.key] = task
        self._calls[notice.receiver] += 1
        task.add_done_callback(lambda _: self._done(notice))

    def _done(self, notice: Notice) -> None:
        del self._under_way[notice.key]
        self._calls[notice.receiver] -= 1
        if not self._calls[notice.receiver]:
            del self._calls[notice.receiver]

    async def _finish(self) -> None:
        """Waits a bounded time for calls under way; those that are cut off are sent again by somebody else."""
        if self._under_way:
            _, late = await asyncio.wait(self._under_way.values(), timeout=STOP_SECONDS)
            for task in late:
                task.cancel()

    async def _forget_old_days(self) -> None:
        while True:
            try:
                await self._outbox.forget_old_days()
            except Unavailable as away:
                _log.warning("old notices are kept for now", error=str(away))
            await asyncio.sleep(FORGET_SECONDS)

    # -- one notice --------------------------------------------------------------------------------

    async def _send(self, notice: Notice, attempt: int) -> None:
        try:
            status = await self._client.call(notice.url, notice.viewer)
        except NoticeRefused as refused:
            await self._failed(notice, attempt, str(refused))
        except NoticeUndelivered as undelivered:
            await self._again(notice, attempt, str(undelivered))
        else:
            if status in DELIVERED:
                await self._append(NoticeDelivered(**self._told(notice, attempt), http_status=status))
                self._settlements.ended(notice.key, delivered=True)
                self._attempted(notice.key.kind, "delivered")
            else:
                await self._again(notice, attempt, f"It answered with HTTP {status}")

    async def _again(self, notice: Notice, attempt: int, reason: str) -> None:
        if attempt > len(self._retry_seconds):
            await self._failed(notice, attempt, f"Attempt {attempt}, the last one: {reason}")
            return
        seconds = self._retry_seconds[attempt - 1] * (1 + PROLONGED_MAX * self._chance())
        self._settlements.retry(notice.key, seconds)
        self._attempted(notice.key.kind, "retried")

    async def _failed(self, notice: Notice, attempt: int, reason: str) -> None:
        await self._append(NoticeFailed(**self._told(notice, attempt), reason=reason))
        self._settlements.ended(notice.key, delivered=False)
        self._attempted(notice.key.kind, "failed")

    def _told(self, notice: Notice, attempt: int) -> dict[str, Any]:
        auction_id, outcome_id, _, kind = notice.key
        return {
            "id": self._ids(),
            "at": self._clock.now(),
            "correlation_id": auction_id,
            "causation_id": outcome_id,
            "auction_id": auction_id,
            "imp_id": notice.imp_id,
            "bidder_id": notice.bidder_id,
            "bid_id": notice.bid_id,
            "kind": kind,
            "url": notice.url,
            "attempts": attempt,
        }

    async def _append(self, event: NoticeDelivered | NoticeFailed) -> None:
        """Returns once the log has the event, however long that takes."""
        while True:
            try:
                await self._events.append(self._topic, event.auction_id, [event])
            except AppendUndecided as undecided:
                if await undecided.decision():
                    return
            except Unavailable as away:
                _log.warning("the event of a notice waits for the log", error=str(away))
                await asyncio.sleep(AWAY_SECONDS)
            else:
                return
