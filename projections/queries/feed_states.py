"""What Redis has of many feed clients: how many records, how far they were read, and the load that was begun last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from redis.asyncio import Redis
from redis.utils import str_if_bytes

from domain.feeds.runs import Run
from domain.names import Names
from projections.queries.feed_records import Positions
from projections.redis_store import answering

FIELDS: Final = ("bulk", "changes", "active", "latest")
"""Of a client's state: see `feed_script.py`."""
NEVER_REPLACED: Final = b"-1"
NO_RUN: Final = b""

_run = msgspec.json.Decoder(Run).decode


class LatestRun(NamedTuple):
    """The load of a client that was begun last."""

    run_id: str
    run: Run


class FeedState(NamedTuple):
    """Of one client."""

    positions: Positions
    records: int
    """Never fewer than a reader finds. More by those that something later stands over, or that have expired, until
    they are tidied: `feed_tidying.py` goes over all clients once a minute."""
    latest: LatestRun | None


async def feed_states(redis: Redis, names: Names, clients: Sequence[str]) -> list[FeedState]:
    """In the order of the clients, by two questions to Redis however many there are. Raises Unavailable."""
    if not clients:
        return []
    count = len(clients)
    async with answering():
        async with redis.pipeline(transaction=False) as pipeline:
            for client in clients:
                pipeline.hmget(names.feed_state(client), FIELDS)
            for client in clients:
                pipeline.hlen(names.feed_changed(client))
            told = await pipeline.execute()
        states, changed = told[:count], told[count:]
        async with redis.pipeline(transaction=False) as pipeline:
            for client, (_, _, active, _) in zip(clients, states, strict=True):
                pipeline.hlen(names.feed_records(client, str_if_bytes(active or NEVER_REPLACED)))
            for client, (_, _, _, latest) in zip(clients, states, strict=True):
                pipeline.hget(names.feed_runs(client), str_if_bytes(latest or NO_RUN))
            told = await pipeline.execute()
        loaded, runs = told[:count], told[count:]
    return [_state(*each) for each in zip(states, changed, loaded, runs, strict=True)]


def _state(fields: Sequence[bytes | None], changed: int, loaded: int, run: bytes | None) -> FeedState:
    bulk, changes, _, latest = fields
    known = None if latest is None or run is None else LatestRun(str_if_bytes(latest), _run(run))
    return FeedState({"bulk": int(bulk or -1), "changes": int(changes or -1)}, changed + loaded, known)
