"""`make replay`: logs many auctions of every rule in a real Kafka, then decides all of them again, twice.

The live decisions are made by the product: bids ranked in Redis, awards written to the log. The replays are the
product's own command, in two processes whose hashing differs. Ends with exit code 1 unless all three agree.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic

import msgspec
import rich_click as click
import uvloop
from redis.asyncio import Redis
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench.installation import fresh_folder
from bench.process import python
from bench.seeded_auctions import SeededAuction, SeededWorld
from commands.budgets import RedisBudgets
from commands.hold_auction import HoldAuction
from commands.kafka_log import KafkaLog
from commands.late_answers import LateAnswers
from commands.quota import Quota
from commands.ranking import RedisRanking
from commands.redis_pipeline import RedisPipeline
from domain.audience import NOT_ASKED, Audience
from domain.errors import Unavailable
from domain.names import Names
from domain.tokens import TokenKey
from gavel.embedded import EmbeddedServers
from gavel.process_clock import SystemClock
from gavel.settings import Settings
from gavel.topics import ensure_topics

NAMES = Names("replayed")
PARTITIONS = 6
UNDER_WAY = 256
"""Auctions held at the same time: enough to fill batches, few enough to stay within every time-out."""
ATTEMPTS = 20
PATIENCE_SECONDS = 2.0
DISK_BYTES_PER_AUCTION = 4_096
LONGEST_SECONDS = 90 * 60
SHARE_BPS = 8_000
TOKEN_KEY = TokenKey.of(b"k" * 32)
REDIS_SECONDS = 5.0
"""No auction of this run may be ranked in the process because the machine was busy."""


class Replayed(msgspec.Struct):
    """What is read of `gavel auctions replay --all --json`."""

    auctions: int
    imps: int
    sold: int
    bids: int
    mismatches: int
    undecided: int
    digest: str
    seconds: float


@click.command()
@click.option("--auctions", default=1_000_000, show_default=True, type=click.IntRange(min=1), help="How many.")
@click.option(
    "--seed", default=7, show_default=True, type=click.IntRange(0, 2**31), help="Another seed, other auctions."
)
def main(*, auctions: int, seed: int) -> None:
    """Log auctions of every rule, decide them again twice, and compare the awards."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        same = uvloop.run(_bounded(auctions, seed))
    except asyncio.CancelledError:
        raise click.ClickException("ended by a signal; nothing was compared") from None
    except TimeoutError:
        raise click.ClickException(f"not done within {LONGEST_SECONDS // 60} minutes: try fewer auctions") from None
    sys.exit(0 if same else 1)


async def _bounded(count: int, seed: int) -> bool:
    """A polite end of this process ends all that it has started."""
    running = asyncio.create_task(run(count, seed))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    return await asyncio.wait_for(running, LONGEST_SECONDS)


async def run(count: int, seed: int) -> bool:
    """Whether both replays confirmed every award. The servers and all data are gone afterwards."""
    console = Console()
    with fresh_folder() as folder:
        free = shutil.disk_usage(folder).free
        if free < count * DISK_BYTES_PER_AUCTION:
            needed = count * DISK_BYTES_PER_AUCTION
            raise click.ClickException(f"{needed:,} bytes are needed in {folder}, {free:,} are free")
        async with EmbeddedServers(Settings(data=folder), only=("kafka", "redis")) as urls:
            assert urls.kafka_url is not None, "it was asked for"
            assert urls.redis_url is not None, "it was asked for"
            await ensure_topics(urls.kafka_url, NAMES, PARTITIONS)
            seconds = await log_auctions(urls.kafka_url, urls.redis_url, NAMES, count, seed)
            size = sum(each.stat().st_size for each in folder.rglob("*.log"))
            console.print(
                f"{count:,} auctions held and logged in {seconds:.1f} s ({count / seconds:,.0f}/s):"
                f" {size / 1e6:,.0f} MB"
            )
            runs = [await _replay(urls.kafka_url, folder, number) for number in (1, 2)]
    for number, each in enumerate(runs, 1):
        console.print(
            f"replay {number}: digest {each.digest}, {each.mismatches} mismatches in {each.auctions:,} auctions"
            f" ({each.imps:,} imps, {each.bids:,} bids, {each.sold:,} sold),"
            f" {each.seconds:.1f} s, {each.auctions / each.seconds:,.0f} auctions/s"
        )
    same = runs[0].digest == runs[1].digest and not any(each.mismatches or each.undecided for each in runs)
    same = same and all(each.auctions >= count for each in runs)
    console.print("The same awards." if same else "[red]The awards differ.[/]")
    return same


