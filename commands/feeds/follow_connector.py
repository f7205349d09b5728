"""Follow a connector: what it tells of a table's rows becomes changes of a feed client's records, as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from commands.feeds.change_writer import ChangeParts, ChangeWriter
from commands.feeds.connector_topic import ConnectorTopic, Message
from commands.feeds.intake import Sender
from domain.event_parts import FeedSource
from domain.feeds.debezium import Columns, envelope_change
from domain.feeds.records import Reason

MESSAGES_AT_A_TIME = 64
"""Then others have their turn: checking and sealing that many takes about a millisecond of the event loop."""
MayGoOn = Callable[[], Awaitable[Sender]]
"""Returns when more can be taken, and tells whose it is. Raises NotFound, Conflict, LogUnavailable."""


class Refused(NamedTuple):
    """A message that tells no change."""

    message: Message
    reason: Reason


class Told(NamedTuple):
    """What has come of some messages, all of it in the log."""

    messages: int
    changes: int
    refused: tuple[Refused, ...]
    behind: int
    """Messages that are still to be read."""


class FollowConnector:
    """The command of `gavel feeds follow`. At least once: what is told again changes nothing, see decision 41."""

    def __init__(self, parts: ChangeParts, *, may_go_on: MayGoOn, told: Callable[[Told], None]) -> None:
        self._parts = parts
        self._may_go_on = may_go_on
        self._told = told

    async def __call__(self, topic: ConnectorTopic, columns: Columns, *, until_caught_up: bool) -> None:
        """For ever, or to where the topic ended when it began.

        Raises Conflict where it cannot go on, or the client is paused, archived or erased; NotFound, LogUnavailable,
        Overloaded, Unavailable: begun again, it goes on where it was.
        """
        ends = await topic.ends()
        writer = ChangeWriter(self._parts, await self._may_go_on(), self._parts.ids())
        try:
            while True:
                writer.sender = await self._may_go_on()
                fetched = await topic.fetch()
                changes, refused = await self._take(topic, fetched.messages, writer, columns)
                await writer.write()
                await topic.commit(fetched.goes_on)
                behind = await _behind(topic, ends if until_caught_up else await topic.ends())
                self._told(Told(fetched.message_count, changes, tuple(refused), behind))
                if until_caught_up and not behind:
                    return
        finally:
            await writer.abandon()

    async def _take(
        self, topic: ConnectorTopic, fetched: Mapping[int, Sequence[Message]], writer: ChangeWriter, columns: Columns
    ) -> tuple[int, list[Refused]]:
        """How many changes there were, and what was none."""
        changes, refused = 0, list[Refused]()
        for number, message in enumerate(each for messages in fetched.values() for each in messages):
            if number % MESSAGES_AT_A_TIME == 0:
                await asyncio.sleep(0)
                await writer.renew()
            source = FeedSource(name=topic.source(message.partition), place=message.offset)
            change = envelope_change(message.value, columns)
            if isinstance(change, Reason):
                refused.append(Refused(message, change))
                await writer.take_figures(0, 1, source)
            elif change is not None:
                changes += 1
                await writer.take(change, source)
        return changes, refused


async def _behind(topic: ConnectorTopic, ends: Mapping[int, int]) -> int:
    committed = await topic.committed(list(ends))
    return sum(max(0, end - committed[partition]) for partition, end in ends.items())
