"""What is done about dead letters: they are tried again in the order of the log, or one is skipped with a reason.

A key's first letter goes first and those that wait behind it follow, until one cannot be applied still; where none
waits for another, each is tried by itself. Each is applied in the transaction that ends it, under the lock of its
partition's offset: a worker that writes the same partition comes before or after, and no event is applied twice. Where
it matters what was closed before it, an event is applied by its place in the log. What was decided, by whom and when
stays in the letter's row.

What is skipped has no effect in any generation of the projection, also in one that is built later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import asyncpg
import msgspec
from aiokafka import TopicPartition

from domain.codec import Decoder
from domain.errors import Conflict, CorruptEvent, Fault, InvalidInput, NotFound, Unavailable
from domain.limits import SKIP_REASON_MAX_CHARS
from projections import parking
from projections.batch import Letter
from projections.decoding import decoder_of
from projections.folding import CannotApply, folded, told
from projections.postgres_store import RUNNING, Pool, connected
from projections.queries.dead_letters import ID_MAX
from projections.registry import registered
from projections.servers import Addresses, Servers
from projections.store import EventRefused, FenceLost, Store

Applied = Callable[[Sequence[Letter], str], Awaitable[tuple[Letter, str] | None]]
"""Applies letters as one, on behalf of somebody; tells whose fault it is and why, where that cannot be."""

LETTER = "SELECT projection, generation, topic, partition, key, outcome, reason FROM dead_letters WHERE id = $1"
CHAIN = """
SELECT id, topic, partition, "offset", key, payload FROM dead_letters
WHERE projection = $1 AND generation = $2 AND topic = $3 AND partition = $4 AND (key = $5 OR id = $6)
  AND outcome IS NULL ORDER BY "offset"
"""
FIRST_OF_EACH_KEY = """
SELECT DISTINCT ON (generation, topic, partition, key, CASE WHEN key IS NULL THEN id END) id
FROM dead_letters WHERE outcome IS NULL AND projection = $1
ORDER BY generation, topic, partition, key, CASE WHEN key IS NULL THEN id END, "offset"
"""
FAILED = """
UPDATE dead_letters SET attempts = attempts + 1, error = $2, decided_at = now(), decided_by = $3
WHERE id = $1 AND outcome IS NULL
"""
SKIP = """
UPDATE dead_letters AS letter SET outcome = 'skipped', reason = $2, decided_at = now(), decided_by = $3
FROM dead_letters AS named
WHERE named.id = $1 AND named.outcome IS NULL AND letter.outcome IS NULL
  AND (letter.projection, letter.topic, letter.partition, letter."offset")
    = (named.projection, named.topic, named.partition, named."offset")
"""
IN_EACH_GENERATION = f"""
SELECT DISTINCT ON (letter.generation) letter.id
FROM dead_letters AS letter JOIN dead_letters AS named USING (projection, topic, partition)
LEFT JOIN projection_generations AS built
    ON built.projection = letter.projection AND built.generation = letter.generation
WHERE named.id = $1 AND (letter."offset" = named."offset" OR letter.key = named.key AND letter.outcome IS NULL)
  AND (built.status IN ({RUNNING}) OR built.status IS NULL)