async def log_auctions(kafka_url: str, redis_url: str, names: Names, count: int, seed: int) -> float:
    """Holds so many auctions of the seed, and returns how many seconds it took."""
    world = SeededWorld()
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(Redis.from_url(redis_url))
        pipeline = RedisPipeline(redis, timeout_s=REDIS_SECONDS)
        stack.push_async_callback(pipeline.close)
        log = KafkaLog(kafka_url, names.topics, client_id="replayed")
        await log.start()
        stack.push_async_callback(log.close)
        hold_auction = _exchange(world, log, pipeline, names)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        started = monotonic()
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task("Holding auctions", total=count)

            async def work(numbers: Iterator[int]) -> None:
                for number in numbers:
                    await _hold(hold_auction, world, seed, number)
                    progress.advance(bar)

            numbers = iter(range(count))
            async with asyncio.TaskGroup() as workers:
                for _ in range(UNDER_WAY):
                    workers.create_task(work(numbers))
        return monotonic() - started


def _exchange(world: SeededWorld, log: KafkaLog, pipeline: RedisPipeline, names: Names) -> HoldAuction:
    """The product's own, around the seeded world."""
    clock = SystemClock()
    ids = world.new_id
    return HoldAuction(
        log=log,
        names=names,
        ranking=RedisRanking(pipeline, names),
        catalogue=world,
        bidder_client=world,
        quota=Quota(pipeline, names, is_unlimited=lambda _: True, address_key=_pseudonym_key),
        late_answers=LateAnswers(log=log, topic=names.auctions, clock=clock, ids=ids, logged=lambda: None),
        clock=clock,
        ids=ids,
        base_url="http://exchange.example",
        token_key=lambda: TOKEN_KEY,
        pseudonym_key=_pseudonym_key,
        publisher_share_bps=SHARE_BPS,
        budgets=RedisBudgets(pipeline, names),
        segments=_no_segments,
    )


async def _no_segments(*_: object) -> Audience:
    """Its campaigns are for none."""
    return NOT_ASKED


def _pseudonym_key() -> bytes:
    return b"p" * 32


async def _hold(hold_auction: HoldAuction, world: SeededWorld, seed: int, number: int) -> None:
    """Holds one auction; again, under another id, when the busy broker does not acknowledge in time."""
    for attempt in range(ATTEMPTS):
        auction = SeededAuction(seed, number, attempt)
        world.hold(auction)
        try:
            await hold_auction(auction.body, received_at_monotonic=monotonic())
        except Unavailable:
            await asyncio.sleep(PATIENCE_SECONDS)
        else:
            return
    raise click.ClickException(f"Kafka did not take auction {number} in {ATTEMPTS} attempts")


async def _replay(kafka_url: str, folder: Path, hash_seed: int) -> Replayed:
    """The command as an operator runs it, in a process of its own."""
    environment = {
        **os.environ,
        "GAVEL_KAFKA_URL": kafka_url,
        "GAVEL_NAMESPACE": NAMES.namespace,
        "GAVEL_DATA": str(folder / "nothing"),
        "PYTHONHASHSEED": str(hash_seed),
    }
    command = python("-m", "gavel", "auctions", "replay", "--all", "--json")
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if not out:
        raise click.ClickException(f"replay {hash_seed} ended with {process.returncode} and said nothing")
    return msgspec.json.decode(out, type=Replayed)


if __name__ == "__main__":
    main()
