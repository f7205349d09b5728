"""What every read model should hold, counted from the topics' JSON with dictionaries and none of the product's rules.

A table is a dictionary from a row's key to what is compared of it. Beside what is counted here, every column of every
table is compared with a fresh rebuild: see `run.py`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from domain.names import Names
from tests.chaos.stream import CAMPAIGNS, LOSER, POISON, WINNER
from tests.projections import audit
from tests.projections.books import books_of

Event: TypeAlias = dict[str, Any]
Rows: TypeAlias = dict[Any, Any]
Tables: TypeAlias = dict[str, Rows]
LATENCY_BOUNDS_MS = (5, 10, 20, 50, 100, 150, 200, 300, 500, 1_000)
NOTICES = {
    "win": f"{WINNER}/win?p=0.91&m=0.90&l=0",
    "billing": f"{WINNER}/bill?p=0.91&m=0.90&l=0",
    "loss": f"{LOSER}/loss?p=&m=0.91&l=102",
}
"""Of each `tests.projections.notice_story.NoticeStory`, which was sold for 0.91."""


class Logged(NamedTuple):
    """All that the log holds and somebody can understand, in its order."""

    auctions: list[Event]
    engagements_by_partition: list[list[Event]]
    catalogue: list[Event]

    @property
    def engagements(self) -> list[Event]:
        return [*chain.from_iterable(self.engagements_by_partition)]

    @property
    def all(self) -> list[Event]:
        return [*self.auctions, *self.engagements]


async def read_log(kafka_url: str, names: Names) -> Logged:
    """Everything that stands in the topics now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka_url, enable_auto_commit=False)
    await consumer.start()
    try:
        read = [await _read(consumer, topic) for topic in (names.auctions, names.engagements, names.catalogue)]
    finally:
        await consumer.stop()
    auctions, engagements, catalogue = read
    return Logged([*chain.from_iterable(auctions)], engagements, [*chain.from_iterable(catalogue)])


async def _read(consumer: AIOKafkaConsumer, topic: str) -> list[list[Event]]:
    """By partition."""
    await consumer.end_offsets([TopicPartition(topic, 0)])
    found = []
    for partition in [TopicPartition(topic, each) for each in sorted(consumer.partitions_for_topic(topic) or ())]:
        end = (await consumer.end_offsets([partition]))[partition]
        consumer.assign([partition])
        consumer.seek(partition, 0)
        values: list[bytes] = []
        while await consumer.position(partition) < end:
            fetched = await consumer.getmany(timeout_ms=500)
            values += [record.value for records in fetched.values() for record in records]
        found.append([msgspec.json.decode(value) for value in values if value not in POISON])
    return found


# -- catalogue --------------------------------------------------------------------------------------


def catalogue(logged: Logged) -> Tables:
    """An event counts if its version is the entity's next one."""
    entities: dict[str, dict[str, Any]] = {}
    for event in logged.catalogue:
        entity = entities.get(event["aggregate_id"])
        if event["version"] != (entity["version"] if entity else 0) + 1:
            continue
        kind, _, what = event["type"].partition("_")
        if what == "registered" and entity is None:
            entity = {"kind": kind, "status": "active", "created_at": when(event["at"])}
            entities[event["aggregate_id"]] = entity
        assert entity is not None, event
        if kind == "entity":
            entity["status"] = {"paused": "paused", "resumed": "active"}[what]
        else:
            entity["terms"] = event["terms"]
        entity |= {"version": event["version"], "updated_at": when(event["at"])}
    return {"entities": entities}


def catalogue_cache(logged: Logged) -> Tables:
    """Without the times, which it keeps otherwise."""
    words = ("kind", "version", "status", "terms")
    entities = catalogue(logged)["entities"]
    return {"entities": {key: {word: entity[word] for word in words} for key, entity in entities.items()}}


# -- auctions ---------------------------------------------------------------------------------------


def auction_log(logged: Logged) -> Tables:
    """Each event has its row, once."""
    tables: Tables = {name: {} for name in AUCTION_COLUMNS}
    for event in logged.all:
        found = AUCTION_TABLES.get(event["type"])
        if found is None:
            continue
        table, own = found
        told = event | {"at": when(event["at"])} | own(event)
        key = event["auction_id"] if table == "auctions" else event["id"]
        tables[table].setdefault(key, tuple(told.get(column) for column in AUCTION_COLUMNS[table]))
    return tables


