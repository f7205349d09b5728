"""Traffic that flows whatever happens: auctions, engagements, campaigns, notices, the catalogue and closed days."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from domain import catalogue, events
from domain.codec import encode
from domain.events import Event, ImpressionRecorded
from domain.names import Names
from gavel.process_clock import fresh_id
from tests.projections.budget_story import award, met, void
from tests.projections.notice_story import NoticeStory
from tests.projections.traffic import Traffic

PAUSE_S = 0.2
AUCTIONS = 6
"""Of one step of the stream."""
AGAIN_S = 0.5
CAMPAIGNS = ("c-chaos-1", "c-chaos-2", "c-chaos-3")
WINNER, LOSER = "https://winner.example", "https://loser.example"
PUBLISHERS, BIDDERS = ("p-1", "p-2"), ("b-1", "b-2", "b-3")
POISON = (b'{"type":"bid_placed","id":"half an eve', b'{"type":"never_heard_of","id":"x"}')


class Stream:
    """Writes until it is stopped. What Kafka does not acknowledge is written again, so some events stand there twice.

    Use it as an async context manager: the traffic flows inside.
    """

    def __init__(self, kafka_url: str, names: Names, seed: int, *, partitions: int) -> None:
        self._kafka_url = kafka_url
        self._names = names
        self._partitions = partitions
        self._chance = Random(seed)
        self._traffic = Traffic(seed, start=datetime.now(UTC) - timedelta(hours=4))
        self._versions: dict[str, int] = {}
        self._stop = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._producer: AIOKafkaProducer | None = None
        self._flow: asyncio.Task[None] | None = None
        self.written = 0
        """Events that were acknowledged."""

    async def __aenter__(self) -> Self:
        self._flow = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._flow is not None
        self._stop.set()
        await self._flow
        await self._close()

    async def poison(self, topic: str) -> None:
        """A record that no projection can take, under a key of its own."""
        payload = self._chance.choice(POISON)
        await self._written([(f"{self._names.namespace}.{topic}", payload, f"poison {fresh_id()}".encode(), None)])

    async def close_day(self) -> None:
        """Closes the day of two hours ago in the books: what still comes for it is booked on the day after."""
        at = datetime.now(UTC)
        day = (at - timedelta(hours=2)).date()
        closings = [
            events.LedgerDayClosed(
                id=fresh_id(), at=at, correlation_id=f"ledger {day}", causation_id="chaos", day=day,
                partition=partition, partitions=self._partitions,
            )
            for partition in range(self._partitions)
        ]  # fmt: skip
        await self._written(
            [(self._names.engagements, encode(each), each.correlation_id.encode(), each.partition) for each in closings]
        )

    # -- what flows -------------------------------------------------------------------------------

    async def _run(self) -> None:
        while not self._stop.is_set():
            stories = [self._traffic.auction() for _ in range(AUCTIONS)]
            await self._log(event for story in stories for event in story)
            await self._log(event for story in stories for event in self._traffic.engagements(story))
            await self._campaign()
            await self._noticed()
            await self._log(self._late(stories[0]))
            await self._log(self._catalogue())
            await asyncio.sleep(PAUSE_S)

    async def _campaign(self) -> None:
        """An award of a campaign: seen, seen twice, refunded, or not seen.

        In steps, because a void is logged by somebody who has read what it takes back.
        """
        fate = self._chance.random()
        won = award(self._chance.randint(1, 50_000_000), campaign=self._chance.choice(CAMPAIGNS))
        await self._log([won])
        if fate > 0.3:
            seen = met(ImpressionRecorded, won)
            await self._log([seen])
            await self._log([met(ImpressionRecorded, won)] * (fate > 0.8))
            await self._log([void(seen)] * 2 * (fate > 0.9))

    async def _noticed(self) -> None:
        story = NoticeStory(WINNER, LOSER)
        await self._log(story.auction)
        if self._chance.random() < 0.6:
            await self._log([story.impression(), story.impression()])

    def _late(self, story: Iterable[Event]) -> Iterator[Event]:
        """What the log tells of an auction when it is over."""
        for bid in story:
            if not isinstance(bid, events.BidPlaced) or self._chance.random() < 0.5:
                continue
            head = {name: getattr(bid, name) for name in ("at", "correlation_id", "auction_id", "bidder_id")}
            head |= {"id": fresh_id(), "causation_id": bid.id}
            yield events.BidderAnsweredLate(
                **head, latency_ms=self._chance.choice([4.5, 300.0, 1_200.0]), http_status=200
            )
            head |= {"id": fresh_id(), "imp_id": bid.imp_id, "bid_id": bid.bid_id, "kind": "win", "url": "https://w/x"}
            if self._chance.random() < 0.5:
                yield events.NoticeDelivered(**head, attempts=1, http_status=204)
            else:
                yield events.NoticeFailed(**head, attempts=9, reason="It never answered.")

    def _catalogue(self) -> Iterator[Event]:
        """Somebody changes something; some of them a version that somebody else has changed before."""
        entity = self._chance.choice(PUBLISHERS + BIDDERS)
        version = self._versions.get(entity, 0) + 1
        self._versions[entity] = version
        if self._chance.random() < 0.2:
            version = max(1, version - 1)
        head: dict[str, Any] = {"id": fresh_id(), "at": datetime.now(UTC), "causation_id": "chaos"}
        head |= {"correlation_id": entity, "aggregate_id": entity, "version": version}
        if version > 1 and self._chance.random() < 0.3:
            yield self._chance.choice((events.EntityPaused, events.EntityResumed))(**head)
        else:
            yield self._terms_of(entity, is_new=version == 1, head=head)

    def _terms_of(self, entity: str, *, is_new: bool, head: dict[str, Any]) -> Event:
        name = f"{entity} {secrets.token_hex(4)}"
        if entity in PUBLISHERS:
            publisher = catalogue.Publisher(name=name, domain="x.example", share_bps=7_000)
            return (events.PublisherRegistered if is_new else events.PublisherChanged)(**head, terms=publisher)
        bidder = catalogue.Bidder(name=name, endpoint="http://127.0.0.1:1/bid")
        return (events.BidderRegistered if is_new else events.BidderChanged)(**head, terms=bidder)

    # -- the log ----------------------------------------------------------------------------------

    async def _log(self, logged: Iterable[Event]) -> None:
        await self._written([(self._topic(each), encode(each), each.correlation_id.encode(), None) for each in logged])

    async def _written(self, records: list[tuple[str, bytes, bytes, int | None]]) -> None:
        """Returns when Kafka has acknowledged all of them, whatever that takes."""
        while records:
            try:
                producer = await self._connected()
                sent = [await producer.send(topic, value, key, partition) for topic, value, key, partition in records]
                await asyncio.gather(*sent)
            except (KafkaError, OSError, TimeoutError):
                await self._close()
                await asyncio.sleep(AGAIN_S)
            else:
                self.written += len(records)
                return

    async def _connected(self) -> AIOKafkaProducer:
        async with self._one_at_a_time:
            return self._producer or await self._connect()

    async def _connect(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka_url, acks="all", enable_idempotence=True, compression_type="lz4", linger_ms=5
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer
        return producer

    async def _close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    def _topic(self, event: Event) -> str:
        if isinstance(event, events.CatalogueEvent):
            return self._names.catalogue
        engaged = events.Engagement | events.EngagementVoided | events.Notice
        return self._names.engagements if isinstance(event, engaged) else self._names.auctions
