"""What workers do for generations that somebody has asked for: compared, swapped, removed, whoever was it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from domain.errors import Unavailable
from projections import hold, operations, turns, upkeep, verification
from projections.connections import kafka_options
from projections.orders import Orders
from projections.postgres_store import connected
from projections.rebuild import RebuildOptions, RebuildStopped, rebuild
from projections.registry import registered
from projections.servers import Servers
from projections.swap import NotReady
from projections.verification import verify
from tests.projections.conftest import ReadSide, eventually
from tests.projections.test_generations import statuses
from tests.projections.traffic import Traffic

WHO = "somebody at a test"


async def generation(read_side: ReadSide, projection: str, number: int) -> asyncpg.Record:
    query = "SELECT * FROM projection_generations WHERE projection = $1 AND generation = $2"
    [row] = await read_side.fetch(query, projection, number)
    return row


@asynccontextmanager
async def flowing(read_side: ReadSide) -> AsyncIterator[None]:
    """Inside it traffic is logged without a pause."""
    done = asyncio.Event()

    async def flow() -> None:
        seed = 1_000
        while not done.is_set():
            seed += 1
            await read_side.log.append_traffic(Traffic(seed), 5)

    task = asyncio.create_task(flow())
    try:
        yield
    finally:
        done.set()
        await task


async def test_rows_that_differ_wait_for_a_decision(read_side: ReadSide) -> None:
    """Workers do not swap then and say why; the operator's decision to accept it is carried out by them."""
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    orders = Orders(read_side.addresses)
    async with read_side.running("catalogue"):
        await read_side.caught_up("catalogue")
        await read_side.fetch("UPDATE entities SET status = 'spoilt'")
        await orders.rebuild("catalogue", RebuildOptions(), by=WHO)

        async def has_decided() -> bool:
            return (await generation(read_side, "catalogue", 2))["waits_because"] is not None

        await eventually(has_decided)
        assert await statuses(read_side, "catalogue") == {1: "active", 2: "ready"}
        built = await generation(read_side, "catalogue", 2)
        assert "entities lacks 1 rows and has 1 others" in built["waits_because"]
        assert not built["swaps_itself"]
        await orders.cancel("catalogue", by=WHO)
        accepting = RebuildOptions(accept_differences=True)
        assert (await orders.rebuild("catalogue", accepting, by=WHO)).number == 3

        async def is_mended() -> bool:
            return [row["status"] for row in await read_side.fetch("SELECT status FROM entities")] == ["active"]

        await eventually(is_mended)
    decided = await read_side.fetch(
        "SELECT command, generation, decided_by, options FROM projection_decisions ORDER BY id"
    )
    assert [(row["command"], row["generation"], row["decided_by"]) for row in decided] == [
        ("rebuild", 2, WHO),
        ("cancel", 2, WHO),
        ("rebuild", 3, WHO),
    ]
    assert '"accept_differences": true' in decided[2]["options"]


async def groups_of(read_side: ReadSide) -> set[str]:
    """The consumer groups that Kafka knows of this installation."""
    admin = AIOKafkaAdminClient(**kafka_options(read_side.addresses.kafka_url, "test"))
    await admin.start()
    try:
        known: list[tuple[Any, ...]] = await admin.list_consumer_groups()
    finally:
        await admin.close()
    return {group for group, *_ in known if group.startswith(read_side.names.namespace)}


async def test_a_comparison_swaps_nothing_back(read_side: ReadSide) -> None:
    """A generation that became the active one by itself once, and was swapped back, is compared and no more."""
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    orders = Orders(read_side.addresses)
    async with read_side.running("catalogue"):
        await read_side.caught_up("catalogue")
        await orders.rebuild("catalogue", RebuildOptions(), by=WHO)

        async def is_swapped() -> bool:
            return await statuses(read_side, "catalogue") == {1: "previous", 2: "active"}

        async def is_compared() -> bool:
            return (await generation(read_side, "catalogue", 2))["verify_asked_at"] is None

        await eventually(is_swapped)
        await orders.swap("catalogue", 1, by=WHO)
        await orders.verify("catalogue", 2, by=WHO)
        await eventually(is_compared)
    assert await statuses(read_side, "catalogue") == {1: "active", 2: "previous"}


