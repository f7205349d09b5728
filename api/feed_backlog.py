"""Whether feed clients' records are applied as fast as they come: what is sent faster waits, or is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final, Literal, NamedTuple

from aiokafka import TopicPartition

from api.problems import ProblemRaised
from commands.feeds.intake import UploadCut
from commands.feeds.redis_runs import RedisRuns
from commands.kafka_partitioner import partition_of
from domain.errors import Unavailable
from domain.limits import (
    FEED_BACKLOG_MAX_RECORDS,
    FEED_BACKLOG_PATIENCE_SECONDS,
    FEED_RETRY_SECONDS,
)
from domain.names import Names
from projections.queries.feed_completeness import FeedCompleteness
from projections.queries.feed_memory import feed_memory
from projections.queries.freshness import Whereabouts, next_offsets
from projections.watermarks import Watermarks

FeedTopicName = Literal["bulk", "changes"]
PROJECTIONS: Final[Mapping[FeedTopicName, str]] = {"bulk": "audiences_bulk", "changes": "audiences"}
ASK_AGAIN_SECONDS = 1.0
LOOK_SECONDS = 0.1


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


class _Answer(NamedTuple):
    """What Kafka and Redis have said of a topic, and when."""

    at: float
    behind: Mapping[TopicPartition, int]
    """Records of each partition that are still to be applied."""
    no_room: str | None = None
    """Why Redis takes no more records, where it does not."""
    away: str | None = None
    """Why there was no answer: then nobody knows how much is still to be applied."""


class FeedBacklog:
    """Asks Kafka and Redis once a second at most, however many uploads there are, and whether they answer or not."""

    def __init__(self, whereabouts: Whereabouts, watermarks: Watermarks) -> None:
        self._whereabouts = whereabouts
        self._watermarks = watermarks
        self._runs = RedisRuns(whereabouts.redis, whereabouts.names)
        self._completeness = FeedCompleteness(*whereabouts)
        self._answers: dict[str, _Answer] = {}
        self._asking: dict[str, asyncio.Lock] = {name: asyncio.Lock() for name in PROJECTIONS}

    def __repr__(self) -> str:
        return f"FeedBacklog({self._answers!r})"

    async def check(self, topic: FeedTopicName, client: str) -> None:
        """Raises ProblemRaised (503) where what the client sends would only queue up.

        So it is while Kafka or Redis does not say: what is taken then, nobody applies. For changes there need be no
        room, for by deleting a client makes some; who puts a record asks `check_room` as well.
        """
        answer = await self._answer(topic)
        if answer.away is not None:
            raise _held(answer.away)
        if topic == "bulk":
            _refuse_without_room(answer)
        name = _topic(self._whereabouts.names, topic)
        tp = TopicPartition(name, partition_of(client.encode(), max(1, len(answer.behind))))
        behind = answer.behind.get(tp, 0)
        if behind > FEED_BACKLOG_MAX_RECORDS:
            raise _held(f"{behind} records are still to be applied, more than {FEED_BACKLOG_MAX_RECORDS}.")

    async def check_room(self) -> None:
        """Raises ProblemRaised (503) where Redis would not take a changed record."""
        _refuse_without_room(await self._answer("changes"))

    async def wait(self, topic: FeedTopicName, client: str) -> None:
        """Returns when the upload may go on. Raises UploadHeldUp."""
        await _passes(lambda: self.check(topic, client))

    async def wait_for_room(self) -> None:
        """Returns when a changed record may be put. Raises UploadHeldUp."""
        await _passes(self.check_room)

    async def reach(self) -> Callable[[str], Reach]:
        """What tells of a client how far its loads are applied, and how far they go, as of now. Raises Unavailable."""
        applied = await next_offsets(self._whereabouts, PROJECTIONS["bulk"])
        ends = await self._ends()

        def reach_of(client: str) -> Reach:
            tp = _partition_of(client, ends)
            return Reach(applied.get(tp, 0), ends[tp])

        return reach_of

    async def loads_met(self, client: str, within_s: float) -> bool:
        """Returns once all is applied that the log has by now of the client's loads, or False. Raises Unavailable.

        Others' loads in the same partition need not be: the changes tell of each load that is begun, and where all of
        them are applied and none of the client's is on its way, there is nothing to wait for.
        """
        until = _now() + within_s
        # In this order: a load's start is among the changes before anything of it stands in the bulk topic.
        bulk = _partition_of(client, ends := await self._ends())
        names = self._whereabouts.names
        changes = _partition_of(client, changed := await self._watermarks.high([names.feeds_changes]))
        while True:
            applied = await next_offsets(self._whereabouts, PROJECTIONS["bulk"])
            if applied.get(bulk, 0) >= ends[bulk]:
                return True
            applied = await next_offsets(self._whereabouts, PROJECTIONS["changes"])
            if applied.get(changes, 0) >= changed[changes] and await self._has_none_under_way(client):
                return True
            if _now() >= until:
                return False
            await asyncio.sleep(LOOK_SECONDS)

    async def _has_none_under_way(self, client: str) -> bool:
        """Of loads that Redis knows of; not while it has lost something of the client."""
        return not await self._runs.open_runs([client]) and await self._completeness.has_all(client)

    async def _ends(self) -> Mapping[TopicPartition, int]:
        return await self._watermarks.high([self._whereabouts.names.feeds_bulk])

    async def _answer(self, topic: FeedTopicName) -> _Answer:
        """The last one, or a fresh one where that is old."""
        if (known := self._recent(topic)) is not None:
            return known
        async with self._asking[topic]:
            # Somebody else may have asked meanwhile.
            if (known := self._recent(topic)) is not None:
                return known
            answer = await self._ask(topic)
            self._answers[topic] = answer
        return answer

    def _recent(self, topic: str) -> _Answer | None:
        known = self._answers.get(topic)
        return known if known is not None and _now() < known.at + ASK_AGAIN_SECONDS else None

    async def _ask(self, topic: FeedTopicName) -> _Answer:
        try:
            high = await self._watermarks.high([_topic(self._whereabouts.names, topic)])
            applied = await next_offsets(self._whereabouts, PROJECTIONS[topic])
            no_room = (await feed_memory(self._whereabouts.redis)).why_no_room
        except Unavailable as error:
            return _Answer(_now(), {}, away=f"Nobody says how much is still to be applied: {error}")
        return _Answer(_now(), {tp: end - applied.get(tp, 0) for tp, end in high.items()}, no_room)


async def _passes(check: Callable[[], Awaitable[None]]) -> None:
    """Returns when it does. Raises UploadHeldUp."""
    until = _now() + FEED_BACKLOG_PATIENCE_SECONDS
    while True:
        try:
            return await check()
        except ProblemRaised as problem:
            if _now() >= until:
                raise UploadHeldUp(problem) from problem
            await asyncio.sleep(ASK_AGAIN_SECONDS)


def _refuse_without_room(answer: _Answer) -> None:
    if (why := answer.away or answer.no_room) is not None:
        raise _held(why)


def _partition_of(client: str, partitions: Collection[TopicPartition]) -> TopicPartition:
    number = partition_of(client.encode(), len(partitions))
    return next(tp for tp in partitions if tp.partition == number)


def _topic(names: Names, topic: str) -> str:
    return names.feeds_bulk if topic == "bulk" else names.feeds_changes


def _held(why: str) -> ProblemRaised:
    return ProblemRaised("overloaded", why, headers={"Retry-After": str(FEED_RETRY_SECONDS)})


def _now() -> float:
    return asyncio.get_running_loop().time()
