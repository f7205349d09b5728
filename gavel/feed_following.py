"""A connector that is followed from the command line, beside an API that runs or without one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from api.feed_backlog import FeedBacklog
from api.problems import ProblemRaised
from commands.feeds.change_writer import ChangeParts
from commands.feeds.connector_topic import Followed, connector_topic
from commands.feeds.feed_senders import FeedSenders
from commands.feeds.follow_connector import FollowConnector, Told
from commands.feeds.intake import Sender
from commands.feeds.redis_sources import RedisSources
from domain.errors import LogUnavailable, Overloaded, Unavailable
from domain.feeds.debezium import Columns
from domain.names import Names
from domain.terms.feed_client import feed_client_id
from gavel.catalogue_desk import catalogue_desk
from gavel.feed_keys import FeedKeyFile, FeedKeysInForce
from gavel.process_clock import SystemClock, fresh_id
from gavel.read_side import database_engine, require
from gavel.settings import Settings
from gavel.wiring import NO_RETRY, REDIS_CALM_SECONDS
from projections.queries.freshness import Whereabouts
from projections.redis_client import redis_client
from projections.watermarks import Watermarks

CLIENT_ID = "gavel-feeds-follow"
TRY_AGAIN_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Connector(msgspec.Struct, frozen=True, kw_only=True):
    """What to follow, and for whom."""

    topic: str
    client: str
    """The feed client's name."""
    bootstrap: str | None
    """Kafka of the connector; None: the exchange's own."""
    group: str | None
    """None: one for this client and topic."""
    columns: Columns
    until_caught_up: bool


async def follow_connector(settings: Settings, connector: Connector, told: Callable[[Told], None]) -> None:
    """For ever, or until it has caught up. Servers that are away are waited for.

    Raises NotFound, Conflict, InvalidInput, CannotRun.
    """
    kafka_url, postgres_url, redis_url = require(settings, "kafka_url", "postgres_url", "redis_url")
    names, client = Names(settings.namespace), feed_client_id(connector.client)
    group = connector.group or f"{names.namespace}.feeds.follow.{client}.{connector.topic}"
    followed = Followed(connector.bootstrap or kafka_url, connector.topic, group)
    keys = FeedKeysInForce(FeedKeyFile.of(settings))
    database = database_engine(postgres_url)
    redis = redis_client(redis_url, socket_timeout=REDIS_CALM_SECONDS, retry=NO_RETRY)
    following = asyncio.create_task(keys.follow())
    try:
        async with (
            catalogue_desk(settings, client_id=CLIENT_ID) as desk,
            Watermarks(kafka_url, client_id=CLIENT_ID) as ends,
        ):
            senders = FeedSenders(redis, desk.head, names)
            backlog = FeedBacklog(Whereabouts(database, redis, names), ends)
            sources = RedisSources(redis, names)

            async def was_met(source: str) -> bool:
                return await sources.find(client, source) is not None

            async def may_go_on() -> Sender:
                while True:
                    try:
                        await backlog.check("changes", client)
                        await backlog.check_room()
                        return await senders.sender(connector.client)
                    except ProblemRaised as held_up:
                        log.warning("The connector waits.", reason=str(held_up))
                        await asyncio.sleep(TRY_AGAIN_SECONDS)

            parts = ChangeParts(desk.log, names, keys.sealing, keys.first, SystemClock(), fresh_id)
            follow = FollowConnector(parts, may_go_on=may_go_on, told=told)
            while True:
                try:
                    async with connector_topic(followed, was_met, client_id=CLIENT_ID) as topic:
                        return await follow(topic, connector.columns, until_caught_up=connector.until_caught_up)
                except (LogUnavailable, Overloaded, Unavailable) as error:
                    log.warning("A server is away; it goes on where it was.", reason=str(error))
                    await asyncio.sleep(TRY_AGAIN_SECONDS)
    finally:
        following.cancel()
        await redis.aclose()
        await database.dispose()
