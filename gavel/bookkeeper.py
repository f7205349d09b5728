"""The commands on the books for one-shot use: opened, used, closed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from commands.close_ledger_day import CloseLedgerDay
from commands.kafka_log import KafkaLog
from commands.once import Once
from commands.void_engagement import VoidEngagement
from domain.names import Names
from gavel.process_clock import SystemClock, fresh_id
from gavel.read_side import require
from gavel.settings import Settings
from gavel.wiring import REDIS_CALM_SECONDS, redis_calls
from projections.logged_engagements import LoggedEngagements


class Bookkeeper(NamedTuple):
    """What changes the books."""

    close_day: CloseLedgerDay
    void_engagement: VoidEngagement


@asynccontextmanager
async def bookkeeper(settings: Settings) -> AsyncIterator[Bookkeeper]:
    """Connected to the log and to Redis. Raises InvalidInput where they are not named."""
    kafka_url, redis_url = require(settings, "kafka_url", "redis_url")
    names, clock = Names(settings.namespace), SystemClock()
    async with AsyncExitStack() as stack:
        log = KafkaLog(kafka_url, [names.engagements], client_id="gavel-ledger")
        await log.start()
        stack.push_async_callback(log.close)
        pipeline = redis_calls(redis_url, timeout_s=REDIS_CALM_SECONDS)
        stack.push_async_callback(pipeline.close)
        once = Once(pipeline, names, fresh_id)
        stack.push_async_callback(once.close)
        yield Bookkeeper(
            CloseLedgerDay(log=log, names=names, clock=clock, ids=fresh_id),
            VoidEngagement(log=log, history=LoggedEngagements(kafka_url, names), once=once, names=names, clock=clock),
        )
