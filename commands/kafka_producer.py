"""One aiokafka producer: made with the settings that a durable log needs, and ended without waiting for ever."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.helpers import create_ssl_context

from domain.kafka_url import KafkaUrl
from domain.limits import LOG_BATCH_MAX_BYTES

REQUEST_TIMEOUT_MS = 5_000
"""After this a broker that does not answer is taken for dead, and the batch is sent to the partition's new leader."""
CLOSE_MAX_SECONDS = 1.0
CANCEL_STEP_SECONDS = 0.05


def new_producer(url: KafkaUrl, client_id: str) -> AIOKafkaProducer:
    """A producer that is not started: acknowledged by all replicas, idempotent, lz4."""
    return AIOKafkaProducer(
        **url.client_options(),
        ssl_context=create_ssl_context(cafile=url.ca_file) if url.tls else None,
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        max_batch_size=LOG_BATCH_MAX_BYTES,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
    )


async def abandon(producer: AIOKafkaProducer) -> None:
    """Ends a producer without flushing it; futures of batches that are still undecided stay so.

    Its own `stop` would wait as long as the broker is away, since an idempotent batch never expires.
    """
    producer._closed = True  # noqa: SLF001 - it has no public way to end without a flush
    sender = producer._sender.sender_task  # noqa: SLF001 - the same
    # The first cancellation lets requests on their way finish, the next one ends them too.
    while sender is not None and not sender.done():
        sender.cancel()
        await asyncio.wait({sender}, timeout=CANCEL_STEP_SECONDS)
    try:
        async with asyncio.timeout(CLOSE_MAX_SECONDS):
            await producer.client.close()
    except (TimeoutError, KafkaError):
        return  # a socket that does not even close belongs to a broker that hangs
