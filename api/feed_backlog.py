"""Whether feed clients' records are applied as fast as they come: what is sent faster waits, or is refused."""

from __future__ import annotations

import asyncio
from typing import Literal

from aiokafka import TopicPartition

from api.problems import ProblemRaised
from commands.feeds.intake import UploadCut
from commands.kafka_partitioner import partition_of
from domain.errors import Unavailable
from domain.limits import (
    FEED_BACKLOG_MAX_RECORDS,
    FEED_BACKLOG_PATIENCE_SECONDS,
    FEED_MEMORY_MAX_PERCENT,
    FEED_RETRY_SECONDS,
)
from domain.names import Names
from projections.queries.feed_memory import feed_memory
from projections.queries.freshness import Whereabouts, next_offsets
from projections.watermarks import Watermarks

FeedTopicName = Literal["bulk", "changes"]
PROJECTIONS = {"bulk": "audiences_bulk", "changes": "audiences"}
PERCENT = 100
ASK_AGAIN_SECONDS = 1.0


class UploadHeldUp(UploadCut):
    """What it was to wait for did not come in time; `problem` is what to answer."""

    def __init__(self, problem: ProblemRaised) -> None:
        super().__init__(str(problem))
        self.problem = problem


class FeedBacklog:
    """Asks Kafka and Redis once a second at most, however many uploads there are."""

    def __init__(self, whereabouts: Whereabouts, watermarks: Watermarks) -> None:
        self._whereabouts = whereabouts
        self._watermarks = watermarks
        self._behind: dict[str, dict[TopicPartition, int]] = {}
        self._memory_percent = 0.0
        self._asked_at: dict[str, float] = {}
        self._asking: dict[str, asyncio.Lock] = {name: asyncio.Lock() for name in PROJECTIONS}

    def __repr__(self) -> str:
        return f"FeedBacklog({self._behind!r}, {self._memory_percent:.0f} % of the memory)"

    async def check(self, topic: FeedTopicName, client: str) -> None:
        """Raises ProblemRaised (503) where what the client sends would only queue up.

        While Kafka or Redis does not say, whoever writes there finds out.
        """
        try:
            behind = await self._of(topic, client)
        except Unavailable:
            return
        if self._memory_percent > FEED_MEMORY_MAX_PERCENT:
            raise _held("Redis has no memory left for more records.")
        if behind > FEED_BACKLOG_MAX_RECORDS:
            raise _held(f"{behind} records are still to be applied, more than {FEED_BACKLOG_MAX_RECORDS}.")

    async def wait(self, topic: FeedTopicName, client: str) -> None:
        """Returns when the upload may go on. Raises UploadHeldUp."""
        until = _now() + FEED_BACKLOG_PATIENCE_SECONDS
        while True:
            try:
                await self.check(topic, client)
            except ProblemRaised as problem:
                if _now() >= until:
                    raise UploadHeldUp(problem) from problem
                await asyncio.sleep(ASK_AGAIN_SECONDS)
            else:
                return

    async def has_backlog(self, topic: str, client: str) -> bool:
        """Whether anything is logged and not applied of the partition that has the client's; True where unknown."""
        self._asked_at.pop(topic, None)
        try:
            return await self._of(topic, client) > 0
        except Unavailable:
            return True

    async def _of(self, topic: str, client: str) -> int:
        """Raises Unavailable."""
        async with self._asking[topic]:
            if _now() >= self._asked_at.get(topic, 0.0) + ASK_AGAIN_SECONDS:
                await self._ask(topic)
                self._asked_at[topic] = _now()
        behind = self._behind[topic]
        name = _topic(self._whereabouts.names, topic)
        return behind.get(TopicPartition(name, partition_of(client.encode(), max(1, len(behind)))), 0)

    async def _ask(self, topic: str) -> None:
        high = await self._watermarks.high([_topic(self._whereabouts.names, topic)])
        applied = await next_offsets(self._whereabouts, PROJECTIONS[topic])
        self._behind[topic] = {tp: end - applied.get(tp, 0) for tp, end in high.items()}
        self._memory_percent = PERCENT * await feed_memory(self._whereabouts.redis)


def _topic(names: Names, topic: str) -> str:
    return names.feeds_bulk if topic == "bulk" else names.feeds_changes


def _held(why: str) -> ProblemRaised:
    return ProblemRaised("overloaded", why, headers={"Retry-After": str(FEED_RETRY_SECONDS)})


def _now() -> float:
    return asyncio.get_running_loop().time()
