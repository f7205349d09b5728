"""Where read models are found, for all that needs nothing of the API."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from domain.errors import Fault, InvalidInput
from domain.names import Names
from gavel.settings import Settings, variable
from projections.connections import sqlalchemy_url
from projections.servers import Addresses

DATABASE_CONNECTIONS: Final = 5
DATABASE_SECONDS: Final = 30.0


def read_side(settings: Settings) -> Addresses:
    """Where projections find their servers."""
    kafka_url, postgres_url, redis_url = require(settings, "kafka_url", "postgres_url", "redis_url")
    return Addresses(
        kafka_url=kafka_url,
        postgres_url=postgres_url,
        redis_url=redis_url,
        names=Names(settings.namespace),
        feed_batch=settings.feed_batch,
    )


def database_engine(postgres_url: str) -> AsyncEngine:
    """For queries of the read models: a small pool whose connections are checked before use."""
    return create_async_engine(
        sqlalchemy_url(postgres_url),
        pool_size=DATABASE_CONNECTIONS,
        max_overflow=DATABASE_CONNECTIONS,
        pool_pre_ping=True,
        connect_args={"command_timeout": DATABASE_SECONDS, "server_settings": {"jit": "off"}},
    )


def require(settings: Settings, *names: str) -> list[str]:
    """The values of settings that this process cannot do without. Raises InvalidInput, naming all that are missing."""
    values = msgspec.structs.asdict(settings)
    missing = [Fault(variable(name), "is not set, and no installation runs in the data folder") for name in names]
    missing = [fault for fault, name in zip(missing, names, strict=True) if values[name] is None]
    if missing:
        raise InvalidInput(missing)
    return [values[name] for name in names]
