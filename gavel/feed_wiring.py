"""What an API process is made of as far as feeds go: uploads, the decision of runs, look-ups."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypedDict

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from api.feed_backlog import FeedBacklog
from api.feed_turn import FeedTurn
from api.upload_slots import UploadSlots
from commands.catalogue_head import CatalogueHead
from commands.feeds.change_feed import ChangeFeed
from commands.feeds.change_writer import ChangeParts
from commands.feeds.decide_run import DecideRun
from commands.feeds.feed_senders import FeedSenders
from commands.feeds.load_feed import LoadFeed
from commands.feeds.redis_runs import RedisRuns
from commands.feeds.redis_sources import RedisSources
from commands.feeds.sweep_runs import SweepRuns
from commands.kafka_log import KafkaLog
from commands.ports import Ids
from domain.feeds.sealing import DataKey
from domain.names import Names
from gavel.feed_keys import FeedKeysInForce
from gavel.process_clock import SystemClock, fresh_id
from projections.queries.feed_completeness import FeedCompleteness
from projections.queries.feed_records import FeedRecords
from projections.queries.freshness import Whereabouts
from projections.watermarks import Watermarks


class FeedParts(NamedTuple):
    """Connected by whoever connects what they are made of."""

    load: LoadFeed
    change: ChangeFeed
    senders: FeedSenders
    runs: RedisRuns
    records: FeedRecords
    completeness: FeedCompleteness
    backlog: FeedBacklog
    upload_slots: UploadSlots
    sweep: SweepRuns


class FeedServices(TypedDict):
    """What `ApiServices` has of them."""

    load_feed: LoadFeed
    change_feed: ChangeFeed
    feed_senders: FeedSenders
    feed_runs: RedisRuns
    feed_records: FeedRecords
    feed_completeness: FeedCompleteness
    feed_data_key: Callable[[str, str], DataKey | None]
    feed_backlog: FeedBacklog
    upload_slots: UploadSlots
    sweep_runs: SweepRuns
    fresh_id: Ids


def feed_parts(
    *,
    log: KafkaLog,
    head: CatalogueHead,
    redis: Redis,
    database: AsyncEngine,
    watermarks: Watermarks,
    keys: FeedKeysInForce,
    names: Names,
    clock: SystemClock,
) -> FeedParts:
    """Of one process."""
    runs = RedisRuns(redis, names)
    senders = FeedSenders(redis, head, names)
    records = FeedRecords(redis, names)
    backlog = FeedBacklog(Whereabouts(database, redis, names), watermarks)
    decide = DecideRun(
        log=log,
        names=names,
        runs=runs,
        terms_of=senders.terms,
        records_before=records.count,
        clock=clock,
        ids=fresh_id,
    )
    return FeedParts(
        load=LoadFeed(
            log=log,
            names=names,
            runs=runs,
            turn=FeedTurn(backlog, runs),
            sealing=keys.sealing,
            first_key=keys.first,
            clock=clock,
            ids=fresh_id,
        ),
        change=ChangeFeed(
            ChangeParts(log, names, keys.sealing, keys.first, clock, fresh_id), RedisSources(redis, names)
        ),
        senders=senders,
        runs=runs,
        records=records,
        completeness=FeedCompleteness(database, redis, names),
        backlog=backlog,
        upload_slots=UploadSlots(),
        sweep=SweepRuns(runs=runs, decide=decide, reach=backlog.reach, clock=clock),
    )
