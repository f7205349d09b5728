"""A consumer of Kafka that ends as it is told to; `commands/` has its like, for neither side imports the other."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer


class KafkaConsumer(AIOKafkaConsumer):  # type: ignore[misc] # aiokafka is untyped
    """aiokafka's, whose own `stop` ends as if its caller were cancelled where a fetch waits to try again."""

    async def stop(self) -> None:
        """Leaves the group and closes the connections."""
        try:
            await super().stop()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            await self._client.close()
