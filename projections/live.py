"""`live`: the figures of the last second, published once a second for the dashboard.

They start at the end of the log and keep nothing, so a rebuild never fires them. One process publishes at a time:
the one that holds a lease in Redis; the others stand by.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
import structlog
from aiokafka.errors import KafkaError

from domain.codec import Decoder
from domain.errors import CorruptEvent, Unavailable
from projections.backoff import Backoff
from projections.batch import Record
from projections.decoding import decoded
from projections.figures import COUNTED, Tally
from projections.generations import next_offsets
from projections.kafka_consumer import KafkaConsumer
from projections.lag import lag_of
from projections.redis_store import answering
from projections.registry import REGISTRY, Registration
from projections.servers import Servers

SECOND = 1.0
POLL_MS = 100
LEASE_MS = 3_000

HOLD_LEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return 0
"""
RELEASE_LEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"

log = structlog.stdlib.get_logger(__name__)


class Live:
    """Reads all partitions without a group: what is published is the whole."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._names = servers.names
        self._decoder = Decoder(COUNTED)
        self._encode = msgspec.json.Encoder().encode
        self._holder = secrets.token_hex(8)
        self._hold_lease = servers.redis.register_script(HOLD_LEASE)
        self._release_lease = servers.redis.register_script(RELEASE_LEASE)

    async def run(self, stop: asyncio.Event) -> None:
        """Until stopped. Waits for servers that are away."""
        backoff = Backoff()
        while not stop.is_set():
            try:
                if await self._leads():
                    await self._publish(stop)
                    backoff.reset()
                else:
                    await asyncio.sleep(SECOND)
            except (Unavailable, KafkaError, OSError) as error:
                log.warning("live figures are waiting for a server", error=repr(error))
                await backoff.wait(stop)

    async def _publish(self, stop: asyncio.Event) -> None:
        """For as long as the lease is ours."""
        consumer = KafkaConsumer(
            self._names.auctions,
            self._names.engagements,
            **self._servers.kafka | {"client_id": f"{self._servers.client_id}-live"},
            group_id=None,
            auto_offset_reset="latest",
            enable_auto_commit=False,
        )
        try:
            await consumer.start()
            tally, since = Tally(), time.monotonic()
            while not stop.is_set():
                fetched = await consumer.getmany(timeout_ms=POLL_MS)
                for records in fetched.values():
                    self._count(tally, records)
                if (seconds := time.monotonic() - since) >= SECOND:
                    if not await self._leads():
                        return
                    figures = tally.figures(at=datetime.now(UTC), seconds=seconds, lag=await self._lag())
                    async with answering():
                        await self._servers.redis.publish(self._names.live_channel, self._encode(figures))
                    tally, since = Tally(), time.monotonic()
            async with answering():
                await self._release_lease(keys=[self._names.live_leader], args=[self._holder])
        finally:
            await consumer.stop()

    def _count(self, tally: Tally, records: Iterable[Record]) -> None:
        for record in records:
            try:
                tally.add(decoded(self._decoder, [record]))
            except CorruptEvent:
                continue  # the projections that keep something park it, and say so

    async def _leads(self) -> bool:
        async with answering():
            return bool(await self._hold_lease(keys=[self._names.live_leader], args=[self._holder, LEASE_MS]))

    async def _lag(self) -> dict[str, int | None]:
        return {each.name: await self._lag_of(each) for each in REGISTRY}

    async def _lag_of(self, registration: Registration) -> int | None:
        try:
            high = await self._servers.watermarks.high(registration.topics_of(self._names))
            return lag_of(await next_offsets(self._servers, registration), high)
        except Unavailable:
            return None
