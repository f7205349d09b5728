"""The load generator: keep-alive HTTP/1.1 clients over `asyncio.Protocol`, in a process of its own.

`generate` runs it; the process is `python -m bench.http_load PLAN_FILE` and prints a `LoadResult` as JSON.
A closed loop (the default) keeps a fixed number of requests in flight: right for the CPU an operation costs.
An open loop sends at a fixed rate whatever comes back and counts latency from the moment a request was due,
so a server that stalls is charged for the queue behind it: right for latencies.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import cast

import httptools
import msgspec
import uvloop

from bench.cost import Cost, Latencies
from bench.process import START_SECONDS, Process, python, running

TICK_SECONDS = 0.001


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, to the loopback interface and nowhere else."""

    port: int
    requests: Sequence[bytes]
    """Whole HTTP requests, sent in order and from the start again if there are fewer than `count`."""
    count: int
    connections: int
    rate: float | None = None
    """Requests per second of an open loop; None for a closed one."""
    timeout_seconds: float = 120.0


class LoadResult(msgspec.Struct, frozen=True):
    """What came back. `failed` counts requests without a whole answer, whatever the reason."""

    statuses: dict[int, int]
    failed: int
    wall_seconds: float
    latencies: Latencies


async def generate(plan: LoadPlan) -> LoadResult:
    """Sends the plan's requests from a process of its own."""
    with tempfile.NamedTemporaryFile(suffix=".plan") as file:
        file.write(msgspec.msgpack.encode(plan))
        file.flush()
        async with running("load", python("-m", "bench.http_load", file.name)) as process:
            printed = await process.result(plan.timeout_seconds + START_SECONDS)
    return msgspec.json.decode(printed, type=LoadResult)


async def cost_under(plan: LoadPlan, server: Process, *, status: int = 200) -> Cost:
    """What the plan costs the server. Raises ProcessFailed unless every answer has that status."""
    before = server.cpu_seconds()
    result = await generate(plan)
    cpu_seconds = server.cpu_seconds() - before
    if result.statuses != {status: plan.count}:
        raise server.failure(f"answered {result.statuses} and failed {result.failed} of {plan.count} requests")
    return Cost(plan.count, cpu_seconds, result.wall_seconds, result.latencies)


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._due: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it
        self._parser = httptools.HttpResponseParser(self)
        self._load.is_idle(self)

    def send(self, request: bytes, due: float) -> None:
        assert self._transport is not None
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        assert self._transport is not None
        assert self._due is not None, "an answer that nobody asked for"
        due, self._due = self._due, None
        self._load.answered(self._parser.get_status_code(), perf_counter() - due)
        if self._parser.should_keep_alive():
            self._load.is_idle(self)
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        del error
        self._load.lost(was_waiting=self._due is not None)


class Load:
    """Sends what a plan says and counts what comes back."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._to_send = self._requests()
        self._due: deque[float] = deque()
        self._idle: deque[Connection] = deque()
        self._statuses: Counter[int] = Counter()
        self._latencies: list[float] = []
        self._failed = 0
        self._finished = asyncio.Event()
        self._reconnecting: set[asyncio.Task[None]] = set()

    def _requests(self) -> Iterator[bytes]:
        requests = self._plan.requests
        for number in range(self._plan.count):
            yield requests[number % len(requests)]

    async def run(self) -> LoadResult:
        """Everything sent and answered, or cut off at the plan's timeout."""
        await asyncio.gather(*(self._connect() for _ in range(self._plan.connections)))
        started = perf_counter()
        if self._plan.rate is None:
            self._due.extend([started] * self._plan.count)
            while self._idle and self._due:
                self._send_next(self._idle.popleft())
            arrivals = None
        else:
            arrivals = asyncio.create_task(self._arrive(self._plan.rate, started))
        try:
            await asyncio.wait_for(self._finished.wait(), self._plan.timeout_seconds)
        except TimeoutError:
            self._failed = self._plan.count - len(self._latencies)
        if arrivals is not None:
            arrivals.cancel()
        wall = perf_counter() - started
        return LoadResult(dict(self._statuses), self._failed, wall, percentiles(self._latencies))

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: Connection(self), "127.0.0.1", self._plan.port)

    async def _arrive(self, rate: float, started: float) -> None:
        arrived = 0
        while arrived < self._plan.count:
            now = perf_counter()
            while arrived < self._plan.count and started + arrived / rate <= now:
                self._due.append(started + arrived / rate)
                arrived += 1
            while self._idle and self._due:
                self._send_next(self._idle.popleft())
            await asyncio.sleep(TICK_SECONDS)

    def _send_next(self, connection: Connection) -> None:
        due = self._due.popleft()
        connection.send(next(self._to_send), due if self._plan.rate else perf_counter())

    # -- told by the connections -------------------------------------------------------------------

    def is_idle(self, connection: Connection) -> None:
        if self._due:
            self._send_next(connection)
        else:
            self._idle.append(connection)

    def answered(self, status: int, seconds: float) -> None:
        self._statuses[status] += 1
        self._latencies.append(seconds)
        self._finish_if_done()

    def lost(self, *, was_waiting: bool) -> None:
        self._failed += was_waiting
        self._finish_if_done()
        if not self._finished.is_set():
            reconnecting = asyncio.create_task(self._connect())
            self._reconnecting.add(reconnecting)
            reconnecting.add_done_callback(self._reconnecting.discard)

    def _finish_if_done(self) -> None:
        if len(self._latencies) + self._failed >= self._plan.count:
            self._finished.set()


def percentiles(seconds: list[float]) -> Latencies:
    """Nearest-rank percentiles; zeros when nothing was answered."""
    ordered = sorted(seconds) or [0.0]

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e3

    return Latencies(at(0.5), at(0.9), at(0.99), ordered[-1] * 1e3)


def main() -> None:
    plan = msgspec.msgpack.decode(Path(sys.argv[1]).read_bytes(), type=LoadPlan)
    result = uvloop.run(Load(plan).run())
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")


if __name__ == "__main__":
    main()
