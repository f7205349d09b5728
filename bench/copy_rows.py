"""The limit of any projection into Postgres: its rows copied out of memory into tables without an index.

Run as `python -m bench.copy_rows PLAN`; prints a `Cost` as JSON.
The rows are those that `auction_log` has for the same events, in transactions as large as the engine's batches.
"""

from __future__ import annotations

from itertools import chain
from time import perf_counter, process_time

import asyncpg
import uvloop

from bench.cost import Cost
from bench.generated_events import histories
from bench.replay import ReplayPlan, print_cost
from domain.codec import encode
from projections.auction_log import COLUMNS, TABLES, AuctionLog, Rows
from projections.collector import calm_the_collector
from projections.decoding import decoder_of
from projections.postgres_store import PostgresStore


async def copy_rows(plan: ReplayPlan) -> Cost:
    """Copies the rows of as many auctions as the plan's topics hold."""
    auction_log = AuctionLog()
    decode = decoder_of(auction_log).decode
    histories_of_auctions = ((*history.auction, *history.engagements) for history in histories(plan.auctions))
    events = [decode(encode(event)) for event in chain.from_iterable(histories_of_auctions)]
    batches = [
        auction_log.fold(events[first : first + PostgresStore.batch_max_records])
        for first in range(0, len(events), PostgresStore.batch_max_records)
    ]
    connection = await asyncpg.connect(plan.postgres_url)
    try:
        for table in TABLES:
            await connection.execute(f"DROP TABLE IF EXISTS bare_{table}; CREATE TABLE bare_{table} (LIKE {table})")
        wall, cpu = perf_counter(), process_time()
        for batch in batches:
            await _copy(connection, batch)
        return Cost(len(events), process_time() - cpu, perf_counter() - wall)
    finally:
        await connection.close()


async def _copy(connection: asyncpg.Connection[asyncpg.Record], batch: Rows) -> None:
    async with connection.transaction():
        for table, rows in batch.filled():
            await connection.copy_records_to_table(f"bare_{table}", columns=COLUMNS[table], records=rows)


if __name__ == "__main__":
    calm_the_collector()
    print_cost(uvloop.run(copy_rows(ReplayPlan.from_command_line())))
