"""What feed records cost: on their way in, into Redis, in its memory, and when they are looked up."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from urllib.parse import quote

import aiohttp
import msgspec
from redis.asyncio import Redis

from bench.cost import Comparison, Contender, Cost, Target, take_turns
from bench.feed_files import record_key, write_bulk
from bench.feed_replay import FeedPlan, Filled
from bench.gavel_api import GavelApi, gavel_api
from bench.installation import Installation
from bench.process import python, running
from bench.report import Section
from bench.size import Size
from domain.terms.feed_client import feed_client_id
from projections.queries.feed_records import FeedRecords

NAMESPACE = "bench-feeds"
CLIENT = "bench"
REDIS_DATABASE = 5
"""Of its own, for it is emptied before every round."""
FILL_SECONDS = 300.0
CHUNK_BYTES = 256 * 1024
LOOKED_UP_AT_ONCE = (1, 100)
LOOK_UP_P99_MS = 2.0


async def measure(installation: Installation, size: Size) -> Section:
    """Uploads once over HTTP; then the consumer and the pipe take turns in filling an empty Redis."""
    intake = await _intake(installation, size.feed_bench_records)
    plan = FeedPlan(
        kafka_url=installation.urls.kafka_url,
        postgres_url=installation.urls.postgres_url,
        redis_url=f"{installation.urls.redis_url.rpartition('/')[0]}/{REDIS_DATABASE}",
        namespace=NAMESPACE,
        client=feed_client_id(CLIENT),
    )
    filled: dict[str, list[Filled]] = {"pipe": [], "consumer": []}
    rounds = await take_turns(
        {
            "pipe": _in_a_process("bench.feed_pipe", plan, filled["pipe"]),
            "consumer": _in_a_process("bench.feed_replay", plan, filled["consumer"]),
        },
        rounds=size.rounds,
    )
    # Whose turn was the last differs from round to round.
    await _in_a_process("bench.feed_replay", plan, [])()
    look_ups = [await _looked_up(plan, keys, size) for keys in LOOKED_UP_AT_ONCE]
    return Section(
        title="Feed records",
        method=(
            f"{size.rounds} rounds over {size.feed_bench_records:,} records of about 300 bytes, sealed and in one "
            "partition of the log, into an emptied Redis.\n"
            "The consumer reads and decodes them, applies them in batches of 100 by its script, in their order, and "
            "brings the audit of each batch to Postgres.\n"
            "The pipe sets the same values under the same keys, all made beforehand, as `redis-cli --pipe` does.\n"
            "CPU is that of the process that fills; Redis' own is in the wall time."
        ),
        comparisons=[
            Comparison(
                what="records a second into Redis",
                unit="record",
                subject="consumer, ordered and audited",
                peer="pipe of SET",
                subject_rounds=rounds["consumer"],
                peer_rounds=rounds["pipe"],
                ratio_of="rates",
                target=Target("≥", 0.25),
                judged_by="wall",
            )
        ],
        notes=[_told_of_intake(intake), *_told_of_redis(filled), *look_ups],
    )


def _in_a_process(module: str, plan: FeedPlan, filled: list[Filled]) -> Contender:
    async def contender() -> Cost:
        async with running(module, python("-m", module, msgspec.json.encode(plan).decode())) as process:
            filled.append(msgspec.json.decode(await process.result(FILL_SECONDS), type=Filled))
        return filled[-1].cost

    return contender


def _told_of_intake(intake: Cost) -> str:
    rate = intake.operations / intake.wall_seconds
    return f"The intake takes {rate:,.0f} records a second into the log, for {intake.cpu_us:.1f} µs of the API each."


def _told_of_redis(filled: Mapping[str, Sequence[Filled]]) -> Iterator[str]:
    for at, says in (
        (_cpu, "Redis works {0:.1f} µs for a record of the consumer, and {1:.1f} µs for one of the pipe."),
        (_size, "A record takes {0:,.0f} bytes of Redis' memory; as a value of its own, by SET, {1:,.0f}."),
    ):
        # The first round only warms up.
        yield says.format(*(statistics.median(map(at, filled[name][1:])) for name in ("consumer", "pipe")))


def _cpu(filled: Filled) -> float:
    return filled.redis_cpu_us


def _size(filled: Filled) -> float:
    return filled.record_bytes


# -- on their way in --------------------------------------------------------------------------------


async def _intake(installation: Installation, records: int) -> Cost:
    """One upload to an API process of one worker, until all of it is in the log."""
    with tempfile.TemporaryDirectory(prefix="gavel-bench-") as folder:
        file = Path(folder) / "bulk.ndjson"
        await asyncio.to_thread(write_bulk, file, client=0, records=records)
        async with gavel_api(installation, NAMESPACE) as api:
            key = {"Authorization": f"Bearer {api.settings.admin_key}"}
            async with aiohttp.ClientSession(f"http://127.0.0.1:{api.port}", headers=key) as http:
                await _register(http, api)
                wall, cpu = perf_counter(), api.process.cpu_seconds()
                headers = {"Content-Type": "application/x-ndjson"}
                path = f"/v1/feeds/{quote(CLIENT)}/bulk"
                async with http.post(path, data=_chunks(file), headers=headers) as answer:
                    if answer.status != 202:
                        raise api.process.failure(f"answered {answer.status} to an upload: {await answer.text()}")
                    received = (await answer.json())["received"]
                return Cost(received, api.process.cpu_seconds() - cpu, perf_counter() - wall)


async def _register(http: aiohttp.ClientSession, api: GavelApi) -> None:
    async with http.post("/v1/feed-clients", json={"name": CLIENT}) as answer:
        if answer.status != 201:
            raise api.process.failure(f"answered {answer.status} to a feed client: {await answer.text()}")


async def _chunks(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK_BYTES):
            yield chunk


# -- look-ups ---------------------------------------------------------------------------------------


async def _looked_up(plan: FeedPlan, keys: int, size: Size) -> str:
    """What the consumer's last round has left, one look-up after the other; a sentence."""
    milliseconds, records_found = [], 0
    async with Redis.from_url(plan.redis_url) as redis:
        records = FeedRecords(redis, plan.names)
        for number in range(size.feed_look_ups):
            first = number * keys
            wanted = [record_key(0, (first + each) % size.feed_bench_records) for each in range(keys)]
            began = perf_counter()
            found = await records.of(plan.client, wanted, now=datetime.now(UTC))
            milliseconds.append((perf_counter() - began) * 1_000)
            records_found += sum(record is not None for record in found)
    # Some numbers have no record: their line was bad, or brought the key of another.
    assert records_found > 0.99 * size.feed_look_ups * keys, "the records are there"
    milliseconds.sort()
    p50, p99 = milliseconds[len(milliseconds) // 2], milliseconds[int(len(milliseconds) * 0.99)]
    what = "one key" if keys == 1 else f"{keys} keys"
    verdict = f" (to reach: < {LOOK_UP_P99_MS:g} ms {'✓' if p99 < LOOK_UP_P99_MS else '✗'})" if keys == 1 else ""
    return f"A look-up of {what}, in the process, takes {p50:.2f} ms, at p99 {p99:.2f} ms{verdict}."
