"""The auditor's count, straight from the Kafka topics and without one line of the product's code.

    python tests/recount.py KAFKA_HOST:PORT [NAMESPACE]

Tests (`test: true`) count nowhere, requests of robots (`robot: true`) apart from all others. An event that stands in
the log twice counts once. An engagement counts gross whatever its verdict; it counts once per auction, imp and kind if
any of its verdicts is `valid`. Money is in nano-units of the currency (one impression at a CPM of one micro), booked in
the hour of the engagement.
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


async def recount(kafka_url: str, namespace: str = "gavel") -> dict[str, Any]:
    """Counts of everything, the money by publisher, bidder and hour, and which engagements were counted."""
    seen: set[str] = set()
    counted: set[tuple[str, str, str]] = set()
    counts: Counter[str] = Counter()
    money: defaultdict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for topic in (f"{namespace}.auctions", f"{namespace}.engagements"):
        async for event in events(kafka_url, topic):
            if event["id"] in seen or event.get("test"):
                continue
            seen.add(event["id"])
            kind, robots = event["type"], "robots' " if event.get("robot") else ""
            counts[robots + kind] += 1
            if kind == "bid_requested":
                counts[robots + "imps"] += len(event["imps"])
            if kind not in ("impression_recorded", "click_recorded"):
                continue
            engagement = (event["auction_id"], event["imp_id"], kind)
            if event["verdict"] != "valid" or engagement in counted:
                continue
            counted.add(engagement)
            counts[f"valid {kind}"] += 1
            if kind == "impression_recorded":
                row = money[event["inventory"].get("publisher_id", ""), event["bidder_id"], event["at"][:13]]
                row["impressions"] += 1
                row["spend"] += event["clearing_price_micros"]
                row["revenue"] += event["revenue_micros"]
                row["fee"] += event["fee_micros"]
    totals = {unit: sum(row[unit] for row in money.values()) for unit in ("spend", "revenue", "fee")}
    return {
        "counts": dict(sorted(counts.items())),
        "money": totals,
        "by publisher, bidder and hour": dict(money),
        "counted engagements": counted,
    }


def main() -> None:
    result = asyncio.run(recount(*sys.argv[1:3]))
    lines = [f"{name:28} {count:>20,}" for name, count in result["counts"].items()]
    lines += [f"{unit + ' (nano)':28} {nanos:>20,}" for unit, nanos in result["money"].items()]
    for (publisher, bidder, hour), row in sorted(result["by publisher, bidder and hour"].items()):
        lines.append(f"{publisher} {bidder} {hour} " + " ".join(f"{unit}={nanos}" for unit, nanos in row.items()))
    sys.stdout.write("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
