"""The store of feed clients, where there are many of them, and where it may not or cannot go on."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition
from redis.asyncio import Redis

from domain.errors import Unavailable
from domain.limits import FEED_SCRIPT_RECORDS
from projections import feed_audit
from projections.audiences import Audiences, FeedRows, PartOfClient, Step
from projections.batch import Move
from projections.feed_audit import FeedAudit
from projections.feed_store import CLIENTS_AT_ONCE, LOOKS_PER_ROUND, FeedStore, Known
from projections.feed_tidying import FeedTidying
from projections.postgres_store import Pool
from projections.servers import Servers
from projections.store import Checkpoint, FenceLost, State
from tests.projections.conftest import ReadSide
from tests.projections.feed_story import AT
from tests.projections.test_redis_regressed import data, regressing

__all__ = ["data"]

MANY = 150
"""More than the connections that there are to Redis."""


@pytest.fixture
async def read_servers(read_side: ReadSide) -> AsyncIterator[Servers]:
    async with Servers(read_side.addresses, client_id="test") as read_servers:
        yield read_servers


def parts_of(servers: Servers) -> tuple[Redis, Pool, Audiences, int]:
    return servers.redis, servers.pool, Audiences(servers.names), FEED_SCRIPT_RECORDS


def store_of(servers: Servers) -> FeedStore:
    return FeedStore(*parts_of(servers))


def partition_of(read_servers: Servers) -> TopicPartition:
    return TopicPartition(read_servers.names.feeds_changes, 0)


def rows_of(*clients: str, offset: int) -> FeedRows:
    step = Step(offset, "put", ("a", "", "", ""), b"\0" * 16, AT, b"")
    return {PartOfClient(0, client): [step] for client in clients}


async def many(read_servers: Servers, store: FeedStore) -> list[str]:
    """Clients that are all at offset 7."""
    clients = [f"client-{number}" for number in range(MANY)]
    for client in clients:
        await read_servers.redis.hset(read_servers.names.feed_progress("changes")[2], f"0 {client}", 7)
        await read_servers.redis.hset(read_servers.names.feed_state(client), "changes", 7)
    await store.begin({partition_of(read_servers): 8})
    return clients


async def test_more_clients_than_connections(read_servers: Servers) -> None:
    """All of them are looked at to begin with, and then a few each time: so a quiet one that is lost is noticed."""
    store = store_of(read_servers)
    *_, last = await many(read_servers, store)
    stands = {partition_of(read_servers): Checkpoint(8)}
    assert await store.checkpoints() == stands
    await read_servers.redis.config_resetstat()
    assert await store.checkpoints() == stands
    assert (await read_servers.redis.info("commandstats"))["cmdstat_hget"]["calls"] <= CLIENTS_AT_ONCE
    await read_servers.redis.delete(read_servers.names.feed_state(last))
    looks = [await store.checkpoints() for _ in range(LOOKS_PER_ROUND)]
    assert {} in looks
    assert await read_servers.redis.hlen(read_servers.names.feed_progress("changes")[2]) == MANY - 1


async def test_lost_clients_are_all_found_at_once(read_servers: Servers) -> None:
    """Where one was found out by what is written to it: the topic is read again once, and not for each of them."""
    store = store_of(read_servers)
    clients = await many(read_servers, store)
    await store.checkpoints()
    for client in clients:
        await read_servers.redis.delete(read_servers.names.feed_state(client))
    with pytest.raises(FenceLost, match="has forgotten"):
        await store.apply(rows_of(clients[0], offset=8), {partition_of(read_servers): Move(8, 9)})
    assert await store.checkpoints() == {}
    assert await read_servers.redis.hlen(read_servers.names.feed_progress("changes")[2]) == 0


@pytest.mark.parametrize("rests", ["paused", "stopped"])
async def test_nothing_is_applied_while_it_rests(read_servers: Servers, rests: str) -> None:
    """Neither where it stands nor to a client: also of a batch that was read before."""
    store, tp = store_of(read_servers), partition_of(read_servers)
    await store.begin({tp: 0})
    await (store.pause() if rests == "paused" else store.stop("why", {tp: 0}, State()))
    with pytest.raises(FenceLost):
        await store.apply(rows_of("client-1", offset=0), {tp: Move(0, 1)})
    assert not await read_servers.redis.exists(read_servers.names.feed_state("client-1"))
    await store.resume()
    await store.apply(rows_of("client-1", offset=0), {tp: Move(0, 1)})
    assert await store.checkpoints() == {tp: Checkpoint(1)}


class FirstFails(FeedStore):
    """One client's server is away."""

    ended = 0
    """Clients whose scripts have come to their end."""

    async def _to_client(self, part: PartOfClient, steps: Sequence[Step], known: Known) -> None:
        if part.client == "client-0":
            raise Unavailable("Redis: it is away")
        await super()._to_client(part, steps, known)
        self.ended += 1


