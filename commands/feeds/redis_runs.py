"""The runs of feed clients, as the consumer keeps them in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError
from redis.utils import str_if_bytes

from domain.errors import Unavailable
from domain.feeds.runs import Run
from domain.names import Names

CLIENTS_AT_ONCE: Final = 50
STARTED_AT_ONCE: Final = 100
"""Of a client."""

_read = msgspec.json.Decoder(Run).decode


class StartedRun(NamedTuple):
    """A run that the changes tell of, and the bulk topic does not: not yet, or never."""

    run_id: str
    since: int


class OpenRuns(NamedTuple):
    """What of a feed client is not decided."""

    client: str
    undecided: str | None
    """The run that is being received, or waits for its decision."""
    started: tuple[StartedRun, ...]


class RedisRuns:
    """Implements intake.Runs."""

    def __init__(self, redis: Redis, names: Names) -> None:
        self._redis = redis
        self._names = names

    def __repr__(self) -> str:
        return f"RedisRuns({self._names.namespace!r})"

    async def find(self, client: str, run_id: str) -> Run | None:
        """As the port says."""
        async with _answering():
            kept = await self._redis.hget(self._names.feed_runs(client), run_id)
        return None if kept is None else _read(kept)

    async def changes_met(self, client: str) -> int:
        """As the port says."""
        async with _answering():
            offset = await self._redis.hget(self._names.feed_state(client), "changes")
        return -1 if offset is None else int(offset)

    async def positions(self) -> dict[str, str]:
        """Every feed client that was ever met, with its last offset in each topic. Raises Unavailable."""
        positions: dict[str, str] = {}
        async with _answering():
            for topic in ("changes", "bulk"):
                _offsets, _parked, clients = self._names.feed_progress(topic)
                for field, offset in (await self._redis.hgetall(clients)).items():
                    client = str_if_bytes(field).partition(" ")[2]
                    positions[client] = f"{positions.get(client, '')} {topic} {int(offset)}"
        return positions

    async def open_runs(self, clients: Sequence[str]) -> list[OpenRuns]:
        """Of those that have any. Raises Unavailable."""
        found: list[OpenRuns] = []
        async with _answering():
            for at in range(0, len(clients), CLIENTS_AT_ONCE):
                found += await asyncio.gather(*(self._open_runs(each) for each in clients[at : at + CLIENTS_AT_ONCE]))
        return [each for each in found if each.undecided is not None or each.started]

    async def _open_runs(self, client: str) -> OpenRuns:
        # In this order: one that is opened in between is then in both. Of many the oldest, for when all is read again,
        # the changes are soon ahead by every load there was.
        found = await self._redis.zrange(self._names.feed_started(client), 0, STARTED_AT_ONCE - 1, withscores=True)
        started = cast("list[tuple[bytes | str, float]]", found)
        undecided = await self._redis.hget(self._names.feed_state(client), "undecided")
        runs = tuple(StartedRun(str_if_bytes(run_id), int(since)) for run_id, since in started)
        return OpenRuns(client, None if undecided is None else str_if_bytes(undecided), runs)


@asynccontextmanager
async def _answering() -> AsyncIterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise Unavailable("Redis, which knows how far loads are, is away.") from error
