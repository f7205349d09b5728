"""The composition root: what is made of what, opened and closed in one place."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from typing import Final

from litestar import Litestar
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from api.client_address import ClientAddresses
from api.live.feed import LiveFeed
from api.metrics import Metrics
from api.services import ApiServices
from api.shared_progress import SharedProgress
from commands.auction_rates import AuctionRates
from commands.bidder_client import KeepAliveBidderClient
from commands.budgets import RedisBudgets
from commands.catalogue_head import CatalogueHead
from commands.catalogue_view import CatalogueView
from commands.change_catalogue import ChangeCatalogue
from commands.charge_click import ChargeClick
from commands.close_ledger_day import CloseLedgerDay
from commands.engagement_rates import EngagementRates
from commands.hold_auction import HoldAuction
from commands.kafka_log import KafkaLog
from commands.late_answers import LateAnswers
from commands.once import Once
from commands.quota import Quota
from commands.ranking import RedisRanking
from commands.record_engagement import RecordEngagement
from commands.redis_cluster import RedisClusterPipelines
from commands.redis_pipeline import RedisCalls, RedisPipeline
from commands.seen import SeenInRedis
from commands.show_ad import ShowAd
from commands.spool import SpooledLog
from commands.viewer_segments import ViewerSegments
from commands.void_engagement import VoidEngagement
from domain.errors import Fault, InvalidInput
from domain.market import Market
from domain.names import Names
from domain.redis_url import parse_redis_url
from domain.terms.kinds import all_forms
from domain.tokens import SECRET_MAX_BYTES, SECRET_MIN_BYTES
from gavel.feed_keys import FeedKeyFile, FeedKeysInForce
from gavel.feed_wiring import FeedParts, FeedServices, feed_parts
from gavel.process_clock import SystemClock, fresh_id
from gavel.pseudonym_keys import KeyInForce, PseudonymKeyFile
from gavel.read_side import database_engine, read_side, require
from gavel.settings import Settings, variable
from gavel.telemetry import configure_logging
from gavel.token_keys import TokenKeyFile, TokenKeysInForce
from gavel.traffic_list_files import TrafficListFiles
from projections.collector import calm_the_collector
from projections.dead_letters import DeadLetters
from projections.ending import ended
from projections.feed_look_up import LOOK_UP
from projections.feed_value import unpacked
from projections.log_times import LogTimes
from projections.logged_engagements import LoggedEngagements
from projections.orders import Orders
from projections.partition_growth import growth_told
from projections.queries.progress import projection_status
from projections.redis_client import redis_client
from projections.registry import RUNNABLE
from projections.run import run_projectors as run_named_projectors
from projections.watermarks import Watermarks

REDIS_HOT_SECONDS: Final = 0.25
"""An auction waits no longer for a ranking. Much shorter, and a busy machine looks like an outage."""
REDIS_CALM_SECONDS: Final = 5.0
KAFKA_CALM_SECONDS: Final = 2.0
"""Who asks how far projections are learns all else where Kafka hangs, within the time of a scrape."""
NO_RETRY: Final = Retry(NoBackoff(), 0)


class ApiProcess:
    """Everything that one API process is made of: made at once, connected by `opened`."""

    def __init__(self, settings: Settings, *, multiprocess_metrics: str | None) -> None:
        required = require(settings, "kafka_url", "postgres_url", "redis_url", "admin_key")
        kafka_url, postgres_url, redis_url, admin_key = required
        names = Names(settings.namespace)
        clock = SystemClock()
        addresses = ClientAddresses(settings.trusted_proxies)
        self._calm_redis = redis_client(redis_url, socket_timeout=REDIS_CALM_SECONDS, retry=NO_RETRY)
        self._pipeline = redis_calls(redis_url, timeout_s=REDIS_HOT_SECONDS)
        self._bidders = KeepAliveBidderClient(allow_private=settings.allow_private_endpoints)
        self._catalogue = CatalogueView(self._calm_redis, names)
        self._budgets = RedisBudgets(self._pipeline, names)
        self._log = KafkaLog(
            kafka_url, names.topics, client_id="gavel-api", refusal_of=partial(growth_told, postgres_url)
        )
        self._spool = SpooledLog(self._log, settings.data / "spool")
        self._database = database_engine(postgres_url)
        self._watermarks = Watermarks(kafka_url, client_id="gavel-api-watermarks")
        self._log_times = LogTimes(kafka_url, client_id="gavel-api-times")
        self._progress = self._shared_progress(names)
        self._head = CatalogueHead(kafka_url, names.catalogue, client_id="gavel-api-catalogue")
        self._once = Once(self._pipeline, names, fresh_id)
        self._token_keys = _token_keys(settings, clock)
        self._pseudonym_key = _pseudonym_key(settings)
        self._feed_keys = FeedKeysInForce(FeedKeyFile.of(settings))
        self._traffic_lists = TrafficListFiles(settings)
        quota = Quota(
            self._pipeline,
            names,
            is_unlimited=addresses.is_trusted,
            processes=settings.workers,
            address_key=self._pseudonym_key,
        )
        metrics = Metrics(multiprocess_metrics)
        self._late_answers = LateAnswers(
            log=self._log, topic=names.auctions, clock=clock, ids=fresh_id, logged=metrics.late_answer
        )
        hold_auction = self._hold_auction(settings, names, clock, quota)
        self._feeds = self._feed_parts(names, clock)
        self.services = ApiServices(
            hold_auction=hold_auction,
            auction_rates=AuctionRates(settings.auctions_per_address_minute, is_unlimited=addresses.is_trusted),
            show_ad=self._show_ad(settings, hold_auction, quota, clock),
            record_engagement=self._record_engagement(names, clock, addresses, metrics),
            change_catalogue=self._change_catalogue(settings, names, clock),
            void_engagement=self._void_engagement(kafka_url, names, clock),
            close_ledger_day=CloseLedgerDay(log=self._log, names=names, clock=clock, ids=fresh_id),
            **self._feed_services(),
            budgets=self._budgets,
            once=self._once,
            database=self._database,
            redis=self._calm_redis,
            watermarks=self._watermarks,
            progress=self._progress,
            orders=Orders(read_side(settings)),
            dead_letters=DeadLetters(read_side(settings)),
            names=names,
            live=LiveFeed(self._calm_redis, names.live_channel),
            log=self._log,
            spool=self._spool,
            metrics=metrics,
            client_addresses=addresses,
            admin_key=admin_key,
            access_keys=self._catalogue.access_keys,
            base_url=settings.base_url,
        )

    def _void_engagement(self, kafka_url: str, names: Names, clock: SystemClock) -> VoidEngagement:
        return VoidEngagement(
            log=self._log, history=LoggedEngagements(kafka_url, names), once=self._once, names=names, clock=clock
        )

    def _feed_parts(self, names: Names, clock: SystemClock) -> FeedParts:
        return feed_parts(
            log=self._log,
            head=self._head,
            redis=self._calm_redis,
            database=self._database,
            watermarks=self._watermarks,
            keys=self._feed_keys,
            names=names,
            clock=clock,
        )

    def _feed_services(self) -> FeedServices:
        return FeedServices(
            load_feed=self._feeds.load,
            change_feed=self._feeds.change,
            feed_senders=self._feeds.senders,
            feed_runs=self._feeds.runs,
            feed_records=self._feeds.records,
            feed_completeness=self._feeds.completeness,
            feed_data_key=self._feed_keys.opening,
            feed_backlog=self._feeds.backlog,
            upload_slots=self._feeds.upload_slots,
            sweep_runs=self._feeds.sweep,
            fresh_id=fresh_id,
        )

    def _shared_progress(self, names: Names) -> SharedProgress:
        look = partial(
            projection_status,
            self._database,
            self._watermarks,
            names=names,
            redis=self._calm_redis,
            log_times=self._log_times,
            kafka_answers_s=KAFKA_CALM_SECONDS,
        )
        return SharedProgress(look)

    def _change_catalogue(self, settings: Settings, names: Names, clock: SystemClock) -> ChangeCatalogue:
        return ChangeCatalogue(
            log=self._log,
            head=self._head,
            names=names,
            forms=all_forms(allow_private=settings.allow_private_endpoints),
            spent_of=self._budgets.committed_nanos_of,
            clock=clock,
            ids=fresh_id,
        )

    def _hold_auction(self, settings: Settings, names: Names, clock: SystemClock, quota: Quota) -> HoldAuction:
        return HoldAuction(
            log=self._log,
            names=names,
            ranking=RedisRanking(self._pipeline, names),
            catalogue=self._catalogue,
            bidder_client=self._bidders,
            quota=quota,
            late_answers=self._late_answers,
            clock=clock,
            ids=fresh_id,
            base_url=settings.base_url,
            token_key=self._token_keys,
            pseudonym_key=self._pseudonym_key,
            publisher_share_bps=settings.publisher_share_bps,
            is_robot=lambda user_agent: self._traffic_lists().is_robot(user_agent),
            budgets=self._budgets,
            segments=ViewerSegments(
                self._pipeline,
                names,
                look_up=LOOK_UP,
                unpacked=unpacked,
                opening=self._feed_keys.opening,
                clock=clock,
            ),
        )

    def _record_engagement(
        self, names: Names, clock: SystemClock, addresses: ClientAddresses, metrics: Metrics
    ) -> RecordEngagement:
        return RecordEngagement(
            log=self._spool,
            names=names,
            seen=SeenInRedis(self._pipeline, names),
            rates=EngagementRates(
                self._pipeline, names, is_unlimited=addresses.is_trusted, address_key=self._pseudonym_key
            ),
            lists=self._traffic_lists,
            charge_click=ChargeClick(self._budgets, self._catalogue.campaign),
            not_charged=metrics.click_not_charged,
            clock=clock,
            ids=fresh_id,
            keys=self._token_keys,
        )

    def _show_ad(self, settings: Settings, hold_auction: HoldAuction, quota: Quota, clock: SystemClock) -> ShowAd:
        return ShowAd(
            hold_auction=hold_auction,
            catalogue=self._catalogue,
            quota=quota,
            clock=clock,
            ids=fresh_id,
            base_url=settings.base_url,
        )

    @asynccontextmanager
    async def opened(self, _app: Litestar) -> AsyncIterator[None]:
        """Connected to the servers, or trying to be; closed in the reverse order."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._calm_redis.aclose)
            stack.push_async_callback(self._database.dispose)
            stack.push_async_callback(self._watermarks.close)
            stack.push_async_callback(self._log_times.close)
            stack.push_async_callback(self._progress.close)
            stack.push_async_callback(self._bidders.close)
            await self._log.start()
            stack.push_async_callback(self._log.close)
            stack.push_async_callback(self._late_answers.close)
            await self._spool.start()
            stack.push_async_callback(self._spool.close)
            await self._catalogue.start()
            stack.push_async_callback(self._catalogue.close)
            stack.push_async_callback(self._pipeline.close)
            await self._budgets.start()
            stack.push_async_callback(self._budgets.close)
            stack.push_async_callback(self._head.close)
            stack.push_async_callback(self._once.close)
            for file in (self._pseudonym_key, self._token_keys, self._feed_keys, self._traffic_lists):
                stack.push_async_callback(ended, asyncio.create_task(file.follow()))
            stack.push_async_callback(ended, asyncio.create_task(self._feeds.sweep.run(), name="runs of feeds"))
            _spare_the_collector()
            yield


