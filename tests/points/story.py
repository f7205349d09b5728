"""Traffic for all kinds of projections, and what each should hold of it, counted from the log by plain rules."""

from __future__ import annotations

from typing import Any

import msgspec
from redis.asyncio import Redis

from domain.events import ImpressionRecorded
from projections.registry import registered
from tests.projections import audit
from tests.projections.books import books_in, books_of, logged_by_partition
from tests.projections.budget_story import award, logged_spending, met, void
from tests.projections.conftest import ReadSide
from tests.projections.test_budgets import settled, until
from tests.projections.test_catalogue import cached, change
from tests.projections.traffic import Traffic

IN_POSTGRES = ("auction_log", "delivery", "ledger", "catalogue")
IN_REDIS = ("catalogue_cache", "budgets")
BIDDERS = 12
CAMPAIGN = "c-1"


class Story:
    """What happens, chapter by chapter: every chapter has something for each projection."""

    def __init__(self, read_side: ReadSide) -> None:
        self._read_side = read_side
        self._chapters = 0

    async def goes_on(self, *, auctions: int = 40) -> None:
        """One chapter more in the log."""
        self._chapters += 1
        log, version = self._read_side.log, self._chapters
        names = [f"b-{number}" for number in range(BIDDERS)]
        if version == 1:
            await log.append([Traffic(number).bidder(name, "One") for number, name in enumerate(names)])
        else:
            await log.append([change(name, version, f"Version {version}") for name in names])
        awards = [award(1_000 * version + number, campaign=CAMPAIGN) for number in range(30)]
        seen = [met(ImpressionRecorded, each) for each in awards[::2]]
        await log.append([*awards, *seen, *seen[:3], *[void(each) for each in seen[:4]]])
        await log.append_traffic(Traffic(100 + version), auctions)


async def check_postgres(read_side: ReadSide) -> None:
    """Every read model in Postgres, row for row."""
    await audit.check(read_side)
    await check_books(read_side)
    await check_catalogue(read_side)


async def check_catalogue(read_side: ReadSide) -> None:
    """Its table, in Postgres."""
    rows = await read_side.fetch("SELECT id, version, terms::text FROM entities")
    found = {f"bidder:{row['id']}": (row["version"], msgspec.json.decode(row["terms"])["name"]) for row in rows}
    assert found == await _catalogue_of(read_side)


async def check_books(read_side: ReadSide) -> None:
    """The ledger, in Postgres."""
    assert await books_in(read_side) == books_of(await logged_by_partition(read_side))


async def check_cache(read_side: ReadSide) -> None:
    """The cache of the catalogue, in Redis."""
    found = {field: (version, name) for field, (version, _, name) in (await cached(read_side)).items()}
    assert found == await _catalogue_of(read_side)


async def check_budgets(read_side: ReadSide) -> None:
    """The campaign's account, in Redis: nobody is told what is in it before all of the log is."""
    async with settled(read_side) as budgets:
        state = await until(budgets, lambda _: True, CAMPAIGN)
        await read_side.caught_up("budgets")
        state = await budgets.state_of(CAMPAIGN)
    spending = await logged_spending(read_side.log, read_side.names.engagements, CAMPAIGN)
    assert {"spent": state.spent_nanos, "impressions": state.impressions, "clicks": state.clicks} == spending
    assert state.reserved_nanos == await _reserved(read_side)


async def contents(read_side: ReadSide) -> dict[str, Any]:
    """Everything that these projections hold, with their offsets, to be compared with itself."""
    found: dict[str, Any] = {}
    for name in IN_POSTGRES:
        for table in registered(name).tables:
            rows = await read_side.fetch(f"SELECT each::text FROM {table.name} AS each ORDER BY 1")
            found[f"{name}.{table.name}"] = [row[0] for row in rows]
    offsets = "SELECT projection, topic, partition, next_offset FROM projection_offsets ORDER BY 1, 2, 3"
    found["offsets"] = [tuple(row) for row in await read_side.fetch(offsets)]
    for name in IN_REDIS:
        projection: Any = registered(name).projection(read_side.names)
        for key in (projection.offsets_key, *projection.keys):
            found[f"{name}.{key}"] = await _value(read_side.redis, key)
    return found


async def _value(redis: Redis, key: str) -> Any:
    kind = (await redis.type(key)).decode()
    if kind == "hash":
        return await redis.hgetall(key)
    if kind == "zset":
        return await redis.zrange(key, 0, -1, withscores=True)
    return await redis.smembers(key) if kind == "set" else None


async def _catalogue_of(read_side: ReadSide) -> dict[str, tuple[int, str]]:
    entities: dict[str, tuple[int, str]] = {}
    for payload in await read_side.log.payloads(read_side.names.catalogue):
        event = msgspec.json.decode(payload)
        if event["type"] != "never_heard_of":
            entities[f"bidder:{event['aggregate_id']}"] = (event["version"], event["terms"]["name"])
    return entities


async def _reserved(read_side: ReadSide) -> int:
    """What awards of the campaign have put aside of which no valid impression has come."""
    reserved: dict[str, int] = {}
    for event in await audit.logged(read_side):
        if event["type"] == "auction_awarded" and event.get("direct", {}).get("campaign_id") == CAMPAIGN:
            reserved[event["auction_id"]] = event["direct"]["charge_nanos"]
    for event in await audit.logged(read_side):
        if event["type"] == "impression_recorded" and event["verdict"] == "valid":
            reserved.pop(event["auction_id"], None)
    return sum(reserved.values())
