"""What the books should hold, counted from the log's JSON with dictionaries and none of the product's rules."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.projections.conftest import ReadSide

Line = tuple[str, str, str, str, str, str]
"""Day of booking, currency, buyer, publisher, campaign, and whether it is a charge or a refund."""
Sums = dict[Line, Counter[str]]


async def logged_by_partition(read_side: ReadSide) -> list[list[dict[str, Any]]]:
    """Every engagement event, as JSON, partition by partition."""
    topic = read_side.names.engagements
    consumer = AIOKafkaConsumer(bootstrap_servers=read_side.addresses.kafka_url, enable_auto_commit=False)
    await consumer.start()
    try:
        await consumer.end_offsets([TopicPartition(topic, 0)])
        found = []
        for number in sorted(consumer.partitions_for_topic(topic) or ()):
            partition = TopicPartition(topic, number)
            end = (await consumer.end_offsets([partition]))[partition]
            consumer.assign([partition])
            consumer.seek(partition, 0)
            payloads: list[bytes] = []
            while await consumer.position(partition) < end:
                fetched = await consumer.getmany(timeout_ms=500)
                payloads += [record.value for records in fetched.values() for record in records]
            found.append([msgspec.json.decode(payload) for payload in payloads])
        return found
    finally:
        await consumer.stop()


def books_of(partitions: Iterable[Iterable[dict[str, Any]]]) -> Sums:
    """The sums by line: `entries`, `spend`, `revenue` and `fee`, in nano-units."""
    sums: Sums = defaultdict(Counter)
    for events in partitions:
        closed = date.min
        settled: dict[tuple[str, str, str], tuple[str, dict[str, Any] | None]] = {}
        for event in events:
            kind = event["type"].removesuffix("_recorded")
            today = max(date.fromisoformat(event["at"][:10]), closed + timedelta(days=1))
            if event["type"] == "ledger_day_closed":
                closed = max(closed, date.fromisoformat(event["day"]))
            elif event["type"] == "engagement_voided":
                place = (event["auction_id"], event["imp_id"], event["kind"])
                event_id, charged = settled.get(place, ("", None))
                if event_id == event["engagement_id"] and charged is not None:
                    settled[place] = (event_id, None)
                    _book(sums, today, charged, "refund")
            elif kind in ("impression", "click") and event["verdict"] == "valid" and not event.get("test"):
                place = (event["auction_id"], event["imp_id"], kind)
                if kind == event.get("charged_on", "impression") and place not in settled:
                    is_charged = event.get("charged", True)
                    settled[place] = (event["id"], event if is_charged else None)
                    if is_charged:
                        _book(sums, today, event, "charge")
    return dict(sums)


def _book(sums: Sums, day: date, event: dict[str, Any], kind: str) -> None:
    advertiser = event.get("advertiser_id")
    buyer = f"bidder:{event['bidder_id']}" if advertiser is None else f"advertiser:{advertiser}"
    publisher = f"publisher:{event['inventory'].get('publisher_id', '')}"
    line = (day.isoformat(), event["currency"], buyer, publisher, event.get("campaign_id", ""), kind)
    sums[line]["entries"] += 1
    sums[line]["spend"] += event["clearing_price_micros"]
    sums[line]["revenue"] += event["revenue_micros"]
    sums[line]["fee"] += event["fee_micros"]


async def books_in(read_side: ReadSide) -> Sums:
    """What `ledger` does hold, in the same form."""
    rows = await read_side.fetch("SELECT * FROM ledger")
    return {
        (
            row["booked_on"].isoformat(),
            *(row[name] for name in ("currency", "buyer", "publisher", "campaign_id", "kind")),
        ): Counter(
            entries=row["entries"],
            spend=int(row["spend_nanos"]),
            revenue=int(row["revenue_nanos"]),
            fee=int(row["fee_nanos"]),
        )
        for row in rows
    }
