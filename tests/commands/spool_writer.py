"""A process of its own that spools events and prints the id of each one that was accepted, until it is killed.

python -m tests.commands.spool_writer FOLDER TOPIC
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from commands.kafka_log import KafkaLog
from commands.spool import SpooledLog
from tests.commands.sample_events import auction_events, fresh_id, incompressible

WRITERS = 50


async def main(folder: Path, topic: str) -> None:
    log = SpooledLog(KafkaLog("127.0.0.1:1", [topic]), folder)  # never started: away for ever
    await log.start()
    padding = incompressible(2_000)

    async def write() -> None:
        while True:
            key = fresh_id()
            [event] = auction_events(key, 1, padding=padding)
            await log.append(topic, key, [event])
            sys.stdout.write(f"{event.id}\n")
            sys.stdout.flush()

    await asyncio.gather(*(write() for _ in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
