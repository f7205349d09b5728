"""Kafka, Postgres and Redis with nothing but Python: real servers, as child processes of whoever asks for them."""

from gavel.embedded.servers import EmbeddedServers, Urls

__all__ = ["EmbeddedServers", "Urls"]
