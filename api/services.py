"""What the routes need, filled by the composition root.

The objects may still be unconnected when the application is made: the lifespan opens and closes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from litestar.di import NamedDependency
from litestar.params import SkipValidation

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from sqlalchemy.ext.asyncio import AsyncEngine

    from api.client_address import ClientAddresses
    from api.feed_backlog import FeedBacklog
    from api.live.feed import LiveFeed
    from api.metrics import Metrics
    from api.shared_progress import SharedProgress
    from api.upload_slots import UploadSlots
    from commands.access_keys import AccessKeys
    from commands.auction_rates import AuctionRates
    from commands.budgets import RedisBudgets
    from commands.change_catalogue import ChangeCatalogue
    from commands.close_ledger_day import CloseLedgerDay
    from commands.feeds.change_feed import ChangeFeed
    from commands.feeds.feed_senders import FeedSenders
    from commands.feeds.load_feed import LoadFeed
    from commands.feeds.redis_runs import RedisRuns
    from commands.feeds.sweep_runs import SweepRuns
    from commands.hold_auction import HoldAuction
    from commands.kafka_log import KafkaLog
    from commands.once import Once
    from commands.ports import Ids
    from commands.record_engagement import RecordEngagement
    from commands.show_ad import ShowAd
    from commands.spool import SpooledLog
    from commands.void_engagement import VoidEngagement
    from domain.feeds.sealing import DataKey
    from domain.names import Names
    from projections.dead_letters import DeadLetters
    from projections.orders import Orders
    from projections.queries.feed_completeness import FeedCompleteness
    from projections.queries.feed_records import FeedRecords
    from projections.watermarks import Watermarks


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiServices:
    """One API process's command objects, read models and settings."""

    hold_auction: HoldAuction
    auction_rates: AuctionRates
    show_ad: ShowAd
    record_engagement: RecordEngagement
    change_catalogue: ChangeCatalogue
    void_engagement: VoidEngagement
    close_ledger_day: CloseLedgerDay
    load_feed: LoadFeed
    change_feed: ChangeFeed
    feed_senders: FeedSenders
    feed_runs: RedisRuns
    feed_records: FeedRecords
    """Sealed, as they stand in Redis."""
    feed_completeness: FeedCompleteness
    feed_data_key: Callable[[str, str], DataKey | None]
    """That of a client's id and a key's id, which opens its records; None where it is destroyed."""
    feed_backlog: FeedBacklog
    upload_slots: UploadSlots
    sweep_runs: SweepRuns
    fresh_id: Ids
    budgets: RedisBudgets
    """For its figures only: auctions and clicks hold it to reserve."""
    once: Once
    database: AsyncEngine
    """The read models."""
    redis: Redis
    watermarks: Watermarks
    progress: SharedProgress
    """Of the projections."""
    orders: Orders
    """Of the operator, about projections."""
    dead_letters: DeadLetters
    names: Names
    live: LiveFeed
    log: KafkaLog
    spool: SpooledLog
    """Both for their health only: commands hold them to write."""
    metrics: Metrics
    client_addresses: ClientAddresses
    admin_key: str = field(repr=False)
    access_keys: AccessKeys
    """Those of the catalogue, as it is known by now."""
    base_url: str
    """What clients reach this exchange at, without a slash at the end."""


Services = NamedDependency[SkipValidation[ApiServices]]
"""How a handler asks for them."""
