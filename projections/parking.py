"""Dead letters as rows: written when they are parked, and ended when they are applied after all.

A row stays when its letter has ended, with who ended it and when. An open letter holds up what follows under its key.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from projections.batch import DeadLetter, Letter

if TYPE_CHECKING:
    from projections.postgres_store import Connection

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
LOCK = 7_146_927
"""Advisory lock, with a projection, of who skips an event and of those who park one; a number of our own choice."""

# A projection in Redis that has lost its memory meets again what it had parked and somebody has retried since.
PARK = """
INSERT INTO dead_letters (projection, generation, topic, partition, "offset", key, payload, error)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (projection, generation, topic, partition, "offset")
DO UPDATE SET outcome = NULL, attempts = dead_letters.attempts + 1, error = excluded.error
WHERE dead_letters.outcome = 'applied'
"""
PARKED_KEYS = """
SELECT DISTINCT topic, partition, key FROM dead_letters
WHERE projection = $1 AND generation = $2 AND outcome IS NULL AND key IS NOT NULL
"""
FIRST_OPEN = """
SELECT topic, partition, key, min("offset") FROM dead_letters
WHERE projection = $1 AND generation = 1 AND outcome IS NULL AND key IS NOT NULL GROUP BY topic, partition, key
"""
SKIPPED = """
SELECT DISTINCT topic, partition, "offset" FROM dead_letters WHERE projection = $1 AND outcome = 'skipped'
"""
WAITING_FOR_NOTHING = """
SELECT FROM unnest($3::text[], $4::int[], $5::bytea[]) AS waiting (topic, partition, key)
WHERE NOT EXISTS (
    SELECT FROM dead_letters AS letter
    WHERE letter.projection = $1 AND letter.generation = $2 AND letter.outcome IS NULL
      AND letter.topic = waiting.topic AND letter.partition = waiting.partition AND letter.key = waiting.key
) LIMIT 1
"""
LAST_RETRY = "SELECT max(decided_at) FROM dead_letters WHERE projection = $1 AND outcome = 'applied'"
OPEN = """
SELECT id FROM dead_letters
WHERE projection = $1 AND generation = 1 AND topic = $2 AND partition = $3 AND key = $4 AND "offset" < $5
  AND outcome IS NULL ORDER BY "offset"
"""
END = """
UPDATE dead_letters AS letter
SET outcome = 'applied', attempts = attempts + 1, decided_at = coalesce($3, now()), decided_by = $2
WHERE id = $1 AND outcome IS NULL AND ($4 OR NOT EXISTS (
    SELECT FROM dead_letters AS before
    WHERE before.projection = letter.projection AND before.generation = letter.generation
      AND before.topic = letter.topic AND before.partition = letter.partition AND before.key = letter.key
      AND before."offset" < letter."offset" AND before.outcome IS NULL
))
"""


async def let_nobody_park(connection: Connection, projection: str) -> None:
    """To the end of the transaction no generation parks an event; those that are at it come to their end first."""
    await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK}, hashtext($1))", projection)


async def see_what_is_skipped(connection: Connection, projection: str) -> None:
    """To the end of the transaction nobody skips an event; who is at it comes to their end first."""
    await connection.execute(f"SELECT pg_advisory_xact_lock_shared({LOCK}, hashtext($1))", projection)


async def park(connection: Connection, projection: str, letters: Sequence[DeadLetter], *, generation: int = 1) -> None:
    """Writes dead letters; those that are there already stay as they are."""
    await connection.executemany(
        PARK,
        [
            (projection, generation, record.topic, record.partition, record.offset, record.key, record.value, error)
            for record, error, _ in letters
        ],
    )


async def parked_keys(
    connection: Connection, projection: str, partitions: Collection[TopicPartition], *, generation: int = 1
) -> set[tuple[TopicPartition, bytes]]:
    """Keys of open letters: events that follow them have to wait behind them."""
    rows = await connection.fetch(PARKED_KEYS, projection, generation)
    parked = {(TopicPartition(topic, partition), key) for topic, partition, key in rows}
    return {each for each in parked if each[0] in partitions}


async def skipped(connection: Connection, projection: str) -> set[tuple[TopicPartition, int]]:
    """Offsets of what somebody has decided to have no effect, in whatever generation it was met first."""
    rows = await connection.fetch(SKIPPED, projection)
    return {(TopicPartition(topic, partition), offset) for topic, partition, offset in rows}


async def is_any_skipped(connection: Connection, projection: str, letters: Sequence[DeadLetter]) -> bool:
    """Whether somebody has decided of one of these that it has no effect."""
    places = {(TopicPartition(record.topic, record.partition), record.offset) for record, _, _ in letters}
    return not places.isdisjoint(await skipped(connection, projection))


async def is_waiting_for_nothing(
    connection: Connection, projection: str, letters: Sequence[DeadLetter], *, generation: int = 1
) -> bool:
    """Whether one is to wait behind a letter of its key, and none is open any more.

    Inside a transaction that holds the partitions' offsets the answer stays true.
    """
    waiting = {(record.topic, record.partition, record.key) for record, _, waits in letters if waits}
    columns = [list(column) for column in zip(*waiting, strict=True)]
    return (
        bool(waiting) and await connection.fetchrow(WAITING_FOR_NOTHING, projection, generation, *columns) is not None
    )


async def open_letters(
    connection: Connection, projection: str, tp: TopicPartition, key: bytes | None, *, before: int
) -> list[int]:
    """Ids of the open letters of a key below an offset, in order, of a projection that is built in place."""
    rows = await connection.fetch(OPEN, projection, tp.topic, tp.partition, key, before)
    return [row["id"] for row in rows]


async def first_open(connection: Connection, projection: str) -> dict[tuple[TopicPartition, bytes], int]:
    """By key the offset of its first open letter, of a projection that is built in place."""
    rows = await connection.fetch(FIRST_OPEN, projection)
    return {(TopicPartition(topic, partition), key): offset for topic, partition, key, offset in rows}


async def last_retry(connection: Connection, projection: str) -> datetime:
    """When the last letter of it was applied after all; long ago where none was."""
    found: datetime | None = await connection.fetchval(LAST_RETRY, projection)
    return found or LONG_AGO


async def end_as_applied(
    connection: Connection,
    letters: Sequence[Letter],
    *,
    by: str,
    at: datetime | None = None,
    in_any_order: bool = False,
) -> bool:
    """Ends them in their order; False where one was ended before, or is not the first of its key that is open.

    With `in_any_order` it need not be the first. `at` is when that was decided, by the clock of Postgres; by default it
    is now.
    """
    for letter in letters:
        if await connection.execute(END, letter.id, by, at, in_any_order) != "UPDATE 1":
            return False
    return True
