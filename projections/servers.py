"""The servers of the read side, opened and closed in one place."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import asyncpg
import msgspec

from domain.limits import FEED_SCRIPT_RECORDS
from domain.names import Names
from projections.connections import kafka_options
from projections.postgres_store import Pool
from projections.redis_client import redis_client
from projections.watermarks import Watermarks

POOL_MAX_CONNECTIONS = 24
"""For looks and reports a few; whoever sees to a generation has three of each projection while two are compared."""
POOL_MAX_CONNECTIONS_PER_SCHEMA = 3
"""One writes, one looks at the state, one watches."""
STATEMENT_TIMEOUT_S = 120.0
IDLE_IN_TRANSACTION_S = 60.0
"""A worker that is suspended in the middle of its transaction has its offsets locked: whoever has its partitions now
waits no longer, because the database ends the transaction then."""
REDIS_TIMEOUT_S = 5.0


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """Where the servers are, what names are used on them, and how much is asked of them at a time."""

    kafka_url: str
    postgres_url: str
    redis_url: str
    names: Names
    feed_batch: int = FEED_SCRIPT_RECORDS
    """Records of a feed client that are applied to Redis at a time."""


class Servers:
    """Connections to Kafka, Postgres and Redis; none is made before it is needed.

    Use it as an async context manager.
    """

    def __init__(self, addresses: Addresses, *, client_id: str) -> None:
        self.names = addresses.names
        self.feed_batch = addresses.feed_batch
        self.client_id = client_id
        self.kafka: dict[str, Any] = kafka_options(addresses.kafka_url, client_id)
        self.watermarks = Watermarks(addresses.kafka_url, client_id=f"{client_id}-watermarks")
        self.redis = redis_client(addresses.redis_url, socket_timeout=REDIS_TIMEOUT_S)
        self._postgres_url = addresses.postgres_url
        self._pool: Pool | None = None
        self._pools_by_schema: dict[str, Pool] = {}

    @property
    def pool(self) -> Pool:
        assert self._pool is not None, "the servers are not open"
        return self._pool

    async def pool_of(self, schema: str) -> Pool:
        """Connections that find the tables of `schema` by their bare names, and those of `public`."""
        if schema not in self._pools_by_schema:
            self._pools_by_schema[schema] = await self._opened(
                POOL_MAX_CONNECTIONS_PER_SCHEMA, {"search_path": f"{schema}, public"}
            )
        return self._pools_by_schema[schema]

    async def __aenter__(self) -> Self:
        self._pool = await self._opened(POOL_MAX_CONNECTIONS, {})
        return self

    async def _opened(self, max_connections: int, settings: dict[str, str]) -> Pool:
        # min_size 0: a database that is away is waited for by whoever needs it, not here.
        return await asyncpg.create_pool(
            self._postgres_url,
            min_size=0,
            max_size=max_connections,
            command_timeout=STATEMENT_TIMEOUT_S,
            server_settings={
                "jit": "off",
                "application_name": self.client_id,
                "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S * 1000:.0f}",
            }
            | settings,
        )

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self.watermarks.close()
        await self.redis.aclose()
        for pool in self._pools_by_schema.values():
            pool.terminate()
        if self._pool is not None:
            self._pool.terminate()
