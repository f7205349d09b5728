"""Which partitions the group has given to this consumer, and whether that has changed since one last looked.

aiokafka applies an assignment before it calls the listener, so records may be read from a position that nobody
has sought to. A reader therefore compares `version` before and after: the same number, and the records are good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from aiokafka import ConsumerRebalanceListener, TopicPartition


class Assignment(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is untyped
    """The listener does no I/O: while it runs, no heartbeat can be answered with a rejoin."""

    def __init__(self) -> None:
        self.version = 0
        self.settled = asyncio.Event()
        """Set from the end of a rebalance to the start of the next."""

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        del revoked
        self.version += 1
        self.settled.clear()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        del assigned
        self.version += 1
        self.settled.set()
