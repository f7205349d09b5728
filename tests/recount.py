"""The auditor's count, straight from the Kafka topics and without one line of the product's code.

    python tests/recount.py KAFKA_HOST:PORT [NAMESPACE]

Tests (`test: true`) count nowhere, requests of robots (`robot: true`) apart from all others. An event that stands in
the log twice counts once. An engagement counts gross whatever its verdict; it counts once per auction, imp and kind if
any of its verdicts is `valid`, until it is voided. The first valid one costs what its token said, if its kind is the
one that is charged for and there was a budget left. Money is in nano-units of the currency (one impression at a CPM of
one micro), booked in the hour of the engagement.
"""

import asyncio
import json
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from typing import Any

from aiokafka import AIOKafkaConsumer


async def events(kafka_url: str, topic: str) -> AsyncIterator[dict[str, Any]]:
    """Every event of a topic, from its first offset up to where it ended when asked."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka_url, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(each) < end for each, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500, max_records=5000)).values():
                for record in records:
                    yield json.loads(record.value)
    finally:
        await consumer.stop()


KINDS = {"impression_recorded": "impression", "click_recorded": "click"}
UNITS = {"spend": "clearing_price_micros", "revenue": "revenue_micros", "fee": "fee_micros"}


async def recount(kafka_url: str, namespace: str = "gavel") -> dict[str, Any]:
    """Counts of everything, money by publisher, bidder, campaign and hour, and which engagements were counted."""
    seen: set[str] = set()
    counted: dict[tuple[str, str, str], str] = {}
    counts: Counter[str] = Counter()
    money: defaultdict[tuple[str, str, str, str], Counter[str]] = defaultdict(Counter)
    for topic in (f"{namespace}.auctions", f"{namespace}.engagements"):
        async for event in events(kafka_url, topic):
            if event["id"] in seen or event.get("test"):
                continue
            seen.add(event["id"])
            kind, robots = event["type"], "robots' " if event.get("robot") else ""
            counts[robots + kind] += 1
            if kind == "bid_requested":
                counts[robots + "imps"] += len(event["imps"])
            elif kind in KINDS and event["verdict"] == "valid":
                engagement = (event["auction_id"], event["imp_id"], kind)
                if counted.setdefault(engagement, event["id"]) == event["id"]:
                    book(event, 1, counts, money)
            elif kind == "engagement_voided":
                voided = event["engagement"]
                engagement = (voided["auction_id"], voided["imp_id"], voided["type"])
                if counted.get(engagement) == voided["id"]:
                    # Nobody else counts in its place, and it is voided once.
                    counted[engagement] = "voided"
                    book(voided, -1, counts, money)
    totals = {unit: sum(row[unit] for row in money.values()) for unit in UNITS}
    return {
        "counts": dict(sorted(counts.items())),
        "money": totals,
        "by publisher, bidder, campaign and hour": dict(money),
        "counted engagements": {engagement for engagement, event_id in counted.items() if event_id != "voided"},
    }


def book(
    event: dict[str, Any],
    sign: int,
    counts: Counter[str],
    money: dict[tuple[str, str, str, str], Counter[str]],
) -> None:
    """Adds an engagement that counts, or takes it away again."""
    kind = KINDS[event["type"]]
    counts[f"valid {event['type']}"] += sign
    publisher = event["inventory"].get("publisher_id", "")
    row = money[publisher, event["bidder_id"], event.get("campaign_id") or "", event["at"][:13]]
    row[f"{kind}s"] += sign
    if kind == event.get("charged_on", "impression") and event.get("charged", True):
        for unit, field in UNITS.items():
            row[unit] += sign * event[field]


def main() -> None:
    result = asyncio.run(recount(*sys.argv[1:3]))
    lines = [f"{name:28} {count:>20,}" for name, count in result["counts"].items()]
    lines += [f"{unit + ' (nano)':28} {nanos:>20,}" for unit, nanos in result["money"].items()]
    for key, row in sorted(result["by publisher, bidder, campaign and hour"].items()):
        lines.append(" ".join([*key, *(f"{unit}={count}" for unit, count in row.items())]))
    sys.stdout.write("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
