"""The audit of feeds: for every batch of a client's records a row in Postgres, of what became of each of them.

The script that applies a batch puts its row into a list beside the client's records, in the same instant: there is no
batch without its row, and none twice. From there the rows come here, and then leave the list. A row may come again, and
after Redis has lost its memory the same records come in other batches: a row takes the place of all that it overlaps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Final, cast

import msgspec
import structlog

from domain.errors import Unavailable
from projections.ending import until_stopped
from projections.feed_freeing import WRITTEN
from projections.postgres_store import Pool, connected
from projections.redis_store import answering
from projections.store import StoreFault

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from domain.names import Names
    from projections.postgres_store import Connection

LOOK_S = 1.0
ROWS_AT_ONCE = 500
"""Of one client in one transaction."""
CLIENTS_AT_ONCE = 16
TURN = 7_146_926
"""Advisory lock of the one that writes a client's rows; a number of our own choice."""

NOBODY: Final = ""
"""In the place of a client: whose key does not tell whose record it is."""
TOPICS: Final = ("bulk", "changes")

TAKE_TURN = "SELECT pg_try_advisory_xact_lock($1, hashtext($2))"
COLUMNS = (
    "client, topic, partition, first_offset, last_offset, generation, adds, overwrites, updates, deletes, stale, "
    "rejected, marks, refused, at, started, finished, digest"
)
REPLACE = """
DELETE FROM feed_audit AS old
USING unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[]) AS new (topic, partition, first_offset, last_offset)
WHERE old.client = $1 AND old.topic = new.topic AND old.partition = new.partition
  AND old.first_offset <= new.last_offset AND old.last_offset >= new.first_offset
"""
WRITE = f"""
INSERT INTO feed_audit ({COLUMNS})
SELECT $1, topic, partition, first_offset, last_offset, generation, adds, overwrites, updates, deletes, stale,
       rejected, marks, refused,
       to_timestamp(at / 1000.0), to_timestamp(started / 1000.0), to_timestamp(finished / 1000.0), digest
FROM unnest(
    $2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::int[], $7::int[], $8::int[], $9::int[], $10::int[],
    $11::int[], $12::int[], $13::int[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::text[]
) AS row (topic, partition, first_offset, last_offset, generation, adds, overwrites, updates, deletes, stale, rejected,
          marks, refused, at, started, finished, digest)
"""  # noqa: S608 - nothing but names of columns is put in

log = structlog.stdlib.get_logger(__name__)


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """One batch. What follows the offsets up to `rejected` adds up to the records in it; moments in Unix ms."""

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    generation: int
    adds: int = 0
    overwrites: int = 0
    updates: int = 0
    deletes: int = 0
    stale: int = 0
    """Something that came later stands over them, or their source had told them before."""
    rejected: int = 0
    """Parked: nobody can read them."""
    marks: int = 0
    """What is no record: a load's beginning and end, an erasure."""
    refused: int = 0
    """Lines of an upload that were no records, told at its end: the log does not have them."""
    at: int
    """When the last of it happened."""
    started: int
    finished: int
    digest: str
    """SHA-1 over the SHA-256 of each record's value as the log has it, hexadecimal."""


_decode = msgspec.json.Decoder(AuditRow).decode
_values = [attrgetter(name) for name in AuditRow.__struct_fields__]


async def write_rows(connection: Connection, client: str, rows: Sequence[AuditRow]) -> None:
    """Within a transaction. Each takes the place of those that it overlaps, also of those before it in `rows`."""
    for some in _disjoint(rows):
        columns = [[value(row) for row in some] for value in _values]
        await connection.execute(REPLACE, client, *columns[:4])
        await connection.execute(WRITE, client, *columns)


def _disjoint(rows: Sequence[AuditRow]) -> Iterator[list[AuditRow]]:
    """The same rows, cut where records come again."""
    some: list[AuditRow] = []
    ends: dict[tuple[str, int], int] = {}
    for row in rows:
        if row.first_offset <= ends.get((row.topic, row.partition), -1):
            yield some
            some, ends = [], {}
        some.append(row)
        ends[row.topic, row.partition] = row.last_offset
    if some:
        yield some


class FeedAudit:
    """Brings the rows of all clients from Redis to Postgres; several processes may do so."""

    def __init__(self, redis: Redis, pool: Pool, names: Names) -> None:
        self._redis = redis
        self._pool = pool
        self._names = names
        self._written = redis.register_script(WRITTEN)

    def __repr__(self) -> str:
        return f"FeedAudit({self._names.namespace!r})"

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. A server that is away is waited for."""
        await until_stopped(stop, self._look())

    async def _look(self) -> None:
        while True:
            try:
                await self.bring()
            except Unavailable as away:
                log.warning("the audit of feeds waits for a server", error=str(away))
            await asyncio.sleep(LOOK_S)

    async def bring(self) -> None:
        """What stands in Redis now. Of a client whose rows Postgres refuses it stays there.

        Raises Unavailable, with the rows of those clients brought whose servers answer.
        """
        away: Unavailable | None = None
        clients = await clients_of(self._redis, self._names)
        for start in range(0, len(clients), CLIENTS_AT_ONCE):
            some = clients[start : start + CLIENTS_AT_ONCE]
            outcomes = await asyncio.gather(*(self._bring_of(client) for client in some), return_exceptions=True)
            for client, failure in zip(some, outcomes, strict=True):
                if isinstance(failure, StoreFault):
                    log.error("rows of the audit of a feed client are refused", client=client, error=str(failure))
                elif isinstance(failure, Unavailable):
                    away = away or failure
                elif failure is not None:
                    raise failure
        if away is not None:
            raise away

    async def _bring_of(self, client: str) -> None:
        key = self._names.feed_audit(client)
        while True:
            async with answering():
                if not await self._redis.exists(key):
                    return
            async with connected(self._pool) as connection, connection.transaction():
                # Read under the lock: who was slow must not put old rows over newer ones.
                if not await connection.fetchval(TAKE_TURN, TURN, client):
                    return
                async with answering():
                    raw = cast("list[bytes]", await self._redis.lrange(key, 0, ROWS_AT_ONCE - 1))
                await write_rows(connection, client, [_decode(row) for row in raw])
            if not raw:
                return
            async with answering():
                await self._written(keys=[key], args=raw)


async def clients_of(redis: Redis, names: Names) -> list[str]:
    """Ids of all that either topic has told of. Raises Unavailable."""
    async with answering():
        fields = [
            field for topic in TOPICS for field in cast("list[bytes]", await redis.hkeys(names.feed_progress(topic)[2]))
        ]
    return sorted({field.decode().partition(" ")[2] for field in fields})
