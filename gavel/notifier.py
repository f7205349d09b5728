"""What the notifier is made of, opened and closed in one place."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack

from commands.kafka_log import KafkaLog
from commands.notice_client import NoticeClient
from commands.send_notices import SendNotices
from gavel.process_clock import SystemClock, fresh_id
from gavel.settings import Settings
from gavel.telemetry import configure_logging
from gavel.wiring import read_side
from projections.notice_outbox import NoticeOutbox
from projections.servers import Servers


async def run_notifier(settings: Settings) -> None:
    """Sends notices until it is cancelled; then it waits a few seconds for those under way."""
    configure_logging(settings.log_level, process="notifier")
    stop = asyncio.Event()
    work = asyncio.create_task(_notify(settings, stop))
    try:
        await asyncio.shield(work)
    finally:
        stop.set()
        await work


async def _notify(settings: Settings, stop: asyncio.Event) -> None:
    addresses = read_side(settings)
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
        )
        await notices.run(stop)
