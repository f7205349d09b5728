"""How the read side reaches its servers: one address each, turned into what every client library wants."""

from __future__ import annotations

import ssl
from typing import Any

from domain.errors import Fault, InvalidInput
from domain.kafka_url import parse_kafka_url


def kafka_options(kafka_url: str, client_id: str) -> dict[str, Any]:
    """Keyword arguments of an aiokafka client. Raises InvalidInput for a malformed address."""
    url = parse_kafka_url(kafka_url)
    context = ssl.create_default_context(cafile=url.ca_file) if url.tls else None
    return {**url.client_options(), "ssl_context": context, "client_id": client_id}


def sqlalchemy_url(postgres_url: str) -> str:
    """`postgresql://…` for SQLAlchemy over asyncpg; its bare scheme would name another driver.

    asyncpg itself takes the address as it is. Raises InvalidInput for any other scheme.
    """
    scheme, separator, rest = postgres_url.partition("://")
    if not separator or scheme not in {"postgresql", "postgres"}:
        raise InvalidInput([Fault("postgres_url", "does not start with postgresql://")])
    return f"postgresql+asyncpg://{rest}"
