"""Whether feed clients' records are applied as fast as they come: what is sent faster waits, or is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Literal, NamedTuple

from aiokafka import TopicPartition

from api.problems import ProblemRaised
from commands.feeds.intake import UploadCut
from commands.kafka_partitioner import partition_of
from commands.ports import Position
from domain.errors import Unavailable
from domain.limits import (
    FEED_BACKLOG_MAX_RECORDS,
    FEED_BACKLOG_PATIENCE_SECONDS,
    FEED_MEMORY_MAX_PERCENT,
    FEED_RETRY_SECONDS,
)
from domain.names import Names
from projections.queries.feed_memory import feed_memory
from projections.queries.freshness import Whereabouts, next_offsets, wait_for
from projections.watermarks import Watermarks

FeedTopicName = Literal["bulk", "changes"]
PROJECTIONS = {"bulk": "audiences_bulk", "changes": "audiences"}
PERCENT = 100
ASK_AGAIN_SECONDS = 1.0


class UploadHeldUp(UploadCut):
    """What it was to wait for did not come in time; `problem` is what to answer."""

    def __init__(self, problem: ProblemRaised) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class Reach(NamedTuple):
    """Of a client's partition of the bulk loads."""

    applied: int
    """What stands before this offset is applied."""
    end: int
    """Nothing stands there, or behind, by now."""


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

    async def reach(self) -> Callable[[str], Reach]:
        """What tells of a client how far its loads are applied, and how far they go, as of now. Raises Unavailable."""
        applied = await next_offsets(self._whereabouts, PROJECTIONS["bulk"])
        ends = await self._ends()

        def reach_of(client: str) -> Reach:
            tp = _partition_of(client, ends)
            return Reach(applied.get(tp, 0), ends[tp])

        return reach_of

    async def loads_met(self, client: str, within_s: float) -> bool:
        """Returns once all is applied that the log has by now of the client's loads, or False. Raises Unavailable."""
        ends = await self._ends()
        tp = _partition_of(client, ends)
        last = Position(tp.topic, tp.partition, ends[tp] - 1)
        return ends[tp] == 0 or await wait_for(self._whereabouts, PROJECTIONS["bulk"], [last], within_s)

    async def _ends(self) -> Mapping[TopicPartition, int]:
        return await self._watermarks.high([self._whereabouts.names.feeds_bulk])

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


def _partition_of(client: str, partitions: Collection[TopicPartition]) -> TopicPartition:
    number = partition_of(client.encode(), len(partitions))
    return next(tp for tp in partitions if tp.partition == number)


def _topic(names: Names, topic: str) -> str:
    return names.feeds_bulk if topic == "bulk" else names.feeds_changes


def _held(why: str) -> ProblemRaised:
    return ProblemRaised("overloaded", why, headers={"Retry-After": str(FEED_RETRY_SECONDS)})


def _now() -> float:
    return asyncio.get_running_loop().time()
