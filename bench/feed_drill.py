"""Five million feed records and 200,000 changes to them, while consumer, Redis and broker are killed.

Files of some feed clients are made, loaded by `gavel feeds load` at once, and changed over HTTP meanwhile. In the end
every key has to say what `tests/refeed.py` makes of the files, with none of the product's code, and the audit has to
sum up what was in them. Memory of the processes is watched all along the way.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp
import msgspec
import psutil
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench import feed_page, machine
from bench.feed_files import write_bulk, write_changes
from bench.feed_page import Load, Outcome
from bench.installation import fresh_folder
from bench.process import ROOT, START_SECONDS, python, running
from bench.size import Size
from tests.journeys.running_exchange import RunningExchange, eventually, running_exchange

CLIENTS = 4
WORKERS = 2
CHANGES_AT_ONCE = 250
"""In one upload."""
LOOK_SECONDS = 0.5
RETRY_SECONDS = 1.0
RUN_SECONDS = 15 * 60
ASK_SECONDS = 60.0
FAULTS = ((0.2, "the projectors", "gavel project"), (0.4, "Redis", "valkey-server"), (0.6, "the broker", "kafka.Kafka"))
"""At which share of the records applied, and who: SIGKILL each."""
CHANGES_UNTIL = 0.9
"""Share of the records applied by which all changes are sent."""
MEMBERS = {"gavel api": "API", "gavel project": "projectors"}
"""Whose memory is watched, by the words of their command lines."""
MEMORY_GROWTH_MAX = 1.25


class DrillFailed(RuntimeError):
    """A load came to nothing, changes were refused, or memory has grown."""


class Client(NamedTuple):
    """A feed client and its files."""

    name: str
    id: str
    bulk: Path
    changes: Path


class Watch:
    """What is known of the load while it goes on: how much is applied, and how much memory the processes have."""

    def __init__(self, http: aiohttp.ClientSession, clients: Sequence[Client]) -> None:
        self.applied = 0
        self.applied_by_client: dict[str, int] = defaultdict(int)
        self.memory: dict[str, list[tuple[float, int]]] = defaultdict(list)
        """By process: at which second of the load, and bytes."""
        self.started = monotonic()
        self._http = http
        self._clients = clients
        self._news = asyncio.Condition()

    async def run(self, on_applied: Callable[[int], None]) -> None:
        """Until it is cancelled."""
        while True:
            for client in self._clients:
                self.applied_by_client[client.name] = await self._applied(client)
            self.applied = sum(self.applied_by_client.values())
            self._measure_memory()
            on_applied(self.applied)
            async with self._news:
                self._news.notify_all()
            await asyncio.sleep(LOOK_SECONDS)

    async def until_applied(self, records: int, client: Client | None = None) -> None:
        """Of that client's bulk, or of all of them."""

        def is_so() -> bool:
            return (self.applied if client is None else self._last(client)) >= records

        async with self._news:
            await self._news.wait_for(is_so)

    async def _applied(self, client: Client) -> int:
        """Records of the bulk, by the audit; what it was when nobody answers."""
        try:
            async with self._http.get(f"{path_of(client)}/audit", params={"limit": 1}) as answer:
                return int((await answer.json())["topics"]["bulk"]["records"]) if answer.ok else self._last(client)
        except (aiohttp.ClientError, TimeoutError):
            return self._last(client)

    def _last(self, client: Client) -> int:
        return self.applied_by_client[client.name]

    def _measure_memory(self) -> None:
        totals: dict[str, int] = defaultdict(int)
        for process in psutil.Process().children(recursive=True):
            try:
                words = " ".join(process.cmdline())
                name = next((name for each, name in MEMBERS.items() if each in words), None)
                if name is not None:
                    totals[name] += process.memory_info().rss
            except psutil.Error:
                continue  # it has ended meanwhile, or was killed
        for name, resident in totals.items():
            self.memory[name].append((monotonic() - self.started, resident))


