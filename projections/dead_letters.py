"""What is done about dead letters: they are tried again in the order of the log, or one is skipped with a reason.

A key's first letter goes first and those that wait behind it follow, until one cannot be applied still. Each is applied
in the transaction that ends it, under the lock of its partition's offset: a worker that writes the same partition comes
before or after, and no event is applied twice. Where it matters what was closed before it, an event is applied by its
place in the log. What was decided, by whom and when stays in the letter's row.

What is skipped has no effect in any generation of the projection, also in one that is built later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec
from aiokafka import TopicPartition

from domain.codec import Decoder
from domain.errors import Conflict, CorruptEvent, Fault, InvalidInput, NotFound
from domain.limits import SKIP_REASON_MAX_CHARS
from projections.batch import Letter
from projections.decoding import decoder_of
from projections.folding import CannotApply, folded, told
from projections.postgres_store import Pool, connected
from projections.queries.dead_letters import ID_MAX
from projections.registry import registered
from projections.servers import Addresses, Servers
from projections.store import EventRefused, FenceLost, Store

LETTER = "SELECT projection, generation, topic, partition, key, outcome FROM dead_letters WHERE id = $1"
CHAIN = """
SELECT id, topic, partition, "offset", key, payload FROM dead_letters
WHERE projection = $1 AND generation = $2 AND topic = $3 AND partition = $4 AND (key = $5 OR id = $6)
  AND outcome IS NULL ORDER BY "offset"
"""
FIRST_OF_EACH_KEY = """
SELECT DISTINCT ON (projection, generation, topic, partition, coalesce(key, id::text::bytea)) id
FROM dead_letters WHERE outcome IS NULL AND projection = $1
ORDER BY projection, generation, topic, partition, coalesce(key, id::text::bytea), "offset"
"""
FAILED = """
UPDATE dead_letters SET attempts = attempts + 1, error = $2, decided_at = now(), decided_by = $3
WHERE id = $1 AND outcome IS NULL
"""
SKIP = """
UPDATE dead_letters SET outcome = 'skipped', reason = $2, decided_at = now(), decided_by = $3
WHERE id = $1 AND outcome IS NULL
"""


class Tried(msgspec.Struct, frozen=True):
    """What came of it."""

    applied: int
    """Letters that are none any more. In the books each stands where the log has it, also on a day closed meanwhile."""
    waiting: int
    """Those that are still open: of the same keys, for the whole of what was tried."""
    error: str | None = None
    """Of the last one that could not be applied."""

    def __add__(self, other: Tried) -> Tried:
        return Tried(self.applied + other.applied, self.waiting + other.waiting, other.error or self.error)


class DeadLetters:
    """Opens its servers for each command: there are few of them."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses

    def __repr__(self) -> str:
        return f"DeadLetters({self._addresses.names.namespace!r})"

    async def retry(self, letter_id: int, *, by: str) -> Tried:
        """Tries the letter with all of its key, the first one first.

        Raises NotFound, Unavailable, and Conflict where somebody else is at it.
        """
        async with self._opened() as servers:
            return await _retry(servers, letter_id, by)

    async def retry_all(self, projection: str, *, by: str) -> Tried:
        """Tries all open letters of a projection, key by key. Raises as `retry`."""
        registered(projection)
        tried = Tried(0, 0)
        async with self._opened() as servers:
            async with connected(servers.pool) as connection:
                rows = await connection.fetch(FIRST_OF_EACH_KEY, projection)
            for row in rows:
                tried += await _retry(servers, row["id"], by)
        return tried

    async def skip(self, letter_id: int, *, reason: str, by: str) -> Tried:
        """Ends the letter without its effect, then tries those that waited behind it.

        Raises InvalidInput for a reason that is none, NotFound, Unavailable, and Conflict where it was ended before.
        """
        if not reason.strip() or len(reason) > SKIP_REASON_MAX_CHARS or "\0" in reason:
            raise InvalidInput([Fault("reason", f"is not a sentence of 1 to {SKIP_REASON_MAX_CHARS} characters")])
        async with self._opened() as servers:
            row = await _letter(servers.pool, letter_id)
            async with connected(servers.pool) as connection:
                if await connection.execute(SKIP, letter_id, reason, by) != "UPDATE 1":
                    raise Conflict(f"the dead letter {letter_id} was {row['outcome'] or 'ended'} before")
            return await _retry(servers, letter_id, by)

    def _opened(self) -> Servers:
        return Servers(self._addresses, client_id="gavel-dead-letters")


async def _letter(pool: Pool, letter_id: int) -> asyncpg.Record:
    async with connected(pool) as connection:
        row = await connection.fetchrow(LETTER, letter_id) if 0 <= letter_id <= ID_MAX else None
    if row is None:
        raise NotFound(f"there is no dead letter {letter_id}")
    return row


async def _retry(servers: Servers, letter_id: int, by: str) -> Tried:
    """Tries the open letters of its key, itself too if it is open, in the order of the log, until none is left."""
    letter = await _letter(servers.pool, letter_id)
    try:
        return await _retry_key(servers, letter, letter_id, by)
    except FenceLost as lost:
        raise Conflict(f"the letters of this key are not as they were a moment ago: {lost}") from lost


async def _retry_key(servers: Servers, letter: asyncpg.Record, letter_id: int, by: str) -> Tried:
    registration = registered(letter["projection"])
    projection, store = await registration.opened(servers, letter["generation"])
    decoder = decoder_of(projection)
    done = 0
    # More than once: while these are applied, others come to wait behind them.
    while chain := await _chain(servers.pool, letter, letter_id):
        # Redis knows of a key only that it waits: there its letters are one.
        for run in [[each] for each in chain] if registration.place == "postgres" else [chain]:
            error = await _applied(projection, decoder, store, run, by)
            if error is not None:
                async with connected(servers.pool) as connection:
                    await connection.execute(FAILED, run[0].id, error, by)
                return Tried(done, len(await _chain(servers.pool, letter, letter_id)), error)
            done += len(run)
    if letter["key"] is not None:
        await store.release(TopicPartition(letter["topic"], letter["partition"]), letter["key"])
    return Tried(done, 0)


async def _chain(pool: Pool, letter: asyncpg.Record, letter_id: int) -> list[Letter]:
    where = (letter[name] for name in ("projection", "generation", "topic", "partition", "key"))
    async with connected(pool) as connection:
        return [Letter(*row) for row in await connection.fetch(CHAIN, *where, letter_id)]


async def _applied(
    projection: Any, decoder: Decoder[Any], store: Store[Any], letters: Sequence[Letter], by: str
) -> str | None:
    """Applies the letters as one; tells why that cannot be, where it cannot. Raises FenceLost."""
    try:
        await store.unpark(folded(projection, decoder, letters, None), letters, by=by)
    except (CorruptEvent, CannotApply, EventRefused) as error:
        return told(error)
    return None