ORDER BY letter.generation, letter."offset"
"""  # noqa: S608 - nothing but statuses of ours is put in


class Tried(msgspec.Struct, frozen=True):
    """What came of it."""

    applied: int
    """Letters that are none any more, over all generations.

    In the books each stands where the log has it, also on a day closed meanwhile.
    """
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
        """Tries the letter with all of its key, the first one first, in every generation that is kept up to date.

        Raises NotFound, Unavailable, and Conflict where somebody else is at it.
        """
        async with self._opened() as servers:
            return await _retry_everywhere(servers, letter_id, by)

    async def retry_all(self, projection: str, *, by: str) -> Tried:
        """Tries all open letters of a projection, key by key; a key that somebody else is at stays as it is.

        Raises NotFound and Unavailable.
        """
        registered(projection)
        tried = Tried(0, 0)
        async with self._opened() as servers:
            async with connected(servers.pool) as connection:
                rows = await connection.fetch(FIRST_OF_EACH_KEY, projection)
            for row in rows:
                tried += await _retry_unless_another_does(servers, row["id"], by)
        return tried

    async def skip(self, letter_id: int, *, reason: str, by: str) -> Tried:
        """Ends the letter without its effect, in every generation, then tries those that waited behind it there.

        Called again after a server was away in between, it does the rest. Raises InvalidInput for a reason that is
        none, NotFound, Unavailable, and Conflict where it was ended before, in another way or for another reason.
        """
        if not reason.strip() or len(reason) > SKIP_REASON_MAX_CHARS or not reason.isprintable():
            raise InvalidInput([Fault("reason", f"is not a sentence of 1 to {SKIP_REASON_MAX_CHARS} characters")])
        async with self._opened() as servers:
            letter = await _letter(servers.pool, letter_id)
            async with connected(servers.pool) as connection, connection.transaction():
                await parking.let_nobody_park(connection, letter["projection"])
                ended = await connection.execute(SKIP, letter_id, reason, by)
            if ended == "UPDATE 0":
                letter = await _letter(servers.pool, letter_id)
                if (letter["outcome"], letter["reason"]) != ("skipped", reason):
                    raise Conflict(f"the dead letter {letter_id} was {letter['outcome']} before")
            try:
                return await _retry_everywhere(servers, letter_id, by)
            except Unavailable as away:
                rest = "what waited behind it was not tried: skip it again, for the same reason, or retry it"
                raise Unavailable(f"{away}; the dead letter {letter_id} is skipped, and {rest}") from away

    def _opened(self) -> Servers:
        return Servers(self._addresses, client_id="gavel-dead-letters")


async def _letter(pool: Pool, letter_id: int) -> asyncpg.Record:
    async with connected(pool) as connection:
        row = await connection.fetchrow(LETTER, letter_id) if 0 <= letter_id <= ID_MAX else None
    if row is None:
        raise NotFound(f"there is no dead letter {letter_id}")
    return row


async def _retry_everywhere(servers: Servers, letter_id: int, by: str) -> Tried:
    await _letter(servers.pool, letter_id)
    tried = Tried(0, 0)
    async with connected(servers.pool) as connection:
        rows = await connection.fetch(IN_EACH_GENERATION, letter_id)
    for row in rows:
        tried += await _retry(servers, row["id"], by)
    return tried


async def _retry_unless_another_does(servers: Servers, letter_id: int, by: str) -> Tried:
    try:
        letter = await _letter(servers.pool, letter_id)
        return await _retry(servers, letter_id, by)
    except NotFound:
        return Tried(0, 0)  # its generation has ended meanwhile
    except Conflict as conflict:
        return Tried(0, len(await _chain(servers.pool, letter, letter_id)), str(conflict))


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
    if not store.letters_wait:
        return await _retry_each(servers, letter, letter_id, by, partial(_applied, projection, decoder, store))
    done = 0
    # More than once: while these are applied, others come to wait behind them.
    while chain := await _chain(servers.pool, letter, letter_id):
        # Redis knows of a key only that it waits: there its letters are one.
        for run in [[each] for each in chain] if registration.place == "postgres" else [chain]:
            if (failure := await _applied(projection, decoder, store, run, by)) is not None:
                error = await _noted(servers.pool, *failure, by)
                return Tried(done, len(await _chain(servers.pool, letter, letter_id)), error)
            done += len(run)
    if letter["key"] is not None:
        await store.release(TopicPartition(letter["topic"], letter["partition"]), letter["key"])
    return Tried(done, 0)


async def _retry_each(servers: Servers, letter: asyncpg.Record, letter_id: int, by: str, applied: Applied) -> Tried:
    """Where none waits for another: what one of them lacks keeps none of the others, and is told of that one."""
    done, error = 0, None
    for each in await _chain(servers.pool, letter, letter_id):
        if (failure := await applied([each], by)) is None:
            done += 1
        else:
            error = await _noted(servers.pool, *failure, by)
    return Tried(done, len(await _chain(servers.pool, letter, letter_id)), error)


async def _noted(pool: Pool, failed: Letter, error: str, by: str) -> str:
    async with connected(pool) as connection:
        await connection.execute(FAILED, failed.id, error, by)
    return error


async def _chain(pool: Pool, letter: asyncpg.Record, letter_id: int) -> list[Letter]:
    where = (letter[name] for name in ("projection", "generation", "topic", "partition", "key"))
    async with connected(pool) as connection:
        return [Letter(*row) for row in await connection.fetch(CHAIN, *where, letter_id)]


async def _applied(
    projection: Any, decoder: Decoder[Any], store: Store[Any], letters: Sequence[Letter], by: str
) -> tuple[Letter, str] | None:
    """Applies the letters as one; tells whose fault it is and why, where that cannot be. Raises FenceLost."""
    rows, (letter, *_) = None, letters
    try:
        for letter in letters:
            rows = folded(projection, decoder, [letter], rows)
        await store.unpark(rows, letters, by=by)
    except (CorruptEvent, CannotApply, EventRefused) as error:
        return letter, told(error)
    return None
