"""The calls of commands on a cluster: every caller gets its answer, wherever the slots go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.exceptions import ResponseError

from commands.redis_pipeline import RedisAway, RedisCalls, Script
from gavel.embedded.ports import HOST
from gavel.wiring import redis_calls
from projections.redis_client import redis_client
from tests.api.running_api import free_port, until
from tests.cluster.redis_cluster import RedisCluster, ask

TIMEOUT_S = 1.0
ADD = Script(
    "for place, key in ipairs(KEYS) do redis.call('INCRBY', key, ARGV[place]) end return redis.call('GET', KEYS[1])"
)


@pytest.fixture
async def calls(cluster: RedisCluster) -> AsyncIterator[RedisCalls]:
    calls = redis_calls(cluster.url, timeout_s=TIMEOUT_S)
    yield calls
    await calls.close()


async def test_every_caller_gets_its_own_answer(calls: RedisCalls, cluster: RedisCluster, own: str) -> None:
    """Six hundred concurrent calls for keys of every master: each key has counted its own in their order."""
    keys = [f"{own}:{number}" for number in range(30)]
    assert len({(await cluster.owner_of(key)).port for key in keys}) == 3
    answers = await asyncio.gather(*(calls.call("INCR", key) for _ in range(20) for key in keys))
    assert answers == [count for count in range(1, 21) for _ in keys]


async def test_an_error_is_its_callers_alone(calls: RedisCalls, own: str) -> None:
    """A command that Redis refuses does not disturb those beside it."""
    before, refused, after = await asyncio.gather(
        calls.call("SET", own, "a"), calls.call("INCR", own), calls.call("GET", own), return_exceptions=True
    )
    assert before
    assert isinstance(refused, ResponseError)
    assert after == b"a"


async def test_a_script_runs_where_its_keys_are(calls: RedisCalls, cluster: RedisCluster, own: str) -> None:
    """Each master is told the text by itself, and again after it has forgotten it."""
    for _ in range(2):
        for node in cluster.nodes:
            await ask(node, "SCRIPT", "FLUSH")
        for number in range(12):
            tag = f"{{{own}{number}}}"
            await calls.evaluate(ADD, (f"{tag}a", f"{tag}b"), 1, 10)
    assert await calls.evaluate(ADD, (f"{{{own}7}}b", f"{{{own}7}}a"), 0, 0) == b"20"


async def test_a_slot_that_moves_is_followed(calls: RedisCalls, cluster: RedisCluster, own: str) -> None:
    """Before, between the two masters and after: every key has its value, and a new one finds its place."""
    tag = f"{{{own}}}"
    old, moved, new = f"{tag}old", f"{tag}moved", f"{tag}new"
    for key in (old, moved):
        await calls.call("SET", key, key)
    source = await cluster.owner_of(tag)
    to = await cluster.another_master(source)
    await cluster.begin_move(tag, to)
    await cluster.move_keys(source, to, [moved.encode()])
    assert await asyncio.gather(*(calls.call("GET", key) for key in (old, moved))) == [old.encode(), moved.encode()]
    await calls.call("SET", new, new)
    assert await ask(to, "CLUSTER", "COUNTKEYSINSLOT", await ask(to, "CLUSTER", "KEYSLOT", tag)) == 2
    assert await calls.evaluate(Script("return redis.call('GET', KEYS[1])"), (new,)) == new.encode()
    await cluster.move_keys(source, to, [old.encode()])
    await cluster.end_move(tag, to)
    for key in (old, moved, new):
        assert await calls.call("GET", key) == key.encode()


async def test_keys_on_their_way_are_as_good_as_away(calls: RedisCalls, cluster: RedisCluster, own: str) -> None:
    """A script whose keys are torn between two masters is refused as if Redis were away, and works after the move."""
    tag = f"{{{own}}}"
    keys = (f"{tag}a", f"{tag}b")
    await calls.evaluate(ADD, keys, 1, 1)
    source = await cluster.owner_of(tag)
    to = await cluster.another_master(source)
    await cluster.begin_move(tag, to)
    await cluster.move_keys(source, to, [keys[0].encode()])
    with pytest.raises(RedisAway):
        await calls.evaluate(ADD, keys, 1, 1)
    await cluster.move_keys(source, to, [keys[1].encode()])
    await cluster.end_move(tag, to)
    assert await calls.evaluate(ADD, keys, 1, 1) == b"2"


async def test_a_master_that_dies_is_replaced(calls: RedisCalls, cluster: RedisCluster, own: str) -> None:
    """Others answer all the while; its own keys are answered for again once a replica has taken its place."""
    keys = [f"{own}:{number}" for number in range(30)]
    await asyncio.gather(*(calls.call("SET", key, key) for key in keys))
    lost = await cluster.owner_of(keys[0])
    safe = [key for key in keys if await cluster.owner_of(key) is not lost]
    # The replica has them before its master dies: else what it forgets is Redis's own business.
    await ask(lost, "WAIT", 1, 5_000)
    lost.server.kill()
    await lost.server.ended()
    for _ in range(5):
        assert await asyncio.gather(*(calls.call("GET", key) for key in safe)) == [key.encode() for key in safe]
        with pytest.raises(RedisAway):
            await calls.call("GET", keys[0])
    async with cluster.failed_over(lost):

        async def is_answered() -> bool:
            try:
                return bool(await calls.call("GET", keys[0]) == keys[0].encode())
            except RedisAway:
                return False

        await until(is_answered)
        assert await asyncio.gather(*(calls.call("GET", key) for key in keys)) == [key.encode() for key in keys]


async def test_one_node_that_answers_is_enough(cluster: RedisCluster, own: str) -> None:
    """Of the addresses that were named, and though it is a replica."""
    dead, alive = free_port(), cluster.nodes[-1].port
    calls = redis_calls(f"redis+cluster://{HOST}:{dead},{HOST}:{alive}", timeout_s=TIMEOUT_S)
    assert await asyncio.gather(*(calls.call("INCR", f"{own}:{number}") for number in range(10))) == [1] * 10
    await calls.close()


async def test_every_node_is_told_the_password(cluster: RedisCluster, own: str) -> None:
    """Also those that the address does not name."""
    keys = [f"{own}:{number}" for number in range(30)]
    async with cluster.guarded("a-secret") as address:
        calls = redis_calls(address, timeout_s=TIMEOUT_S)
        assert await asyncio.gather(*(calls.call("INCR", key) for key in keys)) == [1] * 30
        await calls.close()
        async with redis_client(address) as redis:
            assert [await redis.incr(key) for key in keys] == [2] * 30


async def test_no_cluster_is_a_redis_that_is_away() -> None:
    """Where nothing listens, all callers are told at once."""
    calls = redis_calls(f"redis+cluster://{HOST}:{free_port()}", timeout_s=TIMEOUT_S)
    told = await asyncio.gather(*(calls.call("GET", str(number)) for number in range(100)), return_exceptions=True)
    assert {type(each) for each in told} == {RedisAway}
    await calls.close()