async def run(size: Size, console: Console, *, keep: bool) -> None:
    """Raises DrillFailed, after RUN_SECONDS at the latest; ProcessFailed."""
    console.print(f"On {machine.describe()}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with fresh_folder() as folder, Progress(*columns, console=Console(stderr=True)) as progress:
        try:
            async with asyncio.timeout(RUN_SECONDS):
                files = await _files(folder, size, progress)
                async with running_exchange(folder / "data", "--workers", str(WORKERS)) as exchange:
                    outcome = await _drilled(exchange, files, size, progress)
        except ExceptionGroup as failures:
            # The others have been cancelled because of the first.
            raise failures.exceptions[0] from failures
        except TimeoutError as late:
            raise DrillFailed(f"not ready in time, or not done within {RUN_SECONDS // 60} minutes") from late
    feed_page.show(outcome, console)
    _check(outcome)
    if keep:
        feed_page.write(outcome)


async def _files(folder: Path, size: Size, progress: Progress) -> list[tuple[Path, Path]]:
    """The bulk's and the changes' file of each client."""
    made = []
    task = progress.add_task("Writing files", total=CLIENTS)
    for number in range(CLIENTS):
        bulk, changes = folder / f"bulk-{number}.ndjson", folder / f"changes-{number}.ndjson"
        records, changed = size.feed_records // CLIENTS, size.feed_changes // CLIENTS
        await asyncio.to_thread(write_bulk, bulk, client=number, records=records)
        await asyncio.to_thread(write_changes, changes, client=number, changes=changed, records=records)
        made.append((bulk, changes))
        progress.advance(task)
    return made


async def _drilled(
    exchange: RunningExchange, files: Sequence[tuple[Path, Path]], size: Size, progress: Progress
) -> Outcome:
    key = {"Authorization": f"Bearer {exchange.installation['admin_key']}"}
    timeout = aiohttp.ClientTimeout(total=ASK_SECONDS)
    async with aiohttp.ClientSession(exchange.url, headers=key, timeout=timeout) as http:
        clients = [await _registered(http, number, *pair) for number, pair in enumerate(files)]
        watch = Watch(http, clients)
        told: list[str] = []
        async with asyncio.TaskGroup() as tasks:
            bar = progress.add_task("Applying records", total=size.feed_records)
            watching = tasks.create_task(watch.run(lambda applied: progress.update(bar, completed=applied)))
            striking = tasks.create_task(_strike(watch, size, told))
            changing = [tasks.create_task(_change(http, client, watch, size)) for client in clients]
            loads = [tasks.create_task(_load(exchange, client)) for client in clients]
            runs = await asyncio.gather(*loads)
            resent = sum(await asyncio.gather(*changing))
            await striking
            await _drain(exchange, http, clients)
            seconds = monotonic() - watch.started
            watching.cancel()
        checking = progress.add_task("Comparing every key with the files", total=None)
        began = monotonic()
        compared = await _refeed(exchange, clients)
        progress.remove_task(checking)
    load = Load(
        records=size.feed_records,
        changes=size.feed_changes,
        file_bytes=sum(path.stat().st_size for pair in files for path in pair),
        seconds=seconds,
        resent=resent,
        clients=CLIENTS,
    )
    return Outcome(load, told, compared, monotonic() - began, runs, dict(watch.memory))


async def _registered(http: aiohttp.ClientSession, number: int, bulk: Path, changes: Path) -> Client:
    """Asked for until it is made: an exchange that has just begun may not know its catalogue yet."""
    name = f"drill {number}"
    made: dict[str, Any] = {}

    async def is_made() -> bool:
        async with http.post(
            "/v1/feed-clients", json={"name": name}, headers={"Idempotency-Key": f"drill-{number}"}
        ) as answer:
            answer.raise_for_status()
            made.update(await answer.json())
            return True

    await eventually(is_made, START_SECONDS)
    return Client(name, made["id"], bulk, changes)


async def _load(exchange: RunningExchange, client: Client) -> dict[str, Any]:
    """By the command that a provider uses, which goes on by itself where something was away; the run."""
    command = ("-m", "gavel", "feeds", "load", str(client.bulk), "--client", client.name, "--json")
    async with running(f"load {client.name}", python(*command, "--data", str(exchange.data))) as process:
        run: dict[str, Any] = msgspec.json.decode(await process.result(RUN_SECONDS))
    return run


async def _change(http: aiohttp.ClientSession, client: Client, watch: Watch, size: Size) -> int:
    """In the order of the file, spread over the load; how many uploads had to be sent again."""
    lines = client.changes.read_bytes().splitlines(keepends=True)
    batches = [lines[at : at + CHANGES_AT_ONCE] for at in range(0, len(lines), CHANGES_AT_ONCE)]
    resent = 0
    for number, batch in enumerate(batches):
        share = CHANGES_UNTIL * number / len(batches)
        await watch.until_applied(max(1, round(share * size.feed_records / CLIENTS)), client)
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": f"changes-{number}"}
        while not await _is_taken(http, f"{path_of(client)}/changes", headers, b"".join(batch)):
            resent += 1
            await asyncio.sleep(RETRY_SECONDS)
    return resent


async def _is_taken(http: aiohttp.ClientSession, path: str, headers: dict[str, str], body: bytes) -> bool:
    """False where it may be sent again. Raises DrillFailed where that makes no sense."""
    try:
        async with http.post(path, data=body, headers=headers) as answer:
            if 400 <= answer.status < 500:
                raise DrillFailed(f"changes were answered {answer.status}: {await answer.text()}")
            return answer.ok
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _strike(watch: Watch, size: Size, told: list[str]) -> None:
    for share, who, words in FAULTS:
        await watch.until_applied(round(share * size.feed_records))
        _kill(words)
        told.append(f"{monotonic() - watch.started:.0f} s, {watch.applied:,} records applied: SIGKILL of {who}")


def _kill(words: str) -> None:
    """SIGKILL for the first of the processes below this one whose command line holds these words."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended meanwhile
            if words in " ".join(process.cmdline()):
                process.kill()
                return
    raise DrillFailed(f"no process runs {words!r}")


async def _drain(exchange: RunningExchange, http: aiohttp.ClientSession, clients: Sequence[Client]) -> None:
    """Returns once all that is in the log is applied, and the audit of it is where it is read."""

    async def all_is_told() -> bool:
        for client in clients:
            async with http.get(f"{path_of(client)}/audit", params={"limit": 1}) as answer:
                if not answer.ok or (await answer.json())["pending"]:
                    return False
        projections = await exchange.get("/v1/projections")
        return all(each["lag"] == 0 for each in projections if each["name"].startswith("audiences"))

    await eventually(all_is_told, RUN_SECONDS)


async def _refeed(exchange: RunningExchange, clients: Sequence[Client]) -> dict[str, Any]:
    """What the independent script says. Raises ProcessFailed, with its examples, where anything differs."""
    manifest = exchange.data / "refeed.json"
    installation = exchange.installation
    told = {
        "url": exchange.url,
        "key": installation["admin_key"],
        "kafka_url": installation["kafka_url"].removeprefix("kafka://"),
        "redis_url": installation["redis_url"],
        "clients": [
            client._asdict() | {"bulk": str(client.bulk), "changes": str(client.changes)} for client in clients
        ],
    }
    manifest.write_bytes(msgspec.json.encode(told, enc_hook=str))
    async with running("refeed", python(str(ROOT / "tests" / "refeed.py"), str(manifest))) as process:
        result: dict[str, Any] = msgspec.json.decode(await process.result(RUN_SECONDS))
    return result


def path_of(client: Client) -> str:
    return f"/v1/feeds/{quote(client.name)}"


def _check(outcome: Outcome) -> None:
    if any(run["status"] != "published" for run in outcome.runs):
        raise DrillFailed(f"a load has not been published: {outcome.runs}")
    for name, growth in feed_page.growth(outcome.memory).items():
        if growth > MEMORY_GROWTH_MAX:
            raise DrillFailed(f"the memory of the {name} grows: {growth:.2f} times as much in the end as before")
