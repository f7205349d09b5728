"""The limit of any projection over this client: every record fetched and decoded, and then thrown away.

Run as `python -m bench.fetch_and_decode PLAN`; prints a `Cost` as JSON.
It reads the same topics in batches as large as the engine's, and decodes the types that the projection takes: as an
ordinary consumer does, with whole events and Python as it comes, or, where the plan `is_lean`, as the engine does.
"""

from __future__ import annotations

from time import perf_counter, process_time

import uvloop
from aiokafka import AIOKafkaConsumer

from bench.cost import Cost
from bench.replay import ReplayPlan, print_cost
from domain.codec import Decoder
from projections.collector import calm_the_collector
from projections.connections import kafka_options
from projections.decoding import decoder_of
from projections.engine import POLL_MS
from projections.lean_fetch import LeanConsumer
from projections.postgres_store import PostgresStore
from projections.watermarks import Watermarks


async def fetch_and_decode(plan: ReplayPlan) -> Cost:
    """Reads all that the topics held when it began."""
    projection = plan.registration.projection(plan.names)
    decode = (decoder_of(projection) if plan.is_lean else Decoder(projection.events)).decode
    async with Watermarks(plan.kafka_url, client_id="bench-fetch") as watermarks:
        ends = await watermarks.high(plan.registration.topics_of(plan.names))
    kind = LeanConsumer if plan.is_lean else AIOKafkaConsumer
    options = kafka_options(plan.kafka_url, "bench-fetch")
    consumer = kind(**options, max_partition_fetch_bytes=PostgresStore.partition_fetch_max_bytes)
    async with consumer:
        consumer.assign(list(ends))
        await consumer.seek_to_beginning(*ends)
        left = total = sum(ends.values())
        wall, cpu = perf_counter(), process_time()
        while left > 0:
            fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=PostgresStore.batch_max_records)
            for records in fetched.values():
                left -= len(records)
                for record in records:
                    decode(record.value)
        return Cost(total, process_time() - cpu, perf_counter() - wall)


def main() -> None:
    plan = ReplayPlan.from_command_line()
    if plan.is_lean:
        calm_the_collector()
    print_cost(uvloop.run(fetch_and_decode(plan)))


if __name__ == "__main__":
    main()
