"""What the log has of one auction's engagements."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from domain.codec import decode
from domain.errors import LogUnavailable, NotFound
from domain.events import Event
from domain.names import Names
from projections.log_reading import ends_of, partition_of, reading, until

CLIENT_ID = "gavel-engagements"
CLOCKS_APART_MS = 60_000
"""An auction's id is made by a machine whose clock may be ahead of the one that logs by so much."""
READ_MAX_S = 20.0


class LoggedEngagement(NamedTuple):
    """Implements `commands.ports.LoggedEvent`."""

    event: Event
    topic: str
    partition: int
    offset: int


class LoggedEngagements:
    """Implements `commands.ports.EngagementHistory`; connects for each question."""

    def __init__(self, kafka_url: str, names: Names) -> None:
        self._kafka_url = kafka_url
        self._topic = names.engagements

    async def of(self, auction_id: str) -> Sequence[LoggedEngagement]:
        """Reads its partition from the auction's time on, to the end: the older the auction, the longer it takes.

        Raises NotFound for what is no auction's id, CorruptEvent, LogUnavailable, also after READ_MAX_S.
        """
        try:
            held_at_ms = UUID(auction_id).int >> 80
        except ValueError:
            raise NotFound(f"{auction_id!r} is not the id of an auction") from None
        try:
            async with asyncio.timeout(READ_MAX_S):
                return await self._read(auction_id.encode(), held_at_ms)
        except TimeoutError:
            raise LogUnavailable(f"The log since that auction could not be read within {READ_MAX_S:.0f} s.") from None

    async def _read(self, key: bytes, held_at_ms: int) -> Sequence[LoggedEngagement]:
        ends = await ends_of(self._kafka_url, self._topic, client_id=CLIENT_ID)
        partition = partition_of(key, self._topic, ends)
        end = ends[partition]
        async with reading(self._kafka_url, {partition: end.low}, client_id=CLIENT_ID) as consumer:
            found = await consumer.offsets_for_times({partition: max(0, held_at_ms - CLOCKS_APART_MS)})
            consumer.seek(partition, end.high if found[partition] is None else found[partition].offset)
            return [
                LoggedEngagement(decode(record.value or b""), record.topic, record.partition, record.offset)
                async for batch in until(consumer, {partition: end})
                for record in batch
                if record.key == key
            ]
