"""An exchange for tests: everything that an auction needs, around real servers."""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from commands.bidder_client import KeepAliveBidderClient
from commands.budgets import RedisBudgets
from commands.catalogue_view import CatalogueView
from commands.hold_auction import AuctionResult, HoldAuction
from commands.late_answers import LateAnswers
from commands.ports import RefusingLog
from commands.quota import Quota
from commands.ranking import RedisRanking
from commands.redis_pipeline import RedisPipeline
from commands.viewer_segments import ViewerSegments
from domain.feed_events import FeedRecordAdded
from domain.feeds.sealing import CHANGES, DATA_KEY_BYTES, NONCE_BYTES, DataKey, seal
from domain.money import amount_text
from domain.names import Names
from domain.terms.feed_client import feed_client_id
from domain.tokens import TokenKey
from gavel.process_clock import SystemClock, fresh_id
from projections.feed_look_up import LOOK_UP
from projections.feed_value import packed, unpacked
from tests.commands.auction_scenario import Scenario
from tests.commands.hostile_bidder import HostileBidder
from tests.commands.scenario_budgets import put_budgets
from tests.commands.scenario_catalogue import entities_of, entity_of

SHARE_BPS = 8_000
BASE_URL = "http://gavel.test"
STAMP_BYTES: Final = 8
SEGMENTS_SECONDS = 1.0
"""So that a busy machine does not decide who is in a segment."""
TOKEN_KEY = TokenKey.of(b"k" * 32)


class Exchange:
    """One exchange around the bidders of a scenario."""

    def __init__(self, log: RefusingLog, topics: Names, redis: Redis, *, hot_redis: Redis | None = None) -> None:
        """The catalogue comes from `redis`; ranking and quotas use `hot_redis`, where that is another one."""
        self.names = Names(f"t{fresh_id()[-12:]}")
        self._redis = redis
        self._catalogue = CatalogueView(redis, self.names)
        pipeline = RedisPipeline(hot_redis or redis, timeout_s=1.0)
        self.budgets = RedisBudgets(pipeline, self.names)
        self._feed_key = DataKey("key-1", b"f" * DATA_KEY_BYTES)
        self._segments = ViewerSegments(
            pipeline,
            self.names,
            look_up=LOOK_UP,
            unpacked=unpacked,
            opening=lambda _, key_id: self._feed_key if key_id == self._feed_key.id else None,
            clock=SystemClock(),
            seconds=SEGMENTS_SECONDS,
        )
        self._client = KeepAliveBidderClient(allow_private=True)
        self.late_answers_logged = 0
        self._late_answers = LateAnswers(
            log=log, topic=topics.auctions, clock=SystemClock(), ids=fresh_id, logged=self._late_answer_logged
        )
        self._hold = HoldAuction(
            log=log,
            names=topics,
            ranking=RedisRanking(pipeline, self.names),
            catalogue=self._catalogue,
            bidder_client=self._client,
            quota=Quota(pipeline, self.names, is_unlimited=lambda _: False, address_key=lambda: b"a key"),
            late_answers=self._late_answers,
            clock=SystemClock(),
            ids=fresh_id,
            base_url=BASE_URL,
            token_key=lambda: TOKEN_KEY,
            pseudonym_key=lambda: b"p" * 32,
            publisher_share_bps=SHARE_BPS,
            budgets=self.budgets,
            segments=self._segments,
        )
        self.bidder_names: dict[str, str] = {}
        """By id; those that take part in auctions."""
        self._campaigns: list[str] = []
        self._feeds: list[str] = []
        """Keys in Redis."""

    async def register(self, scenario: Scenario, bidders: dict[str, HostileBidder]) -> None:
        ids = {name: fresh_id() for name in scenario.bidders}
        entities = [
            entity_of("bidder", ids[name], {"name": name, "endpoint": bidders[name].url, **bidder.terms})
            for name, bidder in scenario.bidders.items()
        ]
        self.bidder_names = {each.id: name for each, name in zip(entities, ids, strict=True) if each.status == "active"}
        if scenario.catalogue.campaigns:
            self.bidder_names["direct"] = "direct"
            self._campaigns = list(scenario.catalogue.campaigns)
            await put_budgets(self._redis, self.names, scenario.budgets)
            await self.budgets.start()
        entities += entities_of(scenario.catalogue, ids)
        await self._put_feeds(scenario.feeds)
        for each in entities:
            field = f"{each.kind}:{each.id}"
            await self._redis.hset(self.names.catalogue_entities, field, msgspec.json.encode(each).decode())
        await self._catalogue.start()

    async def _put_feeds(self, feeds: dict[str, dict[str, Any]]) -> None:
        """Records that changes have put, by client and key."""
        for client, records in feeds.items():
            client_id = feed_client_id(client)
            _, _, changed, *_ = keys = self.names.feed_keys(client_id)
            self._feeds += keys
            for key, value in records.items():
                sealed = seal(
                    msgspec.json.encode(value),
                    data_key=self._feed_key.secret,
                    nonce=bytes(NONCE_BYTES),
                    client=client_id,
                    topic=CHANGES,
                    key=key,
                )
                event = FeedRecordAdded(
                    id="",
                    at=SystemClock().now(),
                    correlation_id="",
                    causation_id="",
                    client=client_id,
                    key=key,
                    key_id=self._feed_key.id,
                    ciphertext=sealed,
                )
                await self._redis.hset(changed, key, bytes(STAMP_BYTES) + packed(event))

    async def reserved(self) -> dict[str, str]:
        """By campaign that the scenario has, the sum in its currency; nothing where that is not known."""
        if not self.budgets.are_known:
            return {}
        return {each: amount_text((await self.budgets.state_of(each)).reserved_nanos) for each in self._campaigns}

    async def hold(self, body: bytes, *, received_ago_seconds: float = 0) -> AuctionResult:
        return await self._hold(body, received_at_monotonic=time.monotonic() - received_ago_seconds)

    def _late_answer_logged(self) -> None:
        self.late_answers_logged += 1

    async def close(self) -> None:
        await self._late_answers.close()
        await self._catalogue.close()
        await self._client.close()
        await self.budgets.close()
        await self._redis.delete(self.names.catalogue_entities, *self.names.budget_keys, *self._feeds)