AUCTION_COLUMNS = {
    "auctions": (
        *("at", "request_id", "auction_type", "currency", "tmax_ms", "test", "robot", "imps", "request"),
        *("publisher_id", "site", "country", "device_type"),
    ),
    "auction_outcomes": (
        *("imp_id", "bidder_id", "outcome", "code", "reason", "bid_id", "seat", "price_micros", "currency"),
        *("latency_ms", "deal_id", "crid"),
    ),
    "auction_awards": (
        *("at", "imp_id", "sold", "bidder_id", "bid_id", "seat", "price_micros", "clearing_price_micros"),
        *("revenue_micros", "fee_micros", "currency", "auction_type", "deal_id", "ranking", "ranked_by", "held_ms"),
        *("reason", "min_to_win_micros"),
    ),
    "auction_late_answers": ("at", "bidder_id", "latency_ms", "http_status", "bids", "reason"),
    "auction_notices": ("at", "kind", "imp_id", "bidder_id", "bid_id", "url", "attempts", "http_status", "reason"),
    "auction_engagements": ("at", "kind", "imp_id", "bidder_id", "bid_id", "verdict", "reason"),
}
"""What is compared of each table of `auction_log`, beside its key."""


def _request(event: Event) -> Event:
    seen: Event = {"publisher_id": "", "site": "", "country": "", "device_type": 0} | event["imps"][0]["inventory"]
    return {"test": event.get("test", False), "robot": event.get("robot", False)} | seen


def _engaged(kind: str) -> Callable[[Event], Event]:
    return lambda event: {"kind": kind, "reason": event.get("reason", "")}


def _voided(event: Event) -> Event:
    met: Event = event["engagement"]
    return {"verdict": "voided", "bidder_id": met["bidder_id"], "bid_id": met["bid_id"]}


AUCTION_TABLES: dict[str, tuple[str, Callable[[Event], Event]]] = {
    "bid_requested": ("auctions", _request),
    "bid_placed": ("auction_outcomes", lambda event: {"outcome": "placed", "seat": event.get("seat", "")}),
    "bid_refused": ("auction_outcomes", lambda event: {"seat": event.get("seat", "")}),
    "auction_awarded": ("auction_awards", lambda event: {"sold": True, "seat": event.get("seat", "")}),
    "auction_unsold": ("auction_awards", lambda _: {"sold": False}),
    "bidder_answered_late": ("auction_late_answers", lambda _: {"bids": [], "reason": ""}),
    "notice_delivered": ("auction_notices", lambda _: {}),
    "notice_failed": ("auction_notices", lambda _: {}),
    "impression_recorded": ("auction_engagements", _engaged("impression")),
    "click_recorded": ("auction_engagements", _engaged("click")),
    "engagement_voided": ("auction_engagements", _voided),
}


def bidder_health(logged: Logged) -> Tables:
    """Of each hour, bidder and outcome: how many, and how many of them took how long."""
    counts: defaultdict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * (len(LATENCY_BOUNDS_MS) + 2))
    names = {"bid_placed": "placed", "auction_awarded": "won", "bidder_answered_late": "late"}
    for event in logged.auctions:
        outcome = names.get(event["type"], event.get("outcome"))
        if outcome is None or event.get("test"):
            continue
        row = counts[hour_of(event), event["bidder_id"], outcome, event.get("code", 0)]
        row[0] += 1
        if outcome != "won" and event.get("latency_ms") is not None:
            row[1 + bisect_left(LATENCY_BOUNDS_MS, event["latency_ms"])] += 1
    return {"bidder_health": {key: tuple(row) for key, row in counts.items()}}


def notices(logged: Logged) -> Tables:
    """Of an auction whose bidders want to hear: the winner of its win, and of the impression; the loser of its loss."""
    bids: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for event in logged.auctions:
        if event["type"] == "bid_placed" and event.get("notices"):
            bids[event["auction_id"]][event["bidder_id"]] = event["id"]
    seen = {event["auction_id"] for event in logged.engagements if event.get("viewer")}
    told = {}
    for auction_id, outcomes in bids.items():
        told[outcomes["winner"], "win"] = NOTICES["win"]
        told[outcomes["loser"], "loss"] = NOTICES["loss"]
        if auction_id in seen:
            told[outcomes["winner"], "billing"] = NOTICES["billing"]
    return {"notices": told}


# -- engagements ------------------------------------------------------------------------------------


def delivery(logged: Logged) -> Tables:
    marks: Counter[tuple[Any, ...]] = Counter()
    for key, people in audit.people_of(logged.all).items():
        for person in people:
            register, rank = _mark(person)
            marks[(*key, register)] = max(marks[(*key, register)], rank)
    return {
        "delivery": dict(audit.delivery_of(logged.all)),
        "delivery_reach": dict(marks),
        "delivery_engagements": _judged(logged),
    }


def _mark(person: str) -> tuple[int, int]:
    """Of a 64-bit digest the first 14 bits name the register; the rank is where the first 1 stands in the others."""
    digest = blake2b(person.encode(), digest_size=8, person=b"gavel reach").digest()
    bits = "".join(f"{byte:08b}" for byte in digest)
    return int(bits[:14], 2), bits[14:].find("1") + 1 or 51