async def run_projectors(settings: Settings, projections: Sequence[str]) -> None:
    """Runs these projections, or all, until it is cancelled. Raises NotFound for an unknown name."""
    configure_logging(settings.log_level, process="projector")
    calm_the_collector()
    stop = asyncio.Event()
    work = asyncio.create_task(run_named_projectors(read_side(settings), projections or RUNNABLE, stop))
    try:
        await asyncio.shield(work)
    finally:
        stop.set()
        await work


def _spare_the_collector() -> None:
    """What start-up made lives as long as the process: the collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


async def registered_market(settings: Settings) -> Market:
    """What auctions trade on now; nothing where no installation runs, or its cache does not answer."""
    if settings.redis_url is None:
        return Market()
    redis = redis_client(
        settings.redis_url,
        socket_connect_timeout=REDIS_CALM_SECONDS,
        socket_timeout=REDIS_CALM_SECONDS,
        retry=NO_RETRY,
    )
    async with aclosing(redis):
        catalogue = CatalogueView(redis, Names(settings.namespace))
        await catalogue.start()
        await catalogue.close()
        return catalogue.market


def redis_calls(redis_url: str, *, timeout_s: float) -> RedisCalls:
    """What commands ask of Redis or of a cluster. Raises InvalidInput for a malformed address."""

    def connect(address: str) -> Redis:
        # The pipelines bound their round trips themselves.
        return Redis.from_url(address, socket_timeout=None, retry=NO_RETRY)

    url = parse_redis_url(redis_url)
    if url.is_cluster:
        return RedisClusterPipelines(url, connect, timeout_s=timeout_s)
    return RedisPipeline(connect(redis_url), timeout_s=timeout_s)


def _pseudonym_key(settings: Settings) -> KeyInForce:
    if settings.pseudonym_key is not None:
        return KeyInForce(secret(settings, "pseudonym_key"))
    return KeyInForce.of(PseudonymKeyFile.of(settings))


def _token_keys(settings: Settings, clock: SystemClock) -> TokenKeysInForce:
    if settings.token_key is not None:
        return TokenKeysInForce.fixed(secret(settings, "token_key"))
    return TokenKeysInForce.of(TokenKeyFile.of(settings), clock)


def secret(settings: Settings, name: str) -> bytes:
    """A setting in hex as bytes. Raises InvalidInput when it is missing, too short or not hex."""
    [text] = require(settings, name)
    try:
        value = bytes.fromhex(text)
    except ValueError:
        raise InvalidInput([Fault(variable(name), "is not hexadecimal")]) from None
    if not SECRET_MIN_BYTES <= len(value) <= SECRET_MAX_BYTES:
        raise InvalidInput([Fault(variable(name), f"is not {SECRET_MIN_BYTES} to {SECRET_MAX_BYTES} bytes in hex")])
    return value
