"""Seeded traffic for the tests: whole auctions as events, and a producer that puts them into the log."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.consumer import AIOKafkaConsumer

from domain import catalogue, events
from domain.codec import encode
from domain.event_parts import DirectDemand, ImpOffered, Inventory, Verdict
from domain.events import Event
from domain.names import Names

START = datetime(2026, 11, 20, 22, 30, tzinfo=UTC)
"""So that an hour of traffic crosses two hours, and three hours cross midnight."""
BIDDERS = ("b-fast", "b-dear", "b-slow", "direct")
SIZES = ((300, 250), (728, 90), (None, None))
CAMPAIGNS = (
    DirectDemand(advertiser_id="adv-1", campaign_id="c-shown", ad_id="ad-1"),
    DirectDemand(advertiser_id="adv-1", campaign_id="c-clicked", ad_id="ad-2", charged_on="click"),
)
PEOPLE = 500
VERDICTS: tuple[Verdict, ...] = ("valid", "valid", "valid", "duplicate", "expired", "bot", "rate_limited")


class Traffic:
    """Makes auctions; the same seed makes the same ones."""

    def __init__(self, seed: int, *, start: datetime = START, minutes: int = 180) -> None:
        self._random = random.Random(seed)
        self._start = start
        self._minutes = minutes

    def id_at(self, at: datetime) -> str:
        """A UUIDv7 of that millisecond."""
        milliseconds = int(at.timestamp() * 1000)
        tail = self._random.getrandbits(74)
        value = milliseconds << 80 | 7 << 76 | (tail >> 62) << 64 | 2 << 62 | tail & (2**62 - 1)
        return str(UUID(int=value))

    def auction(self, **fixed: Any) -> list[Event]:
        """All events of one auction on the topic of auctions, in order."""
        at = self._start + timedelta(seconds=self._random.uniform(0, 60 * self._minutes))
        auction_id = self.id_at(at)
        common = {
            "correlation_id": auction_id,
            "causation_id": auction_id,
            "auction_id": auction_id,
            "test": self._random.random() < 0.05,
        } | fixed
        currency = self._random.choice(["USD", "USD", "EUR"])
        imps = tuple(
            ImpOffered(imp_id=str(number), floor_micros=100_000, inventory=self._inventory(), media_types=("banner",))
            for number in range(1, self._random.choice([1, 1, 1, 3]) + 1)
        )
        made: list[Event] = [
            events.BidRequested(
                id=self.id_at(at),
                at=at,
                **common,
                request_id=f"request {auction_id}",
                auction_type=2,
                currency=currency,
                tmax_ms=250,
                imps=imps,
                request=msgspec.Raw(b'{"id":"%b","ext":{"unknown":[1,2.50,"\\u00e4"]}}' % auction_id.encode()),
            )
        ]
        for imp in imps:
            made += self._imp(imp, at + timedelta(milliseconds=80), currency, common)
        return made

    def engagements(self, auction: Iterable[Event]) -> Iterator[Event]:
        """Impressions and clicks on what the auction sold: some twice, some void, some of them logged twice."""
        for award in auction:
            if not isinstance(award, events.AuctionAwarded) or self._random.random() < 0.2:
                continue
            kinds: list[type[events.Engagement]] = [events.ImpressionRecorded]
            kinds += [events.ImpressionRecorded] * (self._random.random() < 0.3)
            kinds += [events.ClickRecorded] * self._random.choice([0, 0, 1, 2])
            for kind in kinds:
                engagement = self.engagement(kind, award, self._random.choice(VERDICTS))
                yield engagement
                if self._random.random() < 0.1:
                    yield engagement
                if self._random.random() < 0.1:
                    yield from [self.void(engagement)] * self._random.choice([1, 2])

    def void(self, engagement: events.Engagement) -> events.EngagementVoided:
        """Takes the engagement back, whether it counted or not."""
        assert isinstance(engagement, events.ImpressionRecorded | events.ClickRecorded)
        at = engagement.at + timedelta(hours=2)
        return events.EngagementVoided(
            id=self.id_at(at),
            at=at,
            correlation_id=engagement.auction_id,
            causation_id="command",
            auction_id=engagement.auction_id,
            imp_id=engagement.imp_id,
            engagement_id=engagement.id,
            kind="click" if isinstance(engagement, events.ClickRecorded) else "impression",
            reason="The site was not what it said.",
            engagement=engagement,
        )

    def engagement(
        self, kind: type[events.Engagement], award: events.AuctionAwarded, verdict: Verdict
    ) -> events.Engagement:
        at = award.at + timedelta(seconds=self._random.uniform(1, 3_000))
        direct = award.direct
        # A click is dearer than one of a thousand impressions.
        times = 1_000 if direct and direct.charged_on == "click" else 1
        return kind(
            id=self.id_at(at),
            at=at,
            correlation_id=award.auction_id,
            causation_id=award.id,
            auction_id=award.auction_id,
            imp_id=award.imp_id,
            bidder_id=award.bidder_id,
            bid_id=award.bid_id,
            verdict=verdict,
            price_micros=award.price_micros,
            clearing_price_micros=award.clearing_price_micros * times,
            revenue_micros=award.revenue_micros * times,
            fee_micros=award.fee_micros * times,
            currency=award.currency,
            inventory=award.inventory,
            awarded_at=award.at,
            deal_id=award.deal_id,
            advertiser_id=direct.advertiser_id if direct else None,
            campaign_id=direct.campaign_id if direct else None,
            ad_id=direct.ad_id if direct else None,
            charged_on=direct.charged_on if direct else "impression",
            charged=kind is not events.ClickRecorded or self._random.random() < 0.8,
            size=award.size,
            person=self._random.choice(["", f"person {self._random.randrange(PEOPLE)}"]),
            test=award.test,
        )

    def bidder(self, bidder_id: str, name: str) -> events.BidderRegistered:
        return events.BidderRegistered(
            id=self.id_at(self._start),
            at=self._start,
            correlation_id=bidder_id,
            causation_id="command",
            aggregate_id=bidder_id,
            version=1,
            terms=catalogue.Bidder(name=name, endpoint="http://127.0.0.1:1/bid"),
        )

    def _inventory(self) -> Inventory:
        return Inventory(
            publisher_id=self._random.choice(["", "pub-1", "pub-2"]),
            placement_id=self._random.choice(["top", "side"]),
            site=self._random.choice(["news.example", "shop.example", "böse.example"]),
            country=self._random.choice(["", "DEU", "USA"]),
            device_type=self._random.choice([0, 1, 4]),
        )

    def _imp(self, imp: ImpOffered, at: datetime, currency: str, common: dict[str, Any]) -> Iterator[Event]:
        placed: list[events.BidPlaced] = []
        for bidder_id in BIDDERS:
            if self._random.random() < 0.4:
                yield events.BidRefused(
                    id=self.id_at(at),
                    at=at,
                    **common,
                    imp_id=imp.imp_id,
                    bidder_id=bidder_id,
                    outcome=self._random.choice(["no_bid", "timeout", "error"]),
                    code=101,
                    reason="It did not answer in time.",
                    latency_ms=80.5,
                )
                continue
            width, height = self._random.choice(SIZES)
            bid = events.BidPlaced(
                id=self.id_at(at),
                at=at,
                **common,
                imp_id=imp.imp_id,
                bidder_id=bidder_id,
                bid_id=f"{bidder_id} bid",
                price_micros=self._random.randrange(100_000, 5_000_000),
                currency=currency,
                latency_ms=12.25,
                inventory=imp.inventory,
                seat="seat",
                deal_id=None if bidder_id == "direct" else self._random.choice([None, "deal-7"]),
                direct=self._random.choice(CAMPAIGNS) if bidder_id == "direct" else None,
                width=width,
                height=height,
                crid="creative",
            )
            placed.append(bid)
            yield bid
        if placed:
            yield self._award(imp, at, sorted(placed, key=lambda bid: -bid.price_micros), common)
        else:
            yield events.AuctionUnsold(
                id=self.id_at(at),
                at=at,
                **common,
                imp_id=imp.imp_id,
                reason="Nobody bid.",
                inventory=imp.inventory,
                held_ms=80.0,
            )

    def _award(
        self, imp: ImpOffered, at: datetime, ranked: list[events.BidPlaced], common: dict[str, Any]
    ) -> events.AuctionAwarded:
        best = ranked[0]
        clearing = min(best.price_micros, (ranked[1].price_micros if ranked[1:] else imp.floor_micros) + 10_000)
        revenue = clearing * 8 // 10
        return events.AuctionAwarded(
            id=self.id_at(at),
            at=at,
            **common,
            imp_id=imp.imp_id,
            bidder_id=best.bidder_id,
            bid_id=best.bid_id,
            price_micros=best.price_micros,
            clearing_price_micros=clearing,
            revenue_micros=revenue,
            fee_micros=clearing - revenue,
            currency=best.currency,
            auction_type=2,
            ranking=tuple(bid.bidder_id for bid in ranked),
            ranked_by="redis",
            inventory=imp.inventory,
            held_ms=81.5,
            seat=best.seat,
            deal_id=best.deal_id,
            direct=best.direct,
            size=f"{best.width}x{best.height}" if best.width else "",
        )


class Log:
    """The log as a producer sees it."""

    def __init__(self, kafka_url: str, names: Names) -> None:
        self._names = names
        self._kafka_url = kafka_url
        self._producer = AIOKafkaProducer(
            bootstrap_servers=kafka_url, acks="all", enable_idempotence=True, compression_type="lz4", linger_ms=5
        )

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def append(self, logged: Iterable[Event]) -> TopicPartition:
        """Events in order, each to its topic under its key; the last one's partition."""
        sent = [await self._producer.send(self._topic(each), encode(each), self._key(each)) for each in logged]
        await self._producer.flush()
        last = await sent[-1]
        return TopicPartition(last.topic, last.partition)

    async def append_bytes(self, topic: str, key: str | None, payload: bytes) -> Any:
        return await self._producer.send_and_wait(topic, payload, None if key is None else key.encode())

    async def append_raw(self, topic: str, key: bytes, payload: bytes) -> None:
        """Under a key that may be no text."""
        await self._producer.send_and_wait(topic, payload, key)

    async def send_bytes(self, topic: str, key: str, payload: bytes) -> None:
        """Without waiting for the log to have it; `flush` does."""
        await self._producer.send(topic, payload, key.encode())

    async def flush(self) -> None:
        await self._producer.flush()

    async def append_to(self, topic: str, partition: int, event: Event) -> None:
        """An event that belongs to a partition, not to a key."""
        await self._producer.send_and_wait(topic, encode(event), self._key(event), partition=partition)

    async def append_traffic(self, traffic: Traffic, auctions: int) -> None:
        """So many auctions with their engagements, in a mixed order."""
        for _ in range(auctions):
            auction = traffic.auction()
            await self._send([*auction, *traffic.engagements(auction)])
        await self._producer.flush()

    async def payloads(self, topic: str) -> list[bytes]:
        """Everything that stands in the topic now, partition by partition."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self._kafka_url, enable_auto_commit=False)
        await consumer.start()
        try:
            await consumer.end_offsets([TopicPartition(topic, 0)])
            partitions = [TopicPartition(topic, each) for each in sorted(consumer.partitions_for_topic(topic) or ())]
            ends = await consumer.end_offsets(partitions)
            found: list[bytes] = []
            for partition in partitions:
                consumer.assign([partition])
                consumer.seek(partition, 0)
                while await consumer.position(partition) < ends[partition]:
                    fetched = await consumer.getmany(timeout_ms=500)
                    found += [record.value for records in fetched.values() for record in records]
            return found
        finally:
            await consumer.stop()

    async def _send(self, logged: Iterable[Event]) -> None:
        for each in logged:
            await self._producer.send(self._topic(each), encode(each), self._key(each))

    def _topic(self, event: Event) -> str:
        if isinstance(event, events.CatalogueEvent):
            return self._names.catalogue
        engaged = isinstance(event, events.Engagement | events.EngagementVoided)
        return self._names.engagements if engaged else self._names.auctions

    def _key(self, event: Event) -> bytes:
        return event.correlation_id.encode()