async def test_a_client_that_fails_leaves_nothing_under_way(read_servers: Servers) -> None:
    """By the time the batch has failed, the others have come to their end."""
    store, tp = FirstFails(*parts_of(read_servers)), partition_of(read_servers)
    await store.begin({tp: 0})
    clients = [f"client-{number}" for number in range(CLIENTS_AT_ONCE)]
    with pytest.raises(Unavailable):
        await store.apply(rows_of(*clients, offset=0), {tp: Move(0, 1)})
    assert store.ended == CLIENTS_AT_ONCE - 1


async def test_it_begins_and_stops_in_a_redis_that_is_full(read_side: ReadSide, data: Path) -> None:
    """What makes room is in the log: it has to be read for that."""
    async with (
        regressing(read_side, data) as (other, redis),
        Servers(other.addresses, client_id="test") as read_servers,
    ):
        store, tp = store_of(read_servers), partition_of(read_servers)
        await redis.client.config_set("maxmemory", 1)
        await store.check()
        await store.begin({tp: 0})
        assert await store.checkpoints() == {tp: Checkpoint(0)}
        await store.stop("why", {tp: 0}, State())
        assert (await store.state()).stopped_reason == "why"


async def test_the_audit_of_one_client_does_not_wait_for_another(
    read_side: ReadSide, read_servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose server is away, which is told once all others are done."""
    key = read_side.names.feed_audit("client-2")
    for client in ("client-1", "client-2"):
        await read_side.redis.hset(read_side.names.feed_progress("changes")[2], f"0 {client}", 7)
    row = feed_audit.AuditRow(
        topic="changes",
        partition=0,
        first_offset=7,
        last_offset=7,
        generation=1,
        at=0,
        started=0,
        finished=0,
        digest="",
    )
    await read_side.redis.rpush(key, msgspec.json.encode(row))
    monkeypatch.setattr(feed_audit, "CLIENTS_AT_ONCE", 1)
    audit = FeedAudit(read_servers.redis, read_servers.pool, read_servers.names)
    bring = audit._bring_of

    async def without_the_first(client: str) -> None:
        if client == "client-1":
            raise Unavailable("Redis: it is away")
        await bring(client)

    monkeypatch.setattr(audit, "_bring_of", without_the_first)
    with pytest.raises(Unavailable):
        await audit.bring()
    assert not await read_side.redis.exists(key)


async def test_the_memory_of_one_client_does_not_wait_for_another(
    read_side: ReadSide, read_servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same of tidying, by which a loaded record goes that a change stands over."""
    names, redis = read_side.names, read_side.redis
    for client in ("client-1", "client-2"):
        await redis.hset(names.feed_progress("changes")[2], f"0 {client}", 7)
    changed, loaded = names.feed_keys("client-2")[2], names.feed_records("client-2", "-1")
    for stamp, place in ((5, changed), (3, loaded)):
        await redis.hset(place, "a", struct.pack(">QQ", stamp, 0))
    tidying = FeedTidying(read_servers.redis, read_servers.pool, read_servers.names)
    step = tidying._step

    async def without_the_first(client: str, *place: Any) -> bytes:
        if client == "client-1":
            raise Unavailable("Redis: it is away")
        return await step(client, *place)

    monkeypatch.setattr(tidying, "_step", without_the_first)
    with pytest.raises(Unavailable):
        await tidying.once()
    assert (await redis.exists(changed), await redis.exists(loaded)) == (1, 0)