async def test_a_retired_generation_leaves_nothing(read_side: ReadSide) -> None:
    """Workers leave its consumer group, and remove that and its tables; those of the other generation stay."""
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    group = registered("catalogue").group(read_side.names, 1)
    async with read_side.running("catalogue"):
        await rebuild(read_side.addresses, "catalogue")

        async def is_joined() -> bool:
            return {group, group.replace(".g1", ".g2")} <= await groups_of(read_side)

        await eventually(is_joined)
        await Orders(read_side.addresses).retire("catalogue", by=WHO)

        async def is_removed() -> bool:
            return (await generation(read_side, "catalogue", 1))["removed_at"] is not None

        await eventually(is_removed)
        assert await groups_of(read_side) == {group.replace(".g1", ".g2")}
    schemas = await read_side.fetch("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'catalogue%'")
    assert [row["nspname"] for row in schemas] == ["catalogue_g2"]


HELD = "SELECT count(*) FROM projection_offsets WHERE hold_at IS NOT NULL"


async def test_one_at_a_time_holds_generations(read_side: ReadSide, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes second waits for its turn, and gives up in time without letting go what the first one counts on."""
    monkeypatch.setattr(hold, "TURN_S", 0.0)
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    await read_side.run_to_the_end("catalogue")
    async with (
        Servers(read_side.addresses, client_id="test") as servers,
        connected(servers.pool) as first,
        connected(servers.pool) as second,
    ):
        async with hold.held(first, "catalogue", 1):
            held = await first.fetchval(HELD)
            with pytest.raises(Unavailable, match="somebody else compares or swaps catalogue"):
                async with hold.held(second, "catalogue", 1):
                    raise AssertionError("both hold it")
            assert await first.fetchval(HELD) == held > 0
        async with hold.held(second, "catalogue", 1):
            assert await first.fetchval(HELD) == held
        assert await first.fetchval(HELD) == 0


async def test_several_comparisons_at_once(read_side: ReadSide) -> None:
    """All of them find two equal generations equal, under traffic."""
    await read_side.log.append_traffic(Traffic(1), 30)
    name = "delivery"
    async with read_side.running(name):
        await rebuild(read_side.addresses, name)
        async with Servers(read_side.addresses, client_id="test") as servers, flowing(read_side):
            found = await asyncio.gather(*(verify(servers.pool, registered(name), 1) for _ in range(3)))
    assert [each.summary for each in found] == ["generation 1 of delivery equals generation 2, row for row"] * 3


async def test_who_follows_a_rebuild_hears_that_it_was_cancelled(read_side: ReadSide) -> None:
    """The command that began it ends with that word, and does not wait for what nobody builds any more."""
    await read_side.log.append_traffic(Traffic(1), 200)
    begun = asyncio.Event()
    following = asyncio.create_task(
        rebuild(read_side.addresses, "auction_log", on_progress=lambda _: begun.set(), swaps=False)
    )
    await begun.wait()
    await operations.cancel(read_side.addresses, "auction_log", 2)
    with pytest.raises(RebuildStopped, match="cancelled"):
        await following
    assert await statuses(read_side, "auction_log") == {1: "active", 2: "cancelled"}


async def test_a_suspended_worker_keeps_nobody_waiting(read_side: ReadSide, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose turn it is and who says nothing loses it: the next worker compares and swaps."""
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    await read_side.run_to_the_end("catalogue")
    monkeypatch.setattr(turns, "SILENT_S", 2.0)
    addresses = msgspec.json.encode(read_side.addresses).decode()
    command = (sys.executable, "-m", "tests.projections.suspended_upkeep", addresses, "catalogue")
    suspended = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert suspended.stdout is not None
    try:
        await Orders(read_side.addresses).rebuild("catalogue", RebuildOptions(), by=WHO)
        async with asyncio.timeout(60):
            assert await suspended.stdout.readline() == b"suspended\n"

        async def is_swapped() -> bool:
            return await statuses(read_side, "catalogue") == {1: "previous", 2: "active"}

        async with read_side.running("catalogue"):
            await eventually(is_swapped)
    finally:
        suspended.send_signal(signal.SIGCONT)
        suspended.kill()
        await suspended.wait()


async def test_a_worker_that_works_keeps_its_turn(read_side: ReadSide, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes: it says a word from time to time."""
    monkeypatch.setattr(turns, "SILENT_S", 1.0)
    monkeypatch.setattr(turns, "WORD_S", 0.1)
    async with Servers(read_side.addresses, client_id="test") as servers, AsyncExitStack() as stack:
        second = await stack.enter_async_context(connected(servers.pool))
        # Of no pool, for it is ended in the end, and a pool may notice that when it takes it back.
        first = await asyncpg.connect(read_side.addresses.postgres_url)
        stack.callback(first.terminate)
        assert await turns.taken(first, upkeep.TURN, "catalogue")
        async with turns.kept(first):
            await second.execute("SELECT pg_sleep(1.5)")
            assert not await turns.taken(second, upkeep.TURN, "catalogue")
        await second.execute("SELECT pg_sleep(1.5)")
        assert not await turns.taken(second, upkeep.TURN, "catalogue")

        async def is_the_next_ones() -> bool:
            return await turns.taken(second, upkeep.TURN, "catalogue")

        await eventually(is_the_next_ones)


async def test_a_long_comparison_keeps_no_other_projection_waiting(
    read_side: ReadSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What there is to do for others is done meanwhile by the same worker."""
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    await read_side.log.append_traffic(Traffic(1), 20)
    await read_side.run_to_the_end("catalogue", "delivery")
    begun, ended = asyncio.Event(), asyncio.Event()

    async def long(pool: Any, registration: Any, number: int) -> Any:
        if registration.name == "catalogue":
            begun.set()
            await ended.wait()
        return await verify(pool, registration, number)

    monkeypatch.setattr(upkeep, "verify", long)
    orders = Orders(read_side.addresses)
    async with read_side.running("catalogue", "delivery"):
        await orders.rebuild("catalogue", RebuildOptions(), by=WHO)
        await begun.wait()
        await orders.rebuild("delivery", RebuildOptions(), by=WHO)

        async def is_swapped() -> bool:
            return await statuses(read_side, "delivery") == {1: "previous", 2: "active"}

        await eventually(is_swapped)
        assert await statuses(read_side, "catalogue") == {1: "active", 2: "ready"}
        ended.set()


async def test_a_hold_that_has_ended_is_noticed(read_side: ReadSide, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was suspended until one generation went on compares nothing, and finds no difference that is none."""
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    reached = verification.reached
    async with read_side.running("catalogue"):
        await rebuild(read_side.addresses, "catalogue")
        holder = await asyncpg.connect(read_side.addresses.postgres_url)
        held_back = holder.transaction()

        async def suspended(*question: Any) -> bool:
            done = await reached(*question)
            await read_side.fetch("UPDATE projection_offsets SET hold_expires_at = now()")
            await held_back.start()
            await holder.execute("SELECT FROM projection_offsets WHERE generation = 1 FOR UPDATE")
            applied = await read_side.applied("catalogue")
            await read_side.log.append([Traffic(1).bidder("b-2", "Two")])

            async def one_has_gone_on() -> bool:
                return await read_side.applied("catalogue") > applied

            await eventually(one_has_gone_on)
            asyncio.get_running_loop().call_later(1, lambda: asyncio.ensure_future(holder.close()))
            return done

        monkeypatch.setattr(verification, "reached", suspended)
        async with Servers(read_side.addresses, client_id="test") as servers:
            with pytest.raises(NotReady, match="not held long enough"):
                await verify(servers.pool, registered("catalogue"), 1)


async def test_what_was_said_before_a_comparison_is_taken_back(read_side: ReadSide) -> None:
    """Rows that differed and were mended since are equal, and nothing waits because of them."""
    await read_side.log.append([Traffic(1).bidder("b-1", "One")])
    await read_side.run_to_the_end("catalogue")
    await rebuild(read_side.addresses, "catalogue", swaps=False)
    await read_side.fetch("UPDATE projection_generations SET waits_because = 'it differs' WHERE generation = 2")
    assert (await operations.verify(read_side.addresses, "catalogue")).is_equal
    assert (await generation(read_side, "catalogue", 2))["waits_because"] is None
