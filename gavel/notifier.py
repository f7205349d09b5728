"""What the notifier is made of, opened and closed in one place."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

from prometheus_client import CollectorRegistry, Counter, start_http_server

from commands.kafka_log import KafkaLog
from commands.notice_client import NoticeClient
from commands.send_notices import SendNotices
from gavel.errors import CannotRun
from gavel.process_clock import SystemClock, fresh_id
from gavel.read_side import read_side
from gavel.settings import Settings
from gavel.telemetry import configure_logging
from projections.notice_outbox import NoticeOutbox
from projections.servers import Servers


async def run_notifier(settings: Settings, *, metrics_port: int | None = None) -> None:
    """Sends notices until it is cancelled; then it waits a few seconds for those under way.

    With `metrics_port`, its figures are served at `/metrics` there. Raises CannotRun when the port is taken.
    """
    configure_logging(settings.log_level, process="notifier")
    figures = CollectorRegistry()
    stop = asyncio.Event()
    with _served(figures, settings.host, metrics_port):
        work = asyncio.create_task(_notify(settings, figures, stop))
        try:
            await asyncio.shield(work)
        finally:
            stop.set()
            await work


async def _notify(settings: Settings, figures: CollectorRegistry, stop: asyncio.Event) -> None:
    addresses = read_side(settings)
    attempts = Counter("gavel_notices", "Calls of notices.", ["kind", "result"], registry=figures)
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(Servers(addresses, client_id="gavel-notifier"))
        log = KafkaLog(addresses.kafka_url, (addresses.names.engagements,), client_id="gavel-notifier")
        await log.start()
        stack.push_async_callback(log.close)
        client = await stack.enter_async_context(NoticeClient(allow_private=settings.allow_private_endpoints))
        notices = SendNotices(
            outbox=NoticeOutbox(servers.pool),
            client=client,
            log=log,
            names=addresses.names,
            clock=SystemClock(),
            ids=fresh_id,
            chance=random.random,
            attempted=lambda kind, result: attempts.labels(kind, result).inc(),
        )
        await notices.run(stop)


@contextmanager
def _served(figures: CollectorRegistry, host: str, port: int | None) -> Iterator[None]:
    if port is None:
        yield
        return
    try:
        server, thread = start_http_server(port, host, figures)
    except OSError as error:
        raise CannotRun(f"cannot serve metrics on {host}:{port}: {error.strerror}") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
