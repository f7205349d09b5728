"""One installation without an API for tests of notices: a log, an outbox, and notifiers as a test wants them."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg

from commands.kafka_log import KafkaLog
from commands.notice_client import NoticeClient
from commands.send_notices import SendNotices
from domain import codec
from domain.events import NoticeDelivered, NoticeFailed
from gavel.process_clock import SystemClock, fresh_id
from gavel.settings import variable
from projections.notice_outbox import NoticeOutbox
from projections.run import run_projectors
from projections.servers import Addresses
from tests.projections.notice_story import NoticeStory
from tests.projections.traffic import Log

PATIENCE_S = 60.0
QUICK = (0.05, 0.05, 0.05)


class NotifierBench:
    """One installation without an API: a log, an outbox, and notifiers as a test wants them."""

    def __init__(self, addresses: Addresses, log: Log) -> None:
        self.addresses = addresses
        self.log = log
        self.attempted: Counter[tuple[str, str]] = Counter()
        """What notifiers in this process have counted."""

    async def rows(self, query: str) -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(self.addresses.postgres_url)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    async def filled(self, *stories: NoticeStory) -> None:
        """The outbox holds the notices of these auctions, of two bids each."""
        before = len(await self.rows("SELECT FROM notices"))
        await self.log.append([event for each in stories for event in each.auction])
        stop = asyncio.Event()
        running = asyncio.create_task(run_projectors(self.addresses, ["notices"], stop))
        try:
            await self.until("SELECT count(*) FROM notices", [(before + 2 * len(stories),)])
        finally:
            stop.set()
            await running

    async def until(self, query: str, expected: object) -> None:
        """Looks until the query answers so."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := await self.rows(query)) != expected:
            assert time.monotonic() < deadline, f"{found} instead of {expected}"
            await asyncio.sleep(0.05)

    async def all_ended(self) -> None:
        await self.until("SELECT FROM notices WHERE due_at IS NOT NULL", [])

    async def ends(self) -> list[NoticeDelivered | NoticeFailed]:
        """How notices ended, as the log has it."""
        payloads = await self.log.payloads(self.addresses.names.engagements)
        found = [codec.decode(each) for each in payloads]
        return [each for each in found if isinstance(each, NoticeDelivered | NoticeFailed)]

    @asynccontextmanager
    async def notifying(
        self, *, retry_seconds: tuple[float, ...] = QUICK, timeout_s: float = 10.0
    ) -> AsyncIterator[None]:
        """A notifier in this process."""
        stop = asyncio.Event()
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(asyncpg.create_pool(self.addresses.postgres_url, min_size=0))
            client = await stack.enter_async_context(NoticeClient(allow_private=True, timeout_s=timeout_s))
            log = KafkaLog(self.addresses.kafka_url, (self.addresses.names.engagements,))
            await log.start()
            stack.push_async_callback(log.close)
            notices = SendNotices(
                outbox=NoticeOutbox(pool), client=client, log=log, names=self.addresses.names, clock=SystemClock(),
                ids=fresh_id, chance=lambda: 0.5, attempted=self._count, retry_seconds=retry_seconds,
            )  # fmt: skip
            running = asyncio.create_task(notices.run(stop))
            try:
                yield
            finally:
                stop.set()
                await running

    @asynccontextmanager
    async def process(self, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """`gavel notify`, as a deployment starts it."""
        settings = {
            "kafka_url": self.addresses.kafka_url, "postgres_url": self.addresses.postgres_url,
            "redis_url": self.addresses.redis_url, "namespace": self.addresses.names.namespace,
            "allow_private_endpoints": "true",
        }  # fmt: skip
        environment = os.environ | {variable(name): value for name, value in settings.items()}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gavel", "notify", *arguments, env=environment
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    def _count(self, kind: str, result: str) -> None:
        self.attempted[kind, result] += 1
