"""A topic that somebody has added partitions to: projections stop and say what to do, and that works."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from commands.kafka_log import KafkaLog
from domain.errors import Conflict, LogUnavailable
from projections import engine, operations
from projections.partition_growth import growth_told
from projections.queries.progress import ProjectionStatus, projection_status
from projections.rebuild import rebuild
from tests.conftest import PARTITIONS
from tests.projections import audit
from tests.projections.conftest import ReadSide, eventually, opened
from tests.projections.test_catalogue import cached, change
from tests.projections.traffic import Traffic

ROOT = Path(__file__).parents[2]
READ = ("auction_log", "delivery", "catalogue", "catalogue_cache")
SCRIPT = re.compile(r"^```python\n# take_back\.py\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@asynccontextmanager
async def administered(read_side: ReadSide) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=read_side.addresses.kafka_url)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def statuses(read_side: ReadSide) -> dict[str, ProjectionStatus]:
    found = await projection_status(read_side.db, read_side.watermarks, names=read_side.names, redis=read_side.redis)
    return {each.name: each for each in found if each.name in READ}


async def have_stopped(read_side: ReadSide) -> bool:
    return all(each.status == "stopped" for each in (await statuses(read_side)).values())


@asynccontextmanager
async def writing(read_side: ReadSide) -> AsyncIterator[KafkaLog]:
    """The log as an API process has it."""
    refusal_of = partial(growth_told, read_side.addresses.postgres_url)
    log = KafkaLog(read_side.addresses.kafka_url, [read_side.names.auctions], refusal_of=refusal_of)
    await log.start()
    try:
        yield log
    finally:
        await log.close()


async def is_healthy(log: KafkaLog) -> bool:
    return log.healthy


async def take_back(read_side: ReadSide, folder: Path) -> None:
    """By the script that the document has."""
    found = SCRIPT.search((ROOT / "docs/PARTITIONS.md").read_text())
    assert found
    (folder / "take_back.py").write_text(found[1])
    words = (str(folder / "take_back.py"), read_side.addresses.kafka_url, read_side.names.namespace, str(PARTITIONS))
    process = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=ROOT)
    assert await process.wait() == 0


async def test_grown_and_taken_back(read_side: ReadSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read from the new partitions, nothing is built from them; made as they were, all goes on exactly."""
    monkeypatch.setattr(engine, "METADATA_MAX_AGE_MS", 500)
    bidders = {f"b-{number}": Traffic(number).bidder(f"b-{number}", "One") for number in range(8)}
    await read_side.log.append([*bidders.values()])
    await read_side.log.append_traffic(Traffic(1), 40)
    topics = [read_side.names.auctions, read_side.names.catalogue]
    async with read_side.running(*READ):
        await read_side.caught_up(*READ)
        async with writing(read_side) as early:
            async with administered(read_side) as admin:
                await admin.create_partitions({topic: NewPartitions(2 * PARTITIONS) for topic in topics})
            await eventually(partial(have_stopped, read_side))
            story = Traffic(5).auction(test=False)
            positions = [
                await early.append(read_side.names.auctions, f"key {number}", story[:1]) for number in range(12)
            ]
            assert {position.partition for position in positions} == {*range(PARTITIONS)}
    async with opened(read_side.addresses) as writer:
        # As processes write that are started now: half of all keys belong to a new partition.
        await writer.log.append([change(name, 2, "Changed") for name in bidders])
        await writer.log.append_traffic(Traffic(2), 40)
    for topic, name in zip(topics, ("delivery", "catalogue_cache"), strict=True):
        reason = (await statuses(read_side))[name].reason or ""
        assert f"{topic} has {2 * PARTITIONS} partitions and had {PARTITIONS}" in reason
        assert "docs/PARTITIONS.md" in reason
    with pytest.raises(Conflict, match=rf"had {PARTITIONS}.*docs/PARTITIONS\.md"):
        await rebuild(read_side.addresses, "delivery")
    await read_side.redis.delete(read_side.names.catalogue_entities, read_side.names.catalogue_offsets)
    async with read_side.running(*READ):
        await eventually(partial(have_stopped, read_side))
    assert await cached(read_side) == {}

    async with writing(read_side) as late:
        assert f"{read_side.names.auctions} has {2 * PARTITIONS} partitions" in (late.fault or "")
        with pytest.raises(LogUnavailable, match=r"docs/PARTITIONS\.md"):
            await late.append(read_side.names.auctions, "a key", Traffic(4).auction())
        await take_back(read_side, tmp_path)
        async with administered(read_side) as admin:
            await admin.delete_topics([f"{topic}.kept" for topic in topics])
        await eventually(partial(is_healthy, late))
    async with opened(read_side.addresses) as mended:
        for name in READ:
            await operations.resume(mended.addresses, name)
        await mended.log.append_traffic(Traffic(3), 40)
        await mended.run_to_the_end(*READ)
        await audit.check(mended)
        assert await cached(mended) == {f"bidder:{name}": (2, "active", "Changed") for name in bidders}
