"""What every read model does hold, in the form in which `expected.py` counts it, and how the two differ."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import msgspec

from tests.chaos.expected import AUCTION_COLUMNS, EXPECTED, Logged, Rows, Tables
from tests.chaos.stream import CAMPAIGNS
from tests.projections import audit
from tests.projections.books import books_in
from tests.projections.conftest import ReadSide

TOLD = 3
"""Rows of one table that differ, in one sentence."""
JSON = {"imps", "request", "bids", "terms"}
"""Columns that hold it as text."""
KEYS = {"auctions": "auction_id::text"}
"""Of the tables of `auction_log`; of all others the event's id."""


async def differences(read_side: ReadSide, logged: Logged, projections: Iterable[str] = tuple(EXPECTED)) -> list[str]:
    """A sentence for each table that does not hold what the topics say."""
    told: list[str] = []
    for name in projections:
        expected, found = EXPECTED[name](logged), await FOUND[name](read_side)
        assert expected.keys() == found.keys(), name
        told += [line for table in expected for line in _different(f"{name}.{table}", expected[table], found[table])]
    return told


def _different(table: str, expected: Rows, found: Rows) -> Iterator[str]:
    missing = [key for key in expected if key not in found]
    surplus = [key for key in found if key not in expected]
    changed = [key for key in expected if key in found and expected[key] != found[key]]
    for what, keys in (("lacks", missing), ("has", surplus), ("has otherwise", changed)):
        if keys:
            some = "; ".join(f"{key}: {expected.get(key)} -> {found.get(key)}" for key in keys[:TOLD])
            yield f"{table} {what} {len(keys)} of {len(expected)} rows, such as {some}"


async def _catalogue(read_side: ReadSide) -> Tables:
    rows = await read_side.fetch("SELECT id, kind, version, status, terms, created_at, updated_at FROM entities")
    return {"entities": {row["id"]: _plain(row) for row in rows}}


async def _cache(read_side: ReadSide) -> Tables:
    fields = await read_side.redis.hgetall(read_side.names.catalogue_entities)
    entities = [msgspec.json.decode(value) for value in fields.values()]
    assert {f"{each['kind']}:{each['id']}".encode() for each in entities} == fields.keys()
    words = ("kind", "version", "status", "terms")
    return {"entities": {each["id"]: {word: each[word] for word in words} for each in entities}}


async def _auction_log(read_side: ReadSide) -> Tables:
    return {table: await _auction_table(read_side, table, columns) for table, columns in AUCTION_COLUMNS.items()}


async def _auction_table(read_side: ReadSide, table: str, columns: Iterable[str]) -> Rows:
    rows = await read_side.fetch(
        f"SELECT {KEYS.get(table, 'event_id::text')} AS key, {', '.join(columns)} FROM {table}"
    )
    return {row["key"]: tuple(_plain(row, but="key").values()) for row in rows}


async def _delivery(read_side: ReadSide) -> Tables:
    reach = await read_side.fetch("SELECT * FROM delivery_reach JOIN delivery_lines USING (line)")
    return {
        "delivery": dict(await audit.delivery_in(read_side)),
        "delivery_reach": {
            (
                *(row[name].strftime("%Y-%m-%dT%H:%M") for name in ("quarter", "auction_quarter")),
                *(row[name] for name in audit.DIMENSIONS),
                row["register"],
            ): row["rank"]
            for row in reach
        },
        "delivery_engagements": await _judged(read_side, "delivery_engagements"),
    }


async def _judged(read_side: ReadSide, table: str) -> Rows:
    rows = await read_side.fetch(f"SELECT event_id::text, kind, imp_id, counted, voided FROM {table}")
    return {row["event_id"]: tuple(row.values())[1:] for row in rows}


async def _traffic(read_side: ReadSide) -> Tables:
    rows = await read_side.fetch("SELECT * FROM traffic WHERE hits <> 0")
    return {
        "traffic": {tuple(_plain(row, but="hits").values()): row["hits"] for row in rows},
        "traffic_engagements": await _judged(read_side, "traffic_engagements"),
    }


async def _ledger(read_side: ReadSide) -> Tables:
    charges = await read_side.fetch(
        "SELECT auction_id::text, imp_id, kind, event_id::text, booked_on, refunded_on FROM ledger_charges"
    )
    closings = await read_side.fetch("SELECT * FROM ledger_closings")
    return {
        "ledger": dict(await books_in(read_side)),
        "ledger_charges": {tuple(row.values())[:3]: tuple(row.values())[3:] for row in charges},
        "ledger_closings": {(row["partition"], row["closed_day"]): row["partitions"] for row in closings},
    }


async def _bidder_health(read_side: ReadSide) -> Tables:
    rows = await read_side.fetch("SELECT * FROM bidder_health")
    return {"bidder_health": {tuple(row.values())[:4]: tuple(row.values())[4:] for row in rows}}


async def _notices(read_side: ReadSide) -> Tables:
    rows = await read_side.fetch("SELECT outcome_id::text, kind, url FROM notices")
    return {"notices": {(row["outcome_id"], row["kind"]): row["url"] for row in rows}}


async def _budgets(read_side: ReadSide) -> Tables:
    """The words of each account, as `domain/budget_account.py` tells their places."""
    accounts: Rows = {}
    for campaign in CAMPAIGNS:
        text: Any = await read_side.redis.hget(read_side.names.budget_data[0], campaign)
        words = (text.decode() if text else "0 0 - 0 0 - 0 0 0 0 0").split()
        named = {"spent": words[0], "reserved": words[1], "impressions": words[8], "clicks": words[9]}
        accounts[campaign] = {name: int(word) for name, word in named.items()}
    return {"accounts": accounts}


def _plain(row: Any, *, but: str = "") -> dict[str, Any]:
    """A row's columns, JSON decoded."""
    return {
        name: msgspec.json.decode(value) if name in JSON else value
        for name, value in row.items()
        if name not in (but, "id")
    }


FOUND: dict[str, Callable[[ReadSide], Awaitable[Tables]]] = {
    "catalogue": _catalogue,
    "catalogue_cache": _cache,
    "auction_log": _auction_log,
    "delivery": _delivery,
    "ledger": _ledger,
    "budgets": _budgets,
    "bidder_health": _bidder_health,
    "traffic": _traffic,
    "notices": _notices,
}
"""By projection."""