def _judged(logged: Logged) -> Rows:
    """Engagements to whether they count, and whether they were taken back."""
    counted, voided = audit.judged(logged.engagements)
    return {
        event["id"]: (_kind(event), event["imp_id"], event["id"] in counted, event["id"] in counted & voided)
        for event in _engagements(logged.engagements)
    }


def traffic(logged: Logged) -> Tables:
    """Of each hour and place: how many hits there were by verdict."""
    hits: Counter[tuple[Any, ...]] = Counter()
    judged = _judged(logged)
    for event in {event["id"]: event for event in _engagements(logged.engagements)}.values():
        _, _, is_counted, is_voided = judged[event["id"]]
        verdict = event["verdict"]
        if verdict == "valid":
            verdict = "voided" if is_voided else "valid" if is_counted else "duplicate"
        inventory = event["inventory"]
        place = (inventory.get("publisher_id", ""), inventory.get("placement_id", ""))
        hits[hour_of(event), *place, _kind(event), verdict, event.get("ivt", "")] += 1
    return {"traffic": dict(hits), "traffic_engagements": judged}


def ledger(logged: Logged) -> Tables:
    return {
        "ledger": dict(books_of(logged.engagements_by_partition)),
        "ledger_charges": dict(chain.from_iterable(map(_charges, logged.engagements_by_partition))),
        "ledger_closings": {
            (event["partition"], date.fromisoformat(event["day"])): event["partitions"]
            for event in logged.engagements
            if event["type"] == "ledger_day_closed"
        },
    }


def _charges(partition: Iterable[Event]) -> Iterable[tuple[Any, Any]]:
    """What settles each imp, when it was booked and when refunded; None where it was free."""
    closed = date.min
    settled: dict[tuple[str, str, str], list[Any]] = {}
    for event in partition:
        today = max(when(event["at"]).date(), closed + timedelta(days=1))
        if event["type"] == "ledger_day_closed":
            closed = max(closed, date.fromisoformat(event["day"]))
        elif event["type"] == "engagement_voided":
            row = settled.get((event["auction_id"], event["imp_id"], event["kind"]))
            if row is not None and row[0] == event["engagement_id"] and row[1] is not None:
                row[2] = row[2] or today
        elif event.get("verdict") == "valid" and not event.get("test"):
            kind = _kind(event)
            if kind == event.get("charged_on", "impression"):
                booked_on = today if event.get("charged", True) else None
                settled.setdefault((event["auction_id"], event["imp_id"], kind), [event["id"], booked_on, None])
    return ((key, tuple(row)) for key, row in settled.items())


def budgets(logged: Logged) -> Tables:
    """Nano-units spent and reserved, impressions and clicks of the campaigns whose events are as the product has them.

    The traffic of all others voids what never counted, which a command would refuse.
    """
    sums = {campaign: Counter(spent=0, reserved=0, impressions=0, clicks=0) for campaign in CAMPAIGNS}
    counted, voided = audit.judged(logged.engagements)
    by_id = {event["id"]: event for event in logged.engagements}
    met = {(event["auction_id"], event["imp_id"]) for event in map(by_id.__getitem__, counted)}
    for event in {event["id"]: event for event in logged.auctions}.values():
        account = sums.get(event.get("direct", {}).get("campaign_id", ""))
        if event["type"] == "auction_awarded" and account and (event["auction_id"], event["imp_id"]) not in met:
            account["reserved"] += event["direct"]["charge_nanos"]
    for event_id in counted - voided:
        event = by_id[event_id]
        if (account := sums.get(event.get("campaign_id", ""))) is not None:
            account["spent"] += event["charge_nanos"]
            account["impressions"] += 1
    return {"accounts": {campaign: dict(account) for campaign, account in sums.items()}}


# -- what several of them count by ------------------------------------------------------------------


def when(at: str) -> datetime:
    return datetime.fromisoformat(at)


def hour_of(event: Event) -> datetime:
    return when(event["at"]).astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _kind(event: Event) -> str:
    return str(event["type"]).removesuffix("_recorded")


def _engagements(events: Iterable[Event]) -> Iterator[Event]:
    """Impressions and clicks that are no tests."""
    kinds = ("impression_recorded", "click_recorded")
    return (event for event in events if event["type"] in kinds and not event.get("test"))


EXPECTED: dict[str, Callable[[Logged], Tables]] = {
    "catalogue": catalogue,
    "catalogue_cache": catalogue_cache,
    "auction_log": auction_log,
    "delivery": delivery,
    "ledger": ledger,
    "budgets": budgets,
    "bidder_health": bidder_health,
    "traffic": traffic,
    "notices": notices,
}
"""By projection."""
