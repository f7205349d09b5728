"""The usual other half of a pixel on Kafka: a consumer that INSERTs one impression after the other.

Takes KAFKA, TOPIC, POSTGRES and TABLE from the environment; the table exists.
"""

from __future__ import annotations

import asyncio
import os
from datetime import datetime
from itertools import chain
from typing import Any

import asyncpg
import msgspec
from aiokafka import AIOKafkaConsumer

FETCH_MAX = 500


async def main() -> None:
    topic, table = os.environ["TOPIC"], os.environ["TABLE"]
    insert = f"INSERT INTO {table} (id, at, token) VALUES ($1, $2, $3)"
    connection = await asyncpg.connect(os.environ["POSTGRES"])
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=os.environ["KAFKA"], group_id=f"{topic}-consumer", auto_offset_reset="earliest"
    )
    async with consumer:
        while True:
            fetched = await consumer.getmany(timeout_ms=500, max_records=FETCH_MAX)
            for record in chain.from_iterable(fetched.values()):
                event: dict[str, Any] = msgspec.json.decode(record.value)
                at = datetime.fromisoformat(event["at"])
                await connection.execute(insert, event["id"], at, event["token"])


if __name__ == "__main__":
    asyncio.run(main())
